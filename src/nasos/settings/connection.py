"""How to reach one Vault: address, CA, credential.

Rules: no default credential; half of a pair is an error; plain http only to a loopback address, allowed by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from nasos.errors import SettingsError
from nasos.files import read_private
from nasos.secret import Secret
from nasos.settings.dotenv import read_dotenv


@dataclass(frozen=True, slots=True)
class Token:
    """A ready token."""

    value: Secret


@dataclass(frozen=True, slots=True)
class AppRole:
    """RoleID and SecretID; the SecretID may stand in a file that is read anew at each login."""

    role_id: str
    secret_id: Secret | None = None
    secret_id_file: Path | None = None
    wrapped: bool = False
    """The SecretID is a wrapping token and must be unwrapped exactly once."""


@dataclass(frozen=True, slots=True)
class VaultConnection:
    """All that a client needs to speak to one Vault."""

    address: str
    """``https://host:port``, without a path."""
    ca_file: Path | None
    """CA to trust; None trusts the system's."""
    credential: Token | AppRole | None
    namespace: str | None = None
    allow_plain: bool = False
    """Plain http was allowed by name; even then to a loopback address only."""


def connection_file(path: Path) -> VaultConnection | None:
    """What a private file like ``.env`` says about Vault (a local stack writes ``app.env``); None without the file.

    Raises:
        FileRefused: Other users can read or replace it, or this user cannot read it.
        SettingsError: A line cannot be understood.
    """
    try:
        if not path.is_file():
            return None
    except PermissionError:
        pass  # read_private says whose it is
    read_private(path)
    return connection(read_dotenv(path))


def connection(values: Mapping[str, str]) -> VaultConnection | None:
    """What ``VAULT_ADDR`` and its companions say; None when it is not set."""
    address = (values.get("VAULT_ADDR") or "").strip()
    if not address:
        return None
    ca_file, allow_plain = values.get("VAULT_CACERT"), values.get("NASOS_ALLOW_PLAIN_HTTP") == "1"
    return VaultConnection(
        address=vault_address(address, allow_plain=allow_plain),
        ca_file=Path(ca_file).expanduser() if ca_file else None,
        credential=_credential(values),
        namespace=(values.get("VAULT_NAMESPACE") or "").strip("/ ") or None,
        allow_plain=allow_plain,
    )


def vault_address(address: str, *, allow_plain: bool = False) -> str:
    """``address`` without trailing slash, if a token may be sent there.

    Raises:
        SettingsError: Not an http(s) URL, has user info, path or query, or is plain http and not an
            explicitly allowed loopback address.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = None, None
    # The whole of what is left must be host and port: user info (also an empty user with a password) never passes.
    clean = parts and not (parts.query or parts.fragment or parts.path not in ("", "/"))
    named = parts and re.fullmatch(r"[A-Za-z0-9._-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?", parts.netloc)
    if parts is None or parts.scheme not in ("http", "https") or not host or not clean or not named:
        raise SettingsError("VAULT_ADDR is not an address like https://host:8200", "VAULT_ADDR=https://127.0.0.1:8200")
    if parts.scheme == "http" and not (allow_plain and _loopback(host)):
        raise SettingsError(
            f"VAULT_ADDR is plain http ({host}): a token would travel readable",
            "use https://, or for a loopback address only NASOS_ALLOW_PLAIN_HTTP=1",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _credential(values: Mapping[str, str]) -> Token | AppRole | None:
    token = secret_of(values.get("VAULT_TOKEN"))
    if token:
        return Token(token)
    role_id = (values.get("VAULT_ROLE_ID") or "").strip()
    secret_id, file = secret_of(values.get("VAULT_SECRET_ID")), values.get("VAULT_SECRET_ID_FILE")
    if not role_id and not (secret_id or file):
        return None
    if not role_id or not (secret_id or file):
        missing = "VAULT_SECRET_ID" if role_id else "VAULT_ROLE_ID"
        raise SettingsError(f"half of the AppRole pair is missing: {missing} is not set", f"set {missing} in .env")
    return AppRole(
        role_id=role_id,
        secret_id=secret_id,
        secret_id_file=None if secret_id or not file else Path(file).expanduser(),
        wrapped=values.get("VAULT_SECRET_ID_WRAPPED") == "1",
    )


def secret_of(value: str | None) -> Secret | None:
    """A non-empty value as a secret."""
    # A trailing newline is the usual leftover of `echo token > file` (external-dns, favonia #1053).
    return Secret(value.strip()) if value and value.strip() else None
