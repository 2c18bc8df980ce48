"""The answer to ``sys/init`` while it is needed, and what is left of it for the operator.

Rules: that we are about to initialize is written down before the request, the answer before anything is done with
it; both private. ``recovery.json`` gets the key shares and plain advice, never the root token. A server is begun
again only on proof that the initialization was ours and that nothing was ever stored: our own note, and no trace of
anything later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import FileRefused
from nasos.files import atomic_write, fsync_directory, read_private
from nasos.secret import Secret
from nasos.vault.system import Initialized, SealStatus, Shares


class InitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """``vault/bootstrap.json``: first the intent, then the answer."""

    address: str
    """The server that was, or was about to be, initialized."""
    root_token: Secret | None = None
    """None: the answer has not arrived (yet)."""
    keys: tuple[Secret, ...] = ()
    threshold: int = 1
    unseals_itself: bool = True
    """The keys are recovery keys; else they are shares of the unseal key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where bootstrap keeps what."""

    answer: Path
    """``bootstrap.json`` while bootstrapping."""
    recovery: Path
    """``recovery.json``, for the operator to take away."""
    credentials: Path
    """Directory of the roles' files."""

    @property
    def lock(self) -> Path:
        """Held by whoever changes server and files together."""
        return self.answer.with_suffix(".lock")

    @classmethod
    def below(cls, home: Path) -> Files:
        """The places in a state directory."""
        return cls(
            answer=home / "vault" / "bootstrap.json",
            recovery=home / "recovery.json",
            credentials=home / "credentials",
        )

    def load(self) -> InitRecord | None:
        """What an earlier bootstrap left; None when it finished or never began.

        Raises:
            FileRefused: It is there but open to others, or damaged.
        """
        if not self.answer.exists():
            return None
        try:
            return msgspec.json.decode(read_private(self.answer), type=InitRecord, dec_hook=_hidden)
        except msgspec.MsgspecError:
            raise FileRefused(
                f"{self.answer} is damaged; it holds the only keys of a half-made vault", "restore it, or start afresh"
            ) from None

    def note_intent(self, address: str) -> None:
        """Before ``sys/init``: from here on an initialized server without an answer is our own accident."""
        self._write(InitRecord(address=address))

    def note_answer(self, address: str, status: SealStatus, shares: Shares, said: Initialized) -> InitRecord:
        """Right after ``sys/init``, before anything else."""
        record = InitRecord(
            address=address,
            root_token=said.root_token,
            keys=said.keys,
            threshold=shares.threshold,
            unseals_itself=status.recovery_seal,
        )
        self._write(record)
        return record

    def forget(self) -> None:
        """Remove the note: nothing of it is needed any more."""
        self.answer.unlink(missing_ok=True)
        fsync_directory(self.answer.parent)

    def never_used(self) -> bool:
        """Whether the server's data holds nothing: ours by our note, and no key, credential or recovery file exists."""
        record = self.load()
        return (
            record is not None
            and record.root_token is None
            and not self.recovery.exists()
            and not any(self.credentials.glob("*.json"))
        )

    def write_recovery(self, record: InitRecord, now: datetime) -> None:
        """Hand the key shares to the operator."""
        document = {
            "address": record.address,
            "created": now.isoformat(timespec="seconds"),
            "kind": "recovery key" if record.unseals_itself else "unseal key",
            "threshold": record.threshold,
            "keys": record.keys,
            "advice": _ADVICE_RECOVERY if record.unseals_itself else _ADVICE_UNSEAL,
        }
        content = msgspec.json.format(msgspec.json.encode(document, enc_hook=_revealed), indent=2)
        atomic_write(self.recovery, content + b"\n")

    def _write(self, record: InitRecord) -> None:
        atomic_write(self.answer, msgspec.json.encode(record, enc_hook=_revealed) + b"\n")


_MOVE: Final = "Move this file off this machine (password manager, paper, a safe), then delete it here."

_ADVICE_RECOVERY: Final = (
    _MOVE,
    "The server unseals itself with its key file; this recovery key does not unseal it and cannot replace that file.",
    "Keep a copy of the unseal key file as well, in another place than this one.",
    "With the recovery key all credentials can be made anew when they are lost: nasos vault recover.",
)
_ADVICE_UNSEAL: Final = (
    _MOVE,
    "After each start the server waits for these keys: nasos vault unseal.",
    "Give the shares to different people; whoever has as many as the threshold can open the vault.",
    "If fewer than the threshold are left, everything in the vault is lost for ever.",
)


def _hidden(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError


def _revealed(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


Wipe = Callable[[], None]
"""Ends the server, removes its data and starts it empty; given by who owns the embedded server."""
