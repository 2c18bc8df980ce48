"""What a bootstrapped server looks like: a table of settings, each a path, what must be seen there, and what to write.

Rules: only what nasos owns (``kv/``, ``approle/``, ``nasos-*``) and the audit settings it depends on; a setting holds
when the server shows at least what is wanted, so foreign additions stay. A mount of another type under our name is
never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from nasos.vault.people import MOUNT as PEOPLE
from nasos.vault.roles import Entrusted, Role, parameters, persons, roles

MARKER: Final = "kv/data/nasos/_meta/bootstrap"
"""Written last; a server with it needs no root token any more."""

_EXEMPT: Final = (
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
)
"""Never limited: the servers' own default, which a write to the quota configuration clears when it leaves them out."""

_LOGINS_PER_SECOND: Final = 20
"""Per client address. A bot logs in once a day; a guesser of 128-bit SecretIDs gets nowhere, and no disk is filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing on the server."""

    name: str
    """What it is, for people: ``policy nasos-app``."""
    text: str
    """What writing it does, one line."""
    read: str
    """API path whose answer shows it."""
    at: tuple[str, ...] = ()
    """Keys that lead to it inside that answer's data."""
    want: Mapping[str, object]
    """What must stand there; more may."""
    write: str
    """API path that sets it."""
    body: Mapping[str, object]
    owner_only: bool = False
    """Something else under this name is somebody else's: refuse instead of writing over it."""
    root_only: bool = False
    """The operator role may see it but not change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What bootstrap makes true."""

    bots: Sequence[str]
    """Names of the bots, a role each."""
    bound_cidrs: Sequence[str] | None = None
    """From where roles may log in and use their tokens; None leaves what the server has."""
    owners: Mapping[str, int] = field(default_factory=dict)
    """Role name -> uid of the service that reads its credential file; the caller's own where it is missing."""

    own: Entrusted = field(default_factory=Entrusted)
    """The user's secrets that the rotator may handle."""

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role."""
        return roles(self.bots, self.own)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Everything on the server, in the order in which it can be made."""
        per_role = [(_policy(role), _role(role, self.bound_cidrs)) for role in self.roles]
        return (
            *_ENGINES,
            *_AUDIT,
            *_LIMITS,
            *map(_policy, persons()),
            *(setting for pair in per_role for setting in pair),
        )


def _policy(role: Role) -> Setting:
    path = f"sys/policies/acl/{role.full_name}"
    content = {"policy": role.policy}
    return Setting(
        name=f"policy {role.full_name}", text=f"write policy {role.full_name}",
        read=path, want=content, write=path, body=content,
    )  # fmt: skip


def _role(role: Role, cidrs: Sequence[str] | None) -> Setting:
    path = f"auth/approle/role/{role.full_name}"
    wanted = parameters(role, cidrs)
    return Setting(
        name=f"role {role.full_name}", text=f"write role {role.full_name}",
        read=path, want=wanted, write=path, body=wanted,
    )  # fmt: skip


def audit_devices(directory: str) -> tuple[Setting, ...]:
    """Two file devices by the API, for HashiCorp Vault (OpenBao declares them in its configuration file)."""
    return tuple(
        Setting(
            name=f"audit device {name}", text=f"enable the audit log {directory}/{name}/audit.log",
            read="sys/audit", at=(f"{name}/",), want={"type": "file"}, write=f"sys/audit/{name}",
            body={
                "type": "file",
                "options": {"file_path": f"{directory}/{name}/audit.log", "mode": "0600", "hmac_accessor": "false"},
            },
            root_only=True,
        )
        for name in ("primary", "second")
    )  # fmt: skip


def _tune(mount: str, kind: str, text: str, shown: Mapping[str, object], **body: object) -> Setting:
    """Settings of a mount: ``kind`` is ``mounts`` or ``auth``; ``body`` where it is written unlike it is shown."""
    return Setting(
        name=f"settings of {mount}", text=text, read=f"sys/{kind}", at=(mount, "config"), want=shown,
        write=f"sys/{kind}/{mount}tune", body={**shown, **body}, root_only=True,
    )  # fmt: skip


