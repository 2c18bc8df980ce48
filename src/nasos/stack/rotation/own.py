"""What rotates of the user's own secrets: ``[rotation.secrets]`` of ``nasos.toml``.

Rules: who reads such a secret is not known here and cannot be seen, so that old and new both work for the whole of the
overlap, where the target can hold two. Where it cannot, there is nothing to wait for. The rotator's policy has exactly
these secrets, as ``nasos up`` writes it.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nasos.database import Endpoint, Login
from nasos.errors import PermissionDenied, SettingsError
from nasos.rotation.command import Command
from nasos.rotation.journal import Fields
from nasos.rotation.password import RandomFields
from nasos.rotation.postgres import LOGIN, AlternatingRoles
from nasos.rotation.rotator import Part, Rotator, Sight, Unit
from nasos.rotation.single_role import SingleRole
from nasos.settings import OwnSecret
from nasos.stack import postgres
from nasos.stack.embedded import Stack
from nasos.vault import VaultClient

SPARE: Final = 30.0
"""Seconds by which the deadline lies after the overlap, which is waited for in full."""


@dataclass(slots=True)
class Readers:
    """A `Consumer` that nobody can see: the programs that read a secret of the user's. Given time, and no more."""

    seconds: float
    name: str = "its readers"
    _told: float = field(default=0.0, init=False)

    def deliver(self, *, urgent: bool) -> None:
        """See `Consumer.deliver`: they read by themselves."""
        self._told = time.monotonic()

    def look(self, current: Mapping[str, Fields]) -> Sight:
        """See `Consumer.look`."""
        return Sight.WAITING if time.monotonic() - self._told < self.seconds else Sight.ABSENT


def units(stack: Stack, vault: VaultClient) -> dict[str, Unit]:
    """One unit per secret, under its name."""
    return {name: _unit(stack, vault, name, own) for name, own in stack.settings.rotation.secrets.items()}


def _unit(stack: Stack, vault: VaultClient, name: str, own: OwnSecret) -> Unit:
    overlaps = own.rotator not in {"random", "postgres-single"} and own.overlap > 0
    readers = (Readers(own.overlap),) if overlaps else ()
    fields = {"random": tuple(own.fields), "postgres-single": LOGIN, "postgres-alternating": LOGIN}
    part = Part(name, _rotator(stack, vault, name, own), fields.get(own.rotator, ()))
    return Unit(name, (part,), readers, own.overlap + SPARE)


def _rotator(stack: Stack, vault: VaultClient, name: str, own: OwnSecret) -> Rotator:
    def current() -> Fields:
        return _read(vault, name)

    if own.rotator == "random":
        return RandomFields(own.fields)
    if own.rotator == "command":
        return Command(own.program, name, current, own.seconds)
    if ":" in own.rotator:
        return theirs(name, own, current)
    server, database = _server(stack, own), own.database or ""
    if own.rotator == "postgres-single":
        return SingleRole(server, current, database, _admin(vault, own))
    return AlternatingRoles(server, _admin(vault, own) or (lambda: postgres.admin_login(vault)), database)


def theirs(name: str, own: OwnSecret, current: Callable[[], Fields]) -> Rotator:
    """Somebody else's class: it has to be installed beside nasos, and has every right of the rotator's process."""
    module, _, kind = own.rotator.partition(":")
    try:
        made: Rotator = getattr(importlib.import_module(module), kind)(name=name, current=current, options=own.options)
    except (ImportError, AttributeError, TypeError, LookupError, ValueError) as error:
        raise SettingsError(
            f"the rotator {own.rotator} of {name} cannot be made: {type(error).__name__}",
            f"it is made as {kind}(name=..., current=..., options=...), in .venv",
        ) from None
    return made


def _server(stack: Stack, own: OwnSecret) -> Endpoint:
    ca_file = Path(own.ca_file).expanduser().absolute() if own.ca_file else stack.ca_file
    return Endpoint(own.port or stack.ports.postgres, ca_file, host=own.host)


def _admin(vault: VaultClient, own: OwnSecret) -> Callable[[], Login] | None:
    name = own.admin
    if name is None:
        return None

    def login() -> Login:
        fields = _read(vault, name)
        if "username" not in fields or "password" not in fields:
            raise SettingsError(f"{name} has no username and password", f"nasos secret set {name} --field username")
        return Login(fields["username"].reveal(), fields["password"])

    return login


def _read(vault: VaultClient, name: str) -> Fields:
    try:
        return vault.read(name).fields
    except PermissionDenied:
        raise SettingsError(
            f"the rotator may not read {name} yet", "./nasos up gives it what nasos.toml says"
        ) from None
