"""What one gateway is told when it starts: places, ports and names. No secret, and nothing that it would look up."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Bot(msgspec.Struct, frozen=True, kw_only=True):
    """A bot behind the gateway."""

    name: str
    port: int
    """Of its API: https."""
    hosts: tuple[str, ...]
    """Under which names of the front door it is reached."""
    address: str = "127.0.0.1"
    """Where it listens."""
    ca: Path | None = None
    """Who must have signed its certificate; None: the stack's own CA."""
    shown: str = "bot.localhost"
    """The name that its certificate must carry."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    port: int
    """Where nginx, and nobody else, asks."""
    tls: Path
    """Directory with ``gateway.pem``, ``gateway.key`` and ``ca.pem``."""
    client: str
    """The name that a client's certificate must carry."""
    vault: str
    """Address of the server."""
    credential: Path
    """RoleID and SecretID of the role ``gateway``."""
    database: Path
    """Sessions and API tokens, as hashes."""
    ledger: Path
    bots: tuple[Bot, ...]

    def encode(self) -> str:
        """As an argument of the program."""
        return msgspec.json.encode(self, enc_hook=str).decode()

    @classmethod
    def decode(cls, text: str) -> Config:
        """What `encode` made."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda kind, value: kind(value))

    def bot(self, host: str) -> Bot | None:
        """The bot of a ``Host`` header; None: nobody is reached under that name."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        return next((bot for bot in self.bots if name in bot.hosts), None)
