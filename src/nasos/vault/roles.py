"""Who may do what: one AppRole and one policy per service, both named ``nasos-<role>``.

Rules: a policy grants the paths of ARCHITECTURE.md's table and no pattern that would take in a neighbour; every role
may renew, look up and revoke its own token; nobody gets the server's ``default`` policy. The rotator mints SecretIDs
for named roles, never for ``operator``. The texts are in ``policies/*.hcl``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from nasos.settings import GatewaySettings, RotationSettings, bot_name
from nasos.vault.names import secret_path

TOKEN_TTL: Final = 3600
"""Seconds: what a stolen token is worth at most without its owner noticing; clients renew ahead of it."""
TOKEN_MAX_TTL: Final = 24 * 3600
"""Seconds: after it a client logs in again, which its reusable SecretID allows at any time."""
SECRET_ID_TTL: Final = 30 * 24 * 3600
"""Seconds a SecretID lives."""

LOOPBACK: Final = ("127.0.0.1/32",)
"""From where a role may be used on the one-machine stack."""

SERVICES: Final = ("gateway", "rotator", "companion", "checker", "watcher", "backup", "operator", "app")
"""Every role besides the bots'."""


@dataclass(frozen=True, slots=True)
class Role:
    """One service's identity."""

    name: str
    """``app``, ``bot-nasos``: part of the credential's file name."""
    policy: str
    """HCL of its policy."""

    @property
    def full_name(self) -> str:
        """The name of role and policy in Vault."""
        return f"nasos-{self.name}"


@dataclass(frozen=True, slots=True)
class Entrusted:
    """What the operator's settings hand to our services beyond their own; nothing else below ``app/`` or ``bots/``.

    ``rotated`` and ``asked`` are secrets that the rotator may handle, by name.
    """

    rotated: Sequence[str] = ()
    asked: Sequence[str] = ()
    """Only read."""
    minted: Sequence[str] = ()
    """Bots of other places whose tokens the gateway makes: it reads their keys."""


def roles(bots: Sequence[str], own: Entrusted = Entrusted()) -> tuple[Role, ...]:
    """All roles of an installation with these bots.

    Raises:
        NameRefused: The name of a bot or a secret would not be safe inside a policy.
    """
    names = [f"bot-{bot_name(bot)}" for bot in dict.fromkeys(bots)]
    mintable = [name for name in (*names, *SERVICES) if name != "operator"]
    return tuple(Role(name, _policy(name, mintable, own)) for name in (*names, *SERVICES))


def entrusted(rotation: RotationSettings, gateway: GatewaySettings) -> Entrusted:
    """What ``[rotation.secrets]`` hands to the rotator, and ``[gateway.bots]`` to the gateway."""
    return Entrusted(sorted(rotation.secrets), rotation.asked, sorted(gateway.bots))


def persons() -> tuple[Role, ...]:
    """What a person may do who only looks, in Vault: policies without an AppRole. The gateway tells them apart."""
    return tuple(Role(name, _text("viewer") + _text("self")) for name in ("viewer", "trader"))


def parameters(role: Role, cidrs: Sequence[str] | None) -> dict[str, object]:
    """The AppRole settings of ``role``; ``cidrs`` None leaves the bound addresses as they are."""
    bound = {"secret_id_bound_cidrs": list(cidrs), "token_bound_cidrs": list(cidrs)} if cidrs is not None else {}
    return {
        "bind_secret_id": True,
        "secret_id_num_uses": 0,
        "secret_id_ttl": SECRET_ID_TTL,
        "token_policies": [role.full_name],
        "token_no_default_policy": True,
        "token_type": "service",
        "token_ttl": TOKEN_TTL,
        "token_max_ttl": TOKEN_MAX_TTL,
        "token_num_uses": 0,
        "token_period": 0,
        **bound,
    }


def _policy(name: str, mintable: Sequence[str], own: Entrusted) -> str:
    bot = name.removeprefix("bot-")
    text = _text(name) if bot == name else _text("bot").replace("<bot>", bot)
    if name == "gateway":
        bots = [other.removeprefix("bot-") for other in mintable if other.startswith("bot-")]
        text += "".join(
            _text("minted").replace("<bot>", bot_name(each)) for each in dict.fromkeys((*bots, *own.minted))
        )
    if name == "rotator":
        text += "".join(_text("mint").replace("<role>", f"nasos-{role}") for role in mintable)
        text += "".join(_text("own").replace("<secret>", secret_path(secret)) for secret in own.rotated)
        text += "".join(_text("asked").replace("<secret>", secret_path(secret)) for secret in own.asked)
    return text + _text("self")


def _text(name: str) -> str:
    return files("nasos.vault").joinpath("policies", f"{name}.hcl").read_text(encoding="utf-8")
