"""What the commands work with: token, zones, owner, rules.

Rules: for records a token of ``.env`` or the environment comes first, else Vault's ``cloudflare/companion``. For the
zone's settings, rules and certificates Vault's ``cloudflare/zone`` comes first: a token that may do both is more than
the companion should have. No owner is guessed, because two installations with one owner would remove each other's
records.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nasos.cli.context import operator_client
from nasos.cloudflare.tokens import FIELD, RECORDS, ZONE, token_in
from nasos.errors import PlatformUnsupported, SecretNotFound, SettingsError, UsageError
from nasos.secret import Secret
from nasos.settings import Settings

if TYPE_CHECKING:
    from nasos.cloudflare.answers import Zone
    from nasos.cloudflare.client import Client
    from nasos.cloudflare.labels import Desired
    from nasos.cloudflare.plan import Terms

FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted, and on which terms."""

    desired: Desired
    terms: Terms


def require_extra() -> None:
    """The libraries are there.

    Raises:
        PlatformUnsupported: The extra is not installed.
    """
    try:
        import httpx  # noqa: F401  only whether it is there
        import yaml  # noqa: F401
    except ModuleNotFoundError as missing:
        raise PlatformUnsupported(
            f"{missing.name} is not installed, which Cloudflare needs", "uv sync --extra cloudflare --inexact"
        ) from None


def client_of(settings: Settings) -> Client:
    """A client with the configured token.

    Raises:
        SettingsError: There is no token.
    """
    from nasos.cloudflare.client import Client

    return Client(token_of(settings), settings.cloudflare.table.api)


def token_of(settings: Settings) -> Secret:
    """The configured token: it may do what the companion does.

    Raises:
        SettingsError: There is none.
    """
    token = settings.cloudflare.api_token or stored(settings, RECORDS)
    if token is None:
        raise _no_token(RECORDS)
    return token


def zone_client_of(settings: Settings) -> Client:
    """A client that may change the zone's settings, rules and certificates.

    Raises:
        SettingsError: There is no token.
    """
    from nasos.cloudflare.client import Client

    token = stored(settings, ZONE) or settings.cloudflare.api_token
    if token is None:
        raise _no_token(ZONE)
    return Client(token, settings.cloudflare.table.api)


def _no_token(path: str) -> SettingsError:
    return SettingsError(
        "there is no Cloudflare API token",
        f"set CLOUDFLARE_API_TOKEN in .env, or run: nasos secret set {path} --field {FIELD}",
    )


def stored(settings: Settings, path: str) -> Secret | None:
    """What is in Vault; None where there is no Vault, or nothing there."""
    if not settings.vault_connection and not (settings.home / "stack.json").exists():
        return None
    try:
        with operator_client(settings=settings) as vault:
            fields = vault.read(path).fields
    except SecretNotFound:
        return None
    return token_in(fields, path)


def owner_of(settings: Settings) -> str:
    """What marks records as ours.

    Raises:
        SettingsError: Nobody said, and there is no stack.
    """
    from nasos.stack.home import Home
    from nasos.stack.users import Users

    if settings.cloudflare.table.owner:
        return settings.cloudflare.table.owner
    record = Home(settings.home, Users.of_this_process()).record() if settings.home.is_dir() else None
    if record is None:
        raise SettingsError(
            "nothing says which records are ours: there is no stack here, and no owner in nasos.toml",
            'owner = "home" under [cloudflare] in nasos.toml',
        )
    return record.id


def wish_of(settings: Settings, zones: tuple[Zone, ...], compose: str | None, *, prune: bool) -> Wish:
    """What the compose file asks for."""
    from nasos.cloudflare.compose import containers
    from nasos.cloudflare.labels import desired
    from nasos.cloudflare.site import rules_of, terms_of

    found = desired(containers(_text(compose)), rules_of(settings.cloudflare, zones))
    terms = terms_of(settings.cloudflare, owner_of(settings))
    held = frozenset(each.source for each in found.mistakes)
    return Wish(found, replace(terms, grace=timedelta() if prune else terms.grace, held=held))


def _text(compose: str | None) -> str:
    from nasos.cloudflare.compose import LARGEST, RESOLVED

    if compose == "-":
        raw = sys.stdin.buffer.read(LARGEST + 1)
    else:
        path = Path(compose) if compose else next((Path(name) for name in FILES if Path(name).is_file()), None)
        if path is None:
            raise UsageError("there is no compose file here", "nasos cloudflare plan --compose FILE")
        try:
            with path.open("rb") as file:
                raw = file.read(LARGEST + 1)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {(error.strerror or '').lower()}", f"ls -l {path}") from None
    if len(raw) > LARGEST:
        raise UsageError("the compose file is larger than 1 MiB", RESOLVED)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the compose file is no UTF-8 text", RESOLVED) from None
