"""What the launcher gives to its bot when the bot asks: secrets for its configuration, a certificate for its API.

Rules:

* It is made anew for each question, from the records that were last found good, so that a reload that nobody told us
  of (FreqUI, Telegram) gets today's secrets.
* freqtrade forgets on a reload that somebody had stopped it: the state that is to be kept is given once, with the
  next document.
* Nothing here but this one bot's own: strategy code can ask too (`orders.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from nasos.bot import document as doc
from nasos.bot.orders import Certificate, Certify, Document, Load, Message, Refused
from nasos.bot.records import Record, Records
from nasos.secret import Secret

STATES: Final = frozenset({"running", "paused", "stopped"})
"""What freqtrade may be told to be after a start."""


class Supply:
    """For one run of the bot."""

    def __init__(
        self,
        records: Records,
        database_url: str | None,
        certificate: Callable[[], Secret] | None = None,
        loaded: Callable[[int], None] | None = None,
    ) -> None:
        self._records = dict(records)
        self._database_url = database_url
        self._certificate = certificate
        self._loaded = loaded
        self._state: str | None = None
        self._lock = threading.Lock()
        self.loads = 0
        """How often the bot has loaded its configuration; each time after the first it keeps some memory,
        descriptors and a thread of the time before (measured on 2026.9)."""

    @property
    def records(self) -> Records:
        """What the next document is made of."""
        return dict(self._records)

    def replace(self, name: str, record: Record) -> None:
        """From now on this is what the bot gets.

        Raises:
            BotError: freqtrade would refuse it; nothing changed.
        """
        with self._lock:
            wanted = self._records | {name: record}
            doc.document(wanted, self._database_url)
            self._records = wanted

    def keep_state(self, state: str | None) -> None:
        """The next document tells freqtrade to be ``state``; None: what the configuration says."""
        with self._lock:
            self._state = state if state in STATES else None

    def answer(self, question: Message) -> Message:
        """What the bot gets; a thread-safe `orders.Reply`.

        Raises:
            BotError: The records cannot make a document.
            FileRefused: The certificate cannot be read.
        """
        if isinstance(question, Load):
            return self._document()
        if isinstance(question, Certify) and self._certificate:
            return Certificate(self._certificate())
        return Refused("there is no answer to that")

    def _document(self) -> Document:
        with self._lock:
            content = doc.document(self._records, self._database_url)
            if self._state:
                content["initial_state"] = self._state
            self._state = None
            self.loads += 1
        if self.loads > 1 and self._loaded:
            self._loaded(self.loads)
        return Document(Secret(doc.encode(content).decode()))
