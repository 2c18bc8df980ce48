"""Observe, plan, apply: desired minus observed, shown before it is written.

Rules: observing changes nothing; planning asks nobody; applying does the plan's steps in their order and nothing
else. What could not be read is reported as unknown, never taken for right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from typing import Final

from nasos import __version__
from nasos.errors import BootstrapRefused, PermissionDenied, SecretNotFound
from nasos.secret import Secret
from nasos.vault import secret_ids
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials, State
from nasos.vault.desired import MARKER, Desired, Setting, audit_devices
from nasos.vault.roles import Role
from nasos.vault.system import Product, health

Progress = Callable[[str], None]
"""Told one line about each step just before it is done."""

_AUDIT_DIRECTORY: Final = "/vault/logs"  # of HashiCorp's official image; only used where no device exists


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the server and the credential files show."""

    product: Product
    answers: Mapping[str, Mapping[str, object] | None]
    """API path -> its data; None: there is nothing."""
    denied: frozenset[str] = frozenset()
    """Paths that the token may not read."""
    credentials: Mapping[str, State] = field(default_factory=dict)
    """Role name -> state of its file; a role without an entry has none."""
    superseded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role name -> accessors of SecretIDs that its file held before, and that nobody can hold any more."""
    marked: bool = False
    """A bootstrap has been completed here."""

    @classmethod
    def of_nothing(cls, product: Product) -> Observed:
        """A server before ``sys/init``; its audit devices cannot be seen yet."""
        return cls(product=product, answers={}, denied=frozenset({"sys/audit"}))


@dataclass(frozen=True, slots=True)
class Write:
    """Set something on the server."""

    setting: Setting

    @property
    def text(self) -> str:
        """One line for people."""
        return self.setting.text


@dataclass(frozen=True, slots=True)
class Mint:
    """Make a SecretID and write it to the role's credential file."""

    role: Role
    why: State

    @property
    def text(self) -> str:
        """One line for people."""
        return f"write credentials/{self.role.name}.json ({self.why})"


@dataclass(frozen=True, slots=True)
class Retire:
    """Destroy SecretIDs that a credential file held before."""

    role: Role
    accessors: tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for people."""
        return f"end what credentials/{self.role.name}.json held before ({len(self.accessors)})"


@dataclass(frozen=True, slots=True)
class Mark:
    """Record that everything before this was done."""

    @property
    def text(self) -> str:
        """One line for people."""
        return "mark the bootstrap complete"


Step = Write | Mint | Retire | Mark


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    steps: tuple[Step, ...]
    unknown: tuple[str, ...] = ()
    """Settings that the token may not read."""

    @property
    def beyond_operator(self) -> tuple[str, ...]:
        """Names of the settings that only a root token may change."""
        return tuple(step.setting.name for step in self.steps if isinstance(step, Write) and step.setting.root_only)


def observe(api: VaultApi, token: Secret, desired: Desired, files: Credentials, now: datetime) -> Observed:
    """Read everything that `plan` compares.

    Raises:
        VaultError: The server cannot be asked, or the token is dead.
        FileRefused: A credential file is open to others.
    """
    answers, denied = _ask(api, token, desired)
    standings = {
        role.name: files.standing(api, token, role, now)
        for role in desired.roles
        if answers.get(f"auth/approle/role/{role.full_name}") is not None
    }
    return Observed(
        product=health(api).product,
        answers=answers,
        denied=denied,
        credentials={name: standing.state for name, standing in standings.items()},
        superseded={name: standing.superseded(now) for name, standing in standings.items()},
        marked=answers.get(MARKER) is not None,
    )


def drift(api: VaultApi, token: Secret, desired: Desired) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the settings that are not as desired, and of those that the token may not read; credentials left out.

    Raises:
        VaultError: The server cannot be asked, or the token is dead.
        BootstrapRefused: Something of somebody else's stands under a name of ours.
    """
    answers, denied = _ask(api, token, desired)
    seen = Observed(product=health(api).product, answers=answers, denied=denied)
    unread = tuple(setting.name for setting in desired.settings if setting.read in denied)
    changed = tuple(s.name for s in desired.settings if s.read not in denied and not _holds(s, seen))
    return changed, unread