_ENGINES: Final = (
    Setting(
        name="kv", text="mount KV v2 at kv/", read="sys/mounts", at=("kv/",),
        want={"type": "kv", "options": {"version": "2"}},
        write="sys/mounts/kv", body={"type": "kv", "options": {"version": "2"}, "description": "nasos"},
        owner_only=True, root_only=True,
    ),
    Setting(
        name="approle", text="enable AppRole logins at auth/approle/", read="sys/auth", at=("approle/",),
        want={"type": "approle"}, write="sys/auth/approle", body={"type": "approle", "description": "nasos"},
        owner_only=True, root_only=True,
    ),
    Setting(
        name="people", text=f"enable logins of people at auth/{PEOPLE}/", read="sys/auth", at=(f"{PEOPLE}/",),
        want={"type": "userpass"}, write=f"sys/auth/{PEOPLE}", body={"type": "userpass", "description": "nasos"},
        owner_only=True, root_only=True,
    ),
)  # fmt: skip

# Without these, an audit line says that a policy or a token was written, but not which rights it gave. Never for kv/.
_AUDIT: Final = (
    # OpenBao 2.7.2 forgets this one at each restart, so the operator's policy allows exactly this value.
    replace(
        _tune(
            "sys/", "mounts", "log policies and mount settings readably",
            {"audit_non_hmac_request_keys": [
                "policy", "type", "audit_non_hmac_request_keys", "audit_non_hmac_response_keys"]},
        ),
        root_only=False,
    ),
    _tune(
        "token/", "auth", "log the rights of new tokens readably",
        {"audit_non_hmac_request_keys": ["policies", "period", "ttl", "explicit_max_ttl"]},
    ),
    # Lockout would let anybody who knows a RoleID lock the bot out; SecretIDs cannot be guessed.
    _tune(
        "approle/", "auth", "log why a login failed, and do not lock roles out",
        {"audit_non_hmac_response_keys": ["error"], "user_lockout_config": {"user_lockout_disable": True}},
        user_lockout_config={"lockout_disable": True},
    ),
    _tune(
        f"{PEOPLE}/", "auth", "log why a person's login failed, and lock nobody out",
        {"audit_non_hmac_response_keys": ["error"], "user_lockout_config": {"user_lockout_disable": True}},
        user_lockout_config={"lockout_disable": True},
    ),
    *(
        Setting(
            name=f"audit of {header}", text=f"log the header {header}",
            read="sys/config/auditing/request-headers", at=("headers", header), want={"hmac": False},
            write=f"sys/config/auditing/request-headers/{header}", body={"hmac": False}, root_only=True,
        )
        for header in ("user-agent", "x-forwarded-for")
    ),
)  # fmt: skip

_PASSWORDS_PER_SECOND: Final = 5
"""Per client address. bcrypt makes each cost 0.05 s; twelve characters outlast that by ages."""

_LIMITS: Final = (
    Setting(
        name="audit of refused requests", text="log requests that a rate limit refused",
        read="sys/quotas/config", want={"enable_rate_limit_audit_logging": True, "rate_limit_exempt_paths": _EXEMPT},
        write="sys/quotas/config",
        body={"enable_rate_limit_audit_logging": True, "rate_limit_exempt_paths": _EXEMPT}, root_only=True,
    ),
    Setting(
        name="login limit", text=f"limit logins to {_LOGINS_PER_SECOND} per second and address",
        read="sys/quotas/rate-limit/nasos-login",
        want={"path": "auth/approle/login", "rate": _LOGINS_PER_SECOND, "interval": 1},
        write="sys/quotas/rate-limit/nasos-login",
        body={"path": "auth/approle/login", "rate": _LOGINS_PER_SECOND, "interval": "1s"}, root_only=True,
    ),
    # Each name is a path of its own: without the glob OpenBao accepts the quota and limits nothing (measured, 2.7.2).
    Setting(
        name="login limit of people",
        text=f"limit logins of people to {_PASSWORDS_PER_SECOND} per second and address",
        read="sys/quotas/rate-limit/nasos-people",
        want={"path": f"auth/{PEOPLE}/login/*", "rate": _PASSWORDS_PER_SECOND, "interval": 1},
        write="sys/quotas/rate-limit/nasos-people",
        body={"path": f"auth/{PEOPLE}/login/*", "rate": _PASSWORDS_PER_SECOND, "interval": "1s"}, root_only=True,
    ),
)  # fmt: skip
