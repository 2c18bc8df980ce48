"""``nasos.toml``: one frozen struct per table, and an error for everything else.

Rules: an unknown key names the nearest known one; texts that end in a path, a policy or nginx's language are held to
their alphabet here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from nasos.errors import NameRefused, SettingsError
from nasos.settings.cloudflare import CloudflareTable
from nasos.settings.gateway import GatewaySettings
from nasos.settings.schedule import Times, require_sound

DEFAULT_PORT: Final = 8443

Port = Annotated[int, msgspec.Meta(ge=1024, le=65535)]
# \Z, not $: "$" would let a newline through at the end, into a policy name or nginx.conf.
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,30}\Z")]
Address = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f:.]{2,45}\Z")]
SecretName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){1,7}\Z")
]
FieldName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")]
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


class AcmeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[tls.acme]``: who signs the edge's certificate, and who puts the challenges into the DNS."""

    directory: Annotated[str, msgspec.Meta(pattern=r"^https://[!-~]{1,500}\Z")] = (
        "https://acme-v02.api.letsencrypt.org/directory"
    )
    """The CA's directory (RFC 8555 7.1.1)."""
    agree_to_terms: bool = False
    """Whether you agree to the CA's terms of service."""
    contact: Annotated[str, msgspec.Meta(pattern=r"^[!-?A-~]{1,64}@[!-?A-~]{1,190}\Z")] | None = None
    """Your mail address, for the CA."""
    program: tuple[str, ...] = ()
    """What writes the zone: absolute path and arguments; ``present`` or ``cleanup`` and the name are added."""
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 120.0
    """Patience with one call of it."""
    nameservers: tuple[str, ...] = ()
    """Who is asked whether a challenge is in the DNS; default the zone's own servers."""
    propagation_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 300.0
    """Patience with them."""
    profile: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")] | None = None
    """Which kind of certificate, where the CA has several."""
    ca_file: str | None = None
    """CA of the directory's own certificate; default the public ones."""
    roots_file: str | None = None
    """Roots that the edge's certificate must lead to; default the public ones."""
    eab_kid: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,200}\Z")] | None = None
    """Identifier of an account at the CA's that ours is tied to."""
    eab_key_file: str | None = None
    """File (0600) with that account's key, as the CA hands it out."""

    def __post_init__(self) -> None:
        """What only makes sense together."""
        if self.program and not self.program[0].startswith("/"):
            raise ValueError("program is [absolute path, arguments]")
        if (self.eab_kid is None) != (self.eab_key_file is None):
            raise ValueError("eab_kid and eab_key_file go together")


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[tls]``: the edge's certificate."""

    hosts: tuple[Host, ...] = ("localhost",)
    """DNS names and addresses under which the edge is reached."""
    mode: Literal["dev", "acme", "cloudflare"] = "dev"
    """Who signs the edge's certificate: the development CA, the CA of ``[tls.acme]``, or Cloudflare's Origin CA."""
    origin_roots_file: str | None = None
    """Roots of Cloudflare's Origin CA; default the one that is shipped."""
    acme: AcmeSettings = AcmeSettings()

    def __post_init__(self) -> None:
        """What ACME cannot do without."""
        if self.mode == "acme" and not self.acme.program:
            raise ValueError('mode = "acme" needs program under [tls.acme]')
        if self.mode != "dev" and not self.hosts:
            raise ValueError(f'mode = "{self.mode}" needs hosts under [tls]')
        for host in () if self.mode == "dev" else self.hosts:
            if host == "localhost" or ":" in host or host.rpartition(".")[2].isdecimal():
                raise ValueError(f'mode = "{self.mode}" is for DNS names, and hosts has {host}')


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


_OURS: Final = re.compile(r"bots/[^/]+/(?:api|db|jwt)|(?:postgres|gateway)/.*")
"""Secrets that have a rotator of the stack's."""


class HousekeepingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[housekeeping]``: how much is kept of logs, and what is held back of the disk."""

    rotate_mb: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 16
    """A log that is larger is put aside and compressed."""
    logs_mb: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Of each program's and of nginx's logs, compressed."""
    logs_days: Annotated[int, msgspec.Meta(ge=1)] = 90
    """The same by age."""
    audit_mb: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """Of each of Vault's two audit logs, compressed."""
    audit_days: Annotated[int, msgspec.Meta(ge=1)] = 730
    """The same by age."""
    ballast_mb: Annotated[int, msgspec.Meta(ge=0, le=65536)] = 64
    """Held back on each disk, given up when it is full; 0: nothing."""
    second_audit_dir: str | None = None
    """Directory of the second audit log, on another disk; default ``audit/second`` in the state directory."""


_POSTGRES: Final = frozenset({"host", "port", "ca_file", "database", "admin", "overlap"})
_KNOWN: Final[dict[str, frozenset[str]]] = {
    "random": frozenset({"fields"}),
    "postgres-alternating": _POSTGRES,
    "postgres-single": _POSTGRES - {"overlap"},
    "command": frozenset({"program", "seconds", "overlap"}),
}
"""Our rotators, and the keys that mean something to each."""
_CLASS: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


class OwnSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[rotation.secrets."app/<name>"]``: how one secret of the user's own is replaced."""

    rotator: str
    """``random`` makes a new value; ``postgres-alternating``, ``postgres-single`` and ``command`` change it at a
    target, too; ``package.module:Class`` is somebody else's."""
    fields: tuple[FieldName, ...] = ("value",)
    """What ``random`` replaces; the record's other fields stay."""
    program: tuple[str, ...] = ()
    """What ``command`` runs: absolute path and arguments; the step is added."""
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    """Patience with one step of ``command``."""
    overlap: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0
    """Seconds in which old and new both work, where the target can hold two."""
    host: Host = "127.0.0.1"
    """PostgreSQL's address; its certificate must be valid for it."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """PostgreSQL's port; default the stack's own server."""
    ca_file: str | None = None
    """CA of that server's certificate; default the stack's own."""
    database: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,62}\Z")] | None = None
    """Database that the login is for; with ``postgres-alternating`` also the first part of the roles' names."""
    admin: SecretName | None = None
    """Secret with ``username`` and ``password`` of whoever may change the role; ``postgres-single`` can do without."""
    options: dict[str, str] = {}
    """For somebody else's rotator; no secret belongs here."""

    def __post_init__(self) -> None:
        """What one rotator needs, and the others do not know."""
        known = _KNOWN.get(self.rotator, frozenset({"overlap", "options"}))
        if self.rotator not in _KNOWN and not _CLASS.fullmatch(self.rotator):
            raise ValueError(f"no rotator is called {self.rotator}: {', '.join(_KNOWN)}, or package.module:Class")
        default = OwnSecret.__struct_defaults__
        given = {
            name for name, value in zip(self.__struct_fields__[1:], default, strict=True)
            if getattr(self, name) not in (value, {})
        }  # fmt: skip
        if foreign := sorted(given - known):
            raise ValueError(f"{foreign[0]} means nothing to the rotator {self.rotator}")
        if self.rotator == "random" and not self.fields:
            raise ValueError("fields is empty")
        if self.rotator == "command" and not (self.program and self.program[0].startswith("/")):
            raise ValueError("the rotator command needs program = [absolute path, arguments]")
        if self.rotator.startswith("postgres-") and not self.database:
            raise ValueError(f"the rotator {self.rotator} needs a database")
        if self.port is not None and self.rotator == "postgres-alternating" and not self.admin:
            raise ValueError("two roles of another server need an admin, who may make and change them")


class RotationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[rotation]``: how old a secret may get, and when it is replaced."""

    api_key_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    """Age at which an exchange API key should be replaced, by a person."""
    api_key_ip: Literal["warn", "require"] = "warn"
    """Whether a new exchange API key has to be bound to addresses."""
    secrets: dict[SecretName, OwnSecret] = {}
    """Secrets of the user's own that rotate, by name."""
    service: bool = True
    """The stack rotates by its timetable; ``false`` leaves that to cron or a timer of systemd's."""
    schedule: dict[str, Times] = {}
    """Name or pattern of a secret -> what is not as by default."""

    @property
    def asked(self) -> tuple[str, ...]:
        """Secrets that are only read: the logins of whoever may change others."""
        return tuple(sorted({own.admin for own in self.secrets.values() if own.admin}))

    def __post_init__(self) -> None:
        """What is ours has its rotator already."""
        for name in self.secrets:
            if _OURS.fullmatch(name):
                raise ValueError(f"{name} is not yours to rotate in another way")


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of ``nasos.toml``."""

    stack: StackSettings = StackSettings()
    vault: VaultSettings = VaultSettings()
    tls: TlsSettings = TlsSettings()
    bot: BotSettings = BotSettings()
    gateway: GatewaySettings = GatewaySettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    rotation: RotationSettings = RotationSettings()
    cloudflare: CloudflareTable = CloudflareTable()

    def __post_init__(self) -> None:
        """Where each host name leads."""
        self.gateway.require_sound(self.bot.name, self.tls.hosts)


def parse_document(path: Path) -> Document:
    """Read one ``nasos.toml``.

    Raises:
        SettingsError: Names the line (syntax) or the key (meaning), and the nearest known key.
    """
    import tomllib  # many have no nasos.toml, and every start of a bot passes here

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
        document = msgspec.convert(raw, Document)
    except msgspec.ValidationError as error:
        reason = re.sub(r" matching regex .* - at ", " of the allowed characters - at ", str(error), flags=re.DOTALL)
        reason = reason.replace("`", '"').replace('"$.', '"')
        if "secrets[...]" in reason:
            reason = reason.replace("secrets[...]", f"secrets.{_wrong_secret(raw)}")
        raise SettingsError(f"{path}: {reason[:1].lower()}{reason[1:]}", "see docs/settings.md") from None
    for name, entry in document.rotation.schedule.items():
        _require_sound(name, entry, path)
    return document


def _require_sound(name: str, entry: Times, path: Path) -> None:
    try:
        require_sound(name, entry)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", error.hint) from None


def _wrong_secret(raw: dict[str, object]) -> str:
    """The one that the error is about: msgspec does not tell keys of a mapping."""
    rotation = raw.get("rotation")
    secrets: dict[str, object] = rotation["secrets"] if isinstance(rotation, dict) else {}
    for name, content in secrets.items():
        try:
            msgspec.convert(content, OwnSecret)
        except msgspec.ValidationError:
            return name
    return "?"


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
    _refuse_unknown_times(raw, path)


def _refuse_unknown_times(raw: dict[str, object], path: Path) -> None:
    rotation = raw.get("rotation")
    schedule = rotation.get("schedule") if isinstance(rotation, dict) else None
    for name, entry in schedule.items() if isinstance(schedule, dict) else ():
        for key in entry if isinstance(entry, dict) else ():
            if key not in Times.__struct_fields__:
                raise _unknown(f'rotation.schedule."{name}".{key}', key, Times.__struct_fields__, path)


def _unknown(shown: str, name: str, known: tuple[str, ...], path: Path) -> SettingsError:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
    return SettingsError(f"{path}: unknown key {shown}", hint)


_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


def bot_name(text: str) -> str:
    """``text``, if it can be a bot's name.

    Raises:
        NameRefused: It would not be safe as part of a Vault path, a role name and a file name.
    """
    if not _NAME.fullmatch(text):
        raise NameRefused(f"{text!r} cannot be a bot's name", "use a-z, 0-9 and -, starting with a letter")
    return text
