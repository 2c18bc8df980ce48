"""What the watcher knows from Vault, as the role ``watcher``: where alerts go, and where the ledgers ended.

Rules: Vault's memory of an end moves on only while the ledger still holds what was remembered. What contradicts it is
recorded, once, and the memory stays as it is until the operator accepts what is there.
"""

from __future__ import annotations

from pathlib import Path

from nasos.ledger import DAMAGED, Head, Ledger, Outcome, Remembered, verify
from nasos.notify import Channel
from nasos.stack.watcher import channels
from nasos.stack.watcher.anchor import Anchor, paths
from nasos.vault import VaultClient


class InVault:
    """The channels and the ledgers' ends."""

    def __init__(self, home: Path, client: VaultClient) -> None:
        self._paths, self._client = paths(home), client
        self._told: set[str] = set()

    def channels(self) -> list[Channel]:
        """Where alerts go."""
        return channels.read(self._client)

    def anchor(self, places: dict[str, Head], anchored: dict[str, Head]) -> dict[str, Head]:
        """Make Vault remember ``places`` where that is right; return what was remembered."""
        anchor = Anchor(self._client)
        known = anchor.recall()
        good = {name: place for name, place in places.items() if self._holds(name, known.get(name), anchored.get(name))}
        if any(known.get(name) != place for name, place in good.items()):
            anchor.remember(good)
        return good

    def _holds(self, name: str, known: Head | None, ours: Head | None) -> bool:
        """From what we remembered ourselves the chain was followed; anything else is held to the whole ledger."""
        if known is None or known == ours:
            return True
        damages = verify(self._paths[name], [Remembered("Vault", known)]).damages
        # More than one: the ledger says itself already that something was done to it.
        if len(damages) == 1 and known.hash not in self._told:
            self._told.add(known.hash)
            ledger = Ledger(self._paths["operator"], "watcher")
            ledger.append(DAMAGED, str(self._paths[name]), Outcome.FAILED, {"why": damages[0].text})
        return not damages
