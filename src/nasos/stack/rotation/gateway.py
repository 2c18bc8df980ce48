"""What rotates of the gateway: the ring of its signing keys, made by the first ``nasos up``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from nasos.errors import CheckAndSetMismatch, SecretNotFound
from nasos.rotation.rotator import Part, Unit
from nasos.vault import VaultClient

SIGNING: Final = "gateway/signing"


def units() -> dict[str, Unit]:
    """The ring; whoever verifies by it reads it anew, and knows the next key already."""
    from nasos.rotation.signing_keys import SigningKeys

    return {SIGNING: Unit(SIGNING, (Part(SIGNING, SigningKeys(lambda: datetime.now(UTC))),))}


def ensure_signing_keys(vault: VaultClient) -> None:
    """A first ring, where there is none.

    Raises:
        VaultError: It cannot be looked at, or not be written.
    """
    try:
        vault.read(SIGNING)
    except SecretNotFound:
        from nasos.rotation.signing import Ring, encoded

        try:
            vault.write(SIGNING, encoded(Ring.first(datetime.now(UTC))), cas=0)
        except CheckAndSetMismatch:  # somebody else was faster
            return
