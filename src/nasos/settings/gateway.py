"""``[gateway]``: bots of other places behind the same front door, each under host names of its own; no secret here."""

from __future__ import annotations

from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,30}\Z")]
Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z")]
Place = Annotated[str, msgspec.Meta(pattern=r"^/[^\x00-\x1f\"\\$]{1,4000}\Z")]


class OtherBot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[gateway.bots.<name>]``: a bot that runs elsewhere, whose key is at ``bots/<name>/jwt`` in Vault."""

    hosts: tuple[Host, ...]
    """Under which of the names of ``[tls] hosts`` it is reached."""
    address: Host = "127.0.0.1"
    """Where its API listens: https."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    ca_file: Place
    """The CA of its API's certificate; or that certificate, where it signed itself."""
    certificate_name: Host = ""
    """The name that its certificate must carry; default ``address``."""

    def __post_init__(self) -> None:
        """A bot that nobody could reach is a mistake."""
        if not self.hosts:
            raise ValueError("hosts is empty")

    @property
    def shown(self) -> str:
        """The name that its certificate must carry."""
        return self.certificate_name or self.address


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[gateway]``: the front door."""

    bots: dict[Name, OtherBot] = {}
    """Bots beside the stack's own, by name."""

    def require_sound(self, own: str, hosts: tuple[str, ...]) -> None:
        """Each name leads to one bot; the first of ``hosts`` to the stack's own, which is called ``own``.

        Raises:
            ValueError: It does not.
        """
        if own in self.bots:
            raise ValueError(f"{own} is the stack's own bot, and stands in [bot]")
        known, taken = [host.lower() for host in hosts], set[str]()
        for name, bot in self.bots.items():
            for host in map(str.lower, bot.hosts):
                if host not in known:
                    raise ValueError(f"{host} of the bot {name} is not among hosts under [tls]")
                if host in ("localhost", known[0]):
                    raise ValueError(f"{host} leads to the stack's own bot, and cannot lead to {name}")
                if host in taken:
                    raise ValueError(f"{host} leads to two bots")
                taken.add(host)

    def own_hosts(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``hosts`` that lead to the stack's own bot."""
        others = {host.lower() for bot in self.bots.values() for host in bot.hosts}
        return tuple(host for host in hosts if host.lower() not in others)
