"""``nasos.toml``, ``.env`` and the environment become frozen structs; the only reader of ``os.environ``.

Rules: the environment beats ``.env`` beats ``nasos.toml`` beats the default. An unknown or misspelt key is an
error that names file, line or key, and the nearest known one; nothing is guessed. A ``.env`` that holds a
secret must be private. No default credential exists. Callers are handed slices, never the whole.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from nasos.errors import NameRefused, SettingsError
from nasos.files import read_private
from nasos.secret import Secret

DEFAULT_PORT: Final = 8443

ENVIRONMENT_KEYS: Final = {
    "NASOS_HOME": "state directory of the stack",
    "NASOS_PROJECT": "checkout that holds nasos.toml and .env; set by ./nasos",
    "NASOS_KEY_DIR": "directory of the unseal key, outside NASOS_HOME",
    "NASOS_PORT": "HTTPS port; the internal ports follow it",
    "NASOS_ALLOW_PLAIN_HTTP": "1 allows VAULT_ADDR over plain http on loopback",
    "VAULT_ADDR": "address of Vault or OpenBao",
    "VAULT_TOKEN": "token; or use the AppRole pair",
    "VAULT_ROLE_ID": "AppRole RoleID",
    "VAULT_SECRET_ID": "AppRole SecretID",
    "VAULT_SECRET_ID_FILE": "file with the AppRole SecretID (preferred: the value stays out of .env)",
    "VAULT_SECRET_ID_WRAPPED": "1 when the SecretID is a response-wrapping token, to be unwrapped once",
    "VAULT_CACERT": "PEM file of the CA that signed Vault's certificate",
    "VAULT_NAMESPACE": "Vault or OpenBao namespace",
    "CLOUDFLARE_API_TOKEN": "Cloudflare API token",
    "CLOUDFLARE_ZONE_ID": "Cloudflare zone",
}
"""Every name read from the environment or ``.env``, with its one-line meaning (docs/settings.md lists them)."""

_SECRET_KEYS: Final = ("VAULT_TOKEN", "VAULT_SECRET_ID", "CLOUDFLARE_API_TOKEN")
_OURS: Final = ("NASOS_", "VAULT_", "CLOUDFLARE_")

Port = Annotated[int, msgspec.Meta(ge=1024, le=65535)]
# \Z, not $: "$" would let a newline through at the end, into a policy name or nginx.conf.
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,30}\Z")]
Address = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f:.]{2,45}\Z")]
Host = Annotated[str, msgspec.Meta(pattern=r"^(?:\*\.)?[A-Za-z0-9:][A-Za-z0-9:._-]{0,252}\Z")]


class StackSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[stack]``: where the one-machine stack listens."""

    port: Port | None = None
    """HTTPS port; Vault, PostgreSQL, the bot's API and the demo exchange take the four ports after it."""
    listen: Address = "127.0.0.1"
    """Address that nginx listens on; everything else is on loopback always."""


class VaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[vault]``: the embedded server."""

    seal: Literal["static", "shamir"] = "static"
    """``static`` unseals by a key file at start; ``shamir`` waits for a person with ``nasos vault unseal``."""
    key_dir: str | None = None
    """Directory of the unseal key; must lie outside ``NASOS_HOME``."""


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[tls]``: names on the edge certificate."""

    hosts: tuple[Host, ...] = ("localhost",)
    """DNS names and addresses under which the edge is reached."""


class BotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[bot]``: the trading bot."""

    name: Name = "nasos"
    """The bot's name: part of its Vault role, database roles and paths."""
    strategy: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")] = "NASOSv5_mod3"
    """Strategy class; ours is shipped, others are looked up in the bot's ``user_data/strategies``."""
    exchange: Literal["demo", "config"] = "demo"
    """``demo`` trades a synthetic market on loopback; ``config`` uses the exchange of ``config``."""
    config: str | None = None
    """The operator's own freqtrade configuration (without secrets), laid under ours."""
    dry_run: bool = True
    """Simulated orders; only ``false`` with ``exchange = "config"`` trades real money."""
    python: str | None = None
    """Interpreter of the bot's own virtual environment; default ``.venv-bot/bin/python`` of the checkout."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of ``nasos.toml``."""

    stack: StackSettings = StackSettings()
    vault: VaultSettings = VaultSettings()
    tls: TlsSettings = TlsSettings()
    bot: BotSettings = BotSettings()


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


