"""What the companion is told: places and settings; made by ``nasos up``, handed over as one argument.

Rules: no secret in it; a token of ``.env`` is the operator's and is not handed on, the program has its own from Vault.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from nasos.settings import CloudflareSettings, Settings
from nasos.settings.cloudflare import CloudflareTable
from nasos.stack.home import Home
from nasos.stack.ports import Ports


class Duties(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    owner: str
    containers: str
    zone_id: str | None
    table: CloudflareTable
    vault: str
    ca_file: Path
    credential: Path
    directory: Path
    """Its own."""
    ledger: Path

    @classmethod
    def of(cls, home: Home, settings: Settings, ports: Ports) -> Duties:
        """What these settings say."""
        record, table, own = home.record(), settings.cloudflare.table, home.run("companion")
        where = table.containers or ""
        if where and "://" not in where:
            where = str((settings.project or Path.cwd()) / Path(where).expanduser())
        return cls(
            owner=table.owner or (record.id if record else ""),
            containers=where,
            zone_id=settings.cloudflare.zone_id,
            table=table,
            vault=f"https://127.0.0.1:{ports.vault}",
            ca_file=home.tls / "ca.pem",
            credential=home.credentials / "companion.json",
            directory=own,
            # With a user of its own it could forge what the operator's ledger says of others.
            ledger=own / "events.jsonl" if home.users.separate else home.ledger,
        )

    def encode(self) -> str:
        """As an argument of the program."""
        return msgspec.json.encode(self, enc_hook=str).decode()

    @classmethod
    def decode(cls, text: str) -> Duties:
        """What `encode` made."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda kind, value: kind(value))

    @property
    def settings(self) -> CloudflareSettings:
        """As `nasos.cloudflare.site` wants them."""
        return CloudflareSettings(api_token=None, zone_id=self.zone_id, table=self.table)