def _ask(
    api: VaultApi, token: Secret, desired: Desired
) -> tuple[dict[str, Mapping[str, object] | None], frozenset[str]]:
    answers: dict[str, Mapping[str, object] | None] = {}
    denied: set[str] = set()
    # Mounts first: asking below a mount that does not exist is another error than asking for something missing.
    for path in dict.fromkeys(("sys/mounts", "sys/auth", "sys/audit", MARKER, *(s.read for s in desired.settings))):
        try:
            answers[path] = _data(api, token, path) if _mounted(path, answers) else None
        except SecretNotFound:
            answers[path] = None
        except PermissionDenied:
            denied.add(path)
    return answers, frozenset(denied)


def _data(api: VaultApi, token: Secret, path: str) -> Mapping[str, object]:
    data = api.request("GET", path, token=token).get("data")
    return data if isinstance(data, Mapping) else {}


def _mounted(path: str, answers: Mapping[str, Mapping[str, object] | None]) -> bool:
    if path.startswith("kv/"):
        return "kv/" in (answers.get("sys/mounts") or {})
    if path.startswith("auth/approle/"):
        return "approle/" in (answers.get("sys/auth") or {})
    return True


def plan(observed: Observed, desired: Desired) -> Plan:
    """Desired minus observed.

    Raises:
        BootstrapRefused: Something of somebody else's stands under a name of ours, or nothing would be audited.
    """
    steps: list[Step] = []
    unknown: list[str] = []
    for setting in (*_missing_audit(observed), *desired.settings):
        if setting.read in observed.denied:
            unknown.append(setting.name)
        elif not _holds(setting, observed):
            steps.append(Write(setting))
    for role in desired.roles:
        state = observed.credentials.get(role.name, State.MISSING)
        if state is not State.GOOD:
            steps.append(Mint(role, state))
        elif accessors := observed.superseded.get(role.name):
            steps.append(Retire(role, accessors))
    if not observed.marked:
        steps.append(Mark())
    return Plan(tuple(steps), tuple(unknown))


def _missing_audit(observed: Observed) -> tuple[Setting, ...]:
    if "sys/audit" in observed.denied or observed.answers.get("sys/audit"):
        return ()
    if observed.product is Product.VAULT:
        return audit_devices(_AUDIT_DIRECTORY)
    raise BootstrapRefused(
        "the server has no audit device: nobody could tell who read which secret",
        "declare two in its configuration, as config/vault/config.hcl does, and restart it",
    )


def _holds(setting: Setting, observed: Observed) -> bool:
    there: object = observed.answers.get(setting.read)
    for key in setting.at:
        there = there.get(key) if isinstance(there, Mapping) else None
    if there is None:
        return False
    if _contains(there, setting.want):
        return True
    if setting.owner_only:
        raise BootstrapRefused(
            f"{setting.at[-1]} exists and is something else than nasos needs",
            f"bootstrap a server where {setting.at[-1]} is free; nothing was changed",
        )
    return False


def _contains(there: object, want: object) -> bool:
    """Whether ``there`` shows at least ``want``; the order of lists means nothing."""
    if isinstance(want, Mapping):
        return isinstance(there, Mapping) and all(_contains(there.get(key), value) for key, value in want.items())
    if isinstance(want, list | tuple):
        return sorted(map(_plain, want)) == sorted(map(_plain, there if isinstance(there, list) else ()))
    return there == want


def _plain(entry: object) -> str:
    """One spelling per address: the servers show ``127.0.0.1/32`` as ``127.0.0.1``."""
    try:
        return str(ip_network(str(entry)))
    except ValueError:
        return str(entry)


def apply(  # noqa: PLR0913  server, authority, plan, files, and the two that every step is told
    api: VaultApi, token: Secret, wanted: Plan, files: Credentials, *, progress: Progress, now: datetime
) -> None:
    """Do the steps, telling ``progress`` before each.

    Raises:
        VaultError: The server refused a step; what was done before it stays, and a next run goes on from there.
    """
    for step in wanted.steps:
        progress(step.text)
        match step:
            case Write(setting):
                api.request("POST", setting.write, setting.body, token=token)
            case Mint(role):
                files.mint(api, token, role)
            case Retire(role, accessors):
                for accessor in accessors:
                    secret_ids.destroy(api, token, role, accessor)
            case Mark():
                content = {"completed": now.isoformat(timespec="seconds"), "nasos": __version__}
                api.request("POST", MARKER, {"data": content}, token=token)