@dataclass(frozen=True, slots=True)
class CloudflareSettings:
    """What ``.env`` says about Cloudflare."""

    api_token: Secret | None
    zone_id: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured."""

    home: Path
    """State directory, absolute."""
    project: Path | None
    """The checkout, where there is one."""
    key_dir: Path | None
    """Explicit directory of the unseal key."""
    port: int | None
    """HTTPS port from the environment, ``.env`` or ``nasos.toml``; None when nobody said."""
    stack: StackSettings
    vault: VaultSettings
    tls: TlsSettings
    bot: BotSettings
    cloudflare: CloudflareSettings
    vault_connection: VaultConnection | None
    """From ``VAULT_ADDR`` and its companions; None when ``VAULT_ADDR`` is not set."""

    def bot_python(self) -> Path:
        """The interpreter of the bot's own virtual environment; not resolved: the link's place decides what it sees.

        Raises:
            SettingsError: Nobody says where freqtrade is installed.
        """
        if self.bot.python:
            return Path(self.bot.python).expanduser().absolute()
        if self.project is None:
            raise SettingsError("nobody says where freqtrade is installed", "set python in [bot] of nasos.toml")
        return self.project / ".venv-bot" / "bin" / "python"


def load(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """Read environment, ``.env`` and ``nasos.toml`` (both from the project, else from ``cwd``).

    Raises:
        SettingsError: Anything unreadable, unknown or contradictory; names file and line or key.
        FileRefused: A ``.env`` with secrets that others can read.
    """
    environment = os.environ if environ is None else environ
    here = cwd or Path.cwd()
    project = _project(environment)
    places = [here, project] if project and project != here else [here]
    values = _merged(environment, places)
    document = _document(places)
    return Settings(
        home=_home(values, project),
        project=project,
        key_dir=_key_dir(values, document),
        port=_port(values.get("NASOS_PORT")) or document.stack.port,
        stack=document.stack,
        vault=document.vault,
        tls=document.tls,
        bot=document.bot,
        cloudflare=CloudflareSettings(
            api_token=_secret(values.get("CLOUDFLARE_API_TOKEN")),
            zone_id=(values.get("CLOUDFLARE_ZONE_ID") or "").strip() or None,
        ),
        vault_connection=_connection(values),
    )


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
    return _connection(_dotenv(path))


def child_environment(keep: tuple[str, ...] = (), environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """A clean environment for a child: what programs need to run, nothing that we were configured with."""
    environment = os.environ if environ is None else environ
    wanted = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TERM", "TMPDIR", *keep)
    return {name: environment[name] for name in wanted if name in environment}


def _project(environment: Mapping[str, str]) -> Path | None:
    named = environment.get("NASOS_PROJECT")
    if named:
        return Path(named).resolve()
    root = Path(__file__).resolve().parents[2]
    return root if (root / "scripts" / "setup_security.sh").is_file() else None


def _home(values: Mapping[str, str], project: Path | None) -> Path:
    named = values.get("NASOS_HOME")
    if named:
        return Path(named).expanduser().resolve()
    if project:
        return project / ".nasos"
    state = values.get("XDG_STATE_HOME") or f"{values.get('HOME', '~')}/.local/state"
    return Path(state).expanduser().resolve() / "nasos"


def _key_dir(values: Mapping[str, str], document: Document) -> Path | None:
    named = values.get("NASOS_KEY_DIR") or document.vault.key_dir
    return Path(named).expanduser().resolve() if named else None


def _secret(value: str | None) -> Secret | None:
    # A trailing newline is the usual leftover of `echo token > file` (external-dns, favonia #1053).
    return Secret(value.strip()) if value and value.strip() else None


def _port(value: str | None) -> int | None:
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{4,5}", value) or not 1024 <= int(value) <= 65530:
        raise SettingsError(f"NASOS_PORT is {value!r}, not a port from 1024 to 65530", "NASOS_PORT=8443")
    return int(value)


def _merged(environment: Mapping[str, str], places: list[Path]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for place in reversed(places):
        path = place / ".env"
        if path.is_file():
            merged |= _set(_dotenv(path))
    return merged | _set(environment)


def _set(values: Mapping[str, str]) -> dict[str, str]:
    # An empty variable means "not set" (compose passes those), so that it cannot hide a value further down.
    return {name: value for name, value in values.items() if value}


_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")
_QUOTED: Final = re.compile(r"""(?:"([^"]*)"|'([^']*)')\s*(?:\s#.*)?""")


