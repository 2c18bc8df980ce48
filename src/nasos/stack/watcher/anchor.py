"""The ends of the ledgers, remembered in Vault: ``kv/nasos/_meta/ledger``, one field per ledger.

Rules: whoever can write the ledger's files cannot therefore write this; check-and-set, so that nobody's memory is lost;
Vault keeps the older versions and its audit log each change. What it cannot do: whoever has the operator's or the
watcher's credential can change it, and events younger than the last memory (a minute, at most) can be cut unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from nasos.errors import SecretDeleted, SecretNotFound
from nasos.ledger import Head
from nasos.secret import Secret

if TYPE_CHECKING:  # help and usage errors need no HTTP
    from nasos.vault import VaultClient

PATH: Final = "_meta/ledger"


def paths(home: Path) -> dict[str, Path]:
    """Name -> ledger: the operator's, and those of services with a user of their own (run as root)."""
    own = {name: home / "run" / name / "events.jsonl" for name in ("bot", "gateway", "companion")}
    return {"operator": home / "ledger" / "events.jsonl", **own}


@dataclass(frozen=True, slots=True)
class Anchor:
    """The memory that is in Vault; ``client`` has the prefix ``nasos``."""

    client: VaultClient

    def recall(self) -> dict[str, Head]:
        """Ledger name -> its remembered end.

        Raises:
            VaultError: Vault cannot be asked.
        """
        return {name: head for name, text in self._fields()[0].items() if (head := _parsed(text))}

    def remember(self, ends: dict[str, Head]) -> None:
        """Keep these ends; others stay.

        Raises:
            CheckAndSetMismatch: Somebody else did at the same moment.
            VaultError: Vault cannot be asked.
        """
        fields, version = self._fields()
        written = {name: msgspec.json.encode(head).decode() for name, head in ends.items()}
        self.client.write(PATH, {**fields, **written}, cas=version)

    def _fields(self) -> tuple[dict[str, str | Secret], int]:
        try:
            record = self.client.read(PATH)
        except SecretNotFound:
            return {}, 0
        except SecretDeleted:
            return {}, self.client.metadata(PATH).current
        return dict(record.fields), record.version


def _parsed(text: str | Secret) -> Head | None:
    try:
        return msgspec.json.decode(text.reveal() if isinstance(text, Secret) else text, type=Head)
    except msgspec.MsgspecError:
        return None
