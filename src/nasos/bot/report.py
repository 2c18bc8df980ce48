"""What the launcher tells: events for the ledger, notes for the person. Neither ever fails the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nasos.errors import Error
from nasos.ledger import Outcome
from nasos.secret import Redactor

Append = Callable[[str, str, Outcome, Mapping[str, str]], object]
"""Event name, target, outcome, detail -> the ledger."""


@dataclass(frozen=True, slots=True)
class Report:
    """Both, for one bot."""

    bot: str
    append: Append
    say: Callable[[str], object]
    redactor: Redactor

    def event(self, name: str, record: str, outcome: Outcome, detail: Mapping[str, str] | None = None) -> None:
        """Append an event about the bot, or about one of its records."""
        target = f"bots/{self.bot}/{record}" if record else self.bot
        clean = {key: self.redactor.redact(value) for key, value in (detail or {}).items()}
        try:
            self.append(name, target, outcome, clean)
        except Error as error:
            self.note(f"the event {name} could not be written: {error.message}")

    def note(self, text: str) -> None:
        """A line for the person who reads the launcher's output."""
        self.say(self.redactor.redact(f"nasos: {self.bot}: {text}"))