def _dotenv(path: Path) -> dict[str, str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}", f'"file {path}" may tell') from None
    values: dict[str, str] = {}
    # Not splitlines(): it also breaks at U+2028 and form feeds, inside a value.
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            # Never echo the line: it may be a secret without its name.
            raise SettingsError(f"{path} line {number} is not NAME=value", f"edit line {number} of {path}")
        name, value = match.groups()
        _known(name, f"{path} line {number}")
        values[name] = _unquoted(value, name, f"{path} line {number}")
    if any(values.get(name) for name in _SECRET_KEYS):
        read_private(path)
    return values


def _unquoted(value: str, name: str, where: str) -> str:
    text = value.strip()
    if text[:1] not in ("'", '"'):
        return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
    quoted = _QUOTED.fullmatch(text)
    if not quoted:
        raise SettingsError(
            f"{where}: {name} is not one quoted value", f"close the quote of {name}, with nothing after"
        )
    return quoted[1] if quoted[1] is not None else quoted[2]


def _known(name: str, where: str) -> None:
    """Refuse a misspelt name of ours; other programs' names in the same .env are theirs."""
    if name in ENVIRONMENT_KEYS or not name.startswith(_OURS):
        return
    close = difflib.get_close_matches(name, ENVIRONMENT_KEYS, n=1, cutoff=0.8)
    if close:
        raise SettingsError(f"{where}: unknown name {name}", f"did you mean {close[0]}?")
    if name.startswith("NASOS_"):
        raise SettingsError(f"{where}: unknown name {name}", "see docs/settings.md for all names")


def _document(places: list[Path]) -> Document:
    for place in places:
        path = place / "nasos.toml"
        if path.is_file():
            return parse_document(path)
    return Document()


def parse_document(path: Path) -> Document:
    """Read one ``nasos.toml``.

    Raises:
        SettingsError: Names the line (syntax) or the key (meaning), and the nearest known key.
    """
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}", f"edit {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}", f'"file {path}" may tell') from None
    except (ValueError, RecursionError):  # tomllib's own limits: endless digits, endless brackets
        raise SettingsError(f"{path} holds a number or a nesting beyond all bounds", f"edit {path}") from None
    _refuse_unknown(raw, path)
    try:
        return msgspec.convert(raw, Document)
    except msgspec.ValidationError as error:
        reason = re.sub(r" matching regex .* - at ", " of the allowed characters - at ", str(error), flags=re.DOTALL)
        reason = reason.replace("`", '"').replace('"$.', '"')
        raise SettingsError(f"{path}: {reason[:1].lower()}{reason[1:]}", "see docs/settings.md") from None


def _refuse_unknown(raw: dict[str, object], path: Path) -> None:
    tables = {field.name: field.type for field in msgspec.structs.fields(Document)}
    for table, content in raw.items():
        known: dict[str, tuple[str, ...]] = {name: struct.__struct_fields__ for name, struct in tables.items()}
        if table not in known:
            raise _unknown(f"[{table}]", table, tuple(known), path)
        if not isinstance(content, dict):
            raise SettingsError(f"{path}: {table} is a table", f"write [{table}] on its own line")
        for key in content:
            if key not in known[table]:
                raise _unknown(f"{table}.{key}", key, known[table], path)


def _unknown(shown: str, name: str, known: tuple[str, ...], path: Path) -> SettingsError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
    return SettingsError(f"{path}: unknown key {shown}", hint)


def _connection(values: Mapping[str, str]) -> VaultConnection | None:
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
    token = _secret(values.get("VAULT_TOKEN"))
    if token:
        return Token(token)
    role_id = (values.get("VAULT_ROLE_ID") or "").strip()
    secret_id, file = _secret(values.get("VAULT_SECRET_ID")), values.get("VAULT_SECRET_ID_FILE")
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


_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


def bot_name(text: str) -> str:
    """``text``, if it can be a bot's name.

    Raises:
        NameRefused: It would not be safe as part of a Vault path, a role name and a file name.
    """
    if not _NAME.fullmatch(text):
        raise NameRefused(f"{text!r} cannot be a bot's name", "use a-z, 0-9 and -, starting with a letter")
    return text


__all__ = [
    "DEFAULT_PORT",
    "ENVIRONMENT_KEYS",
    "AppRole",
    "BotSettings",
    "CloudflareSettings",
    "Document",
    "Settings",
    "StackSettings",
    "TlsSettings",
    "Token",
    "VaultConnection",
    "VaultSettings",
    "bot_name",
    "child_environment",
    "connection_file",
    "load",
    "parse_document",
    "vault_address",
]
