"""What rotates of the stack's bot, and how it is seen to work with the new one.

Rules: a consumer counts as seen when it was *used* with the new credential: the bot answers a question that it has to
ask its database while a session of the new role is there; it takes a token that the new key signed. A bot that does
not run is no obstacle: it reads what is current when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from nasos.bot.api import BotApi
from nasos.bot.poke import poke
from nasos.database import connect
from nasos.errors import BotError
from nasos.rotation.journal import Fields
from nasos.rotation.jwt import BotFields, signed
from nasos.rotation.postgres import LOGIN, AlternatingRoles
from nasos.rotation.rotator import Part, Sight, Unit
from nasos.stack import postgres
from nasos.stack.embedded import Stack
from nasos.stack.recorded import recorded_pid
from nasos.vault import VaultClient

OVERLAP: Final = 60.0
"""Seconds for the bot to be seen with the new one; told of it, it takes a second or two."""
JWT: Final = {"jwt": ("jwt_secret_key",), "api": ("ws_token",)}
PASSWORD: Final = {"api": ("password",)}
"""Record -> which of its fields are replaced together."""


@dataclass(frozen=True, slots=True)
class Bot:
    """A `Consumer`: the stack's bot, seen by what ``works`` tries."""

    stack: Stack
    records: tuple[str, ...]
    """Which of its records are new: of ``db``, ``api`` and ``jwt``."""
    works: Callable[[Fields], bool]

    @property
    def name(self) -> str:
        """See `Consumer.name`."""
        return f"bot {self.stack.settings.bot.name}"

    def deliver(self, *, urgent: bool) -> None:
        """See `Consumer.deliver`."""
        for record in self.records:
            poke(self.stack.home.run("bot"), self.stack.settings.bot.name, record, urgent=urgent)

    def look(self, current: Mapping[str, Fields]) -> Sight:
        """See `Consumer.look`."""
        if not running(self.stack):
            return Sight.ABSENT
        bot = f"bots/{self.stack.settings.bot.name}"
        new = {field: value for name in self.records for field, value in current[f"{bot}/{name}"].items()}
        try:
            works = self.works(new)
        except BotError:  # no answer: it may be loading its configuration
            works = False
        return Sight.CONFIRMED if works else Sight.WAITING


def running(stack: Stack) -> bool:
    """Whether the bot's launcher lives."""
    return recorded_pid(stack.home, "bot") is not None


def units(stack: Stack, vault: VaultClient) -> dict[str, Unit]:
    """The bot's database login and what opens its API, by name."""
    bot = f"bots/{stack.settings.bot.name}"
    api = BotApi(stack.ports.bot, stack.ca_file)
    admin = partial(postgres.admin_login, vault)
    roles = AlternatingRoles(stack.database, admin, stack.settings.bot.name)

    def on_database(current: Fields) -> bool:
        answers = api.asks_database(vault.read(f"{bot}/api").fields)
        with connect(stack.database, admin()) as db:
            username = current["username"].reveal()
            found = db.execute("SELECT 1 FROM pg_stat_activity WHERE usename = %s LIMIT 1", (username,)).fetchone()
        return answers and found is not None

    def accepted(fields: Fields, names: Sequence[str]) -> list[str] | None:
        return [name for name in names if _PROBES[name](api, fields)] if running(stack) else None

    def on_api(current: Fields) -> bool:
        return all(probe(api, current) for name, probe in _PROBES.items() if name in current)

    def of_bot(name: str, fields: Mapping[str, tuple[str, ...]]) -> Unit:
        parts = tuple(Part(f"{bot}/{record}", BotFields(its, tried=accepted), its) for record, its in fields.items())
        return Unit(f"{bot}/{name}", parts, (Bot(stack, tuple(fields), on_api),), OVERLAP)

    on_login = (Bot(stack, ("db",), on_database),)
    return {
        f"{bot}/db": Unit(f"{bot}/db", (Part(f"{bot}/db", roles, LOGIN),), on_login, OVERLAP),
        f"{bot}/jwt": of_bot("jwt", JWT),
        f"{bot}/password": of_bot("password", PASSWORD),
    }


_PROBES: Final[Mapping[str, Callable[[BotApi, Fields], bool]]] = {
    "password": lambda api, fields: api.log_in(fields) is not None,
    "jwt_secret_key": lambda api, fields: api.accepts(signed(fields["jwt_secret_key"], datetime.now(UTC))),
    "ws_token": lambda api, fields: api.opens(fields["ws_token"]),
}
"""What each field of the records ``api`` and ``jwt`` opens, tried."""
