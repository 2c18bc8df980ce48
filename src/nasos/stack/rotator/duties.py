"""What the rotator is told: where the stack is, and its settings; made by ``nasos up``, handed over as one argument.

Rules: no secret in it; ``nasos.toml`` may lie where the program may not look, and is not read again.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from nasos.settings import BotSettings, RotationSettings, Settings, StackSettings, TlsSettings, VaultSettings, load

SECONDS: Final = 300
"""From one look to the next."""


class Duties(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    home: Path
    project: Path | None
    key_dir: Path | None
    runtime_dir: Path | None
    session_dir: Path | None
    stack: StackSettings
    vault: VaultSettings
    tls: TlsSettings
    bot: BotSettings
    rotation: RotationSettings

    @classmethod
    def of(cls, settings: Settings, key_dir: Path | None) -> Duties:
        """What these settings say; ``key_dir`` is where the unseal key is: the program has another ``HOME``."""
        return cls(
            home=settings.home, project=settings.project, key_dir=key_dir, runtime_dir=settings.runtime_dir,
            session_dir=settings.session_dir,
            stack=settings.stack, vault=settings.vault, tls=settings.tls, bot=settings.bot, rotation=settings.rotation,
        )  # fmt: skip

    def encode(self) -> str:
        """As an argument of the program."""
        return msgspec.json.encode(self, enc_hook=str).decode()

    @property
    def digest(self) -> str:
        """Another one for other orders."""
        return hashlib.sha256(self.encode().encode()).hexdigest()[:16]

    @classmethod
    def decode(cls, text: str) -> Duties:
        """What `encode` made."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda kind, value: kind(value))

    def settings(self) -> Settings:
        """The settings of that time; nothing is read from files or the operator's environment."""
        return replace(
            load({}, files=False), home=self.home, project=self.project, key_dir=self.key_dir,
            runtime_dir=self.runtime_dir, session_dir=self.session_dir,
            stack=self.stack, vault=self.vault, tls=self.tls, bot=self.bot, rotation=self.rotation,
        )  # fmt: skip
