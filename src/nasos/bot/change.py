"""A record that changed in Vault comes into use while the bot trades.

Rules:

* The gentlest way that works: the API's credentials are swapped in place; where that is refused, and for every other
  record, freqtrade loads its configuration anew; where it has done so too often (it keeps memory, descriptors and a
  thread each time), its process is started anew.
* Nothing counts as in use before the bot has shown it: new credentials are taken, the ones of before are refused, and
  the bot is in the state in which it was (freqtrade forgets on a reload that somebody had stopped it).
* A bot whose state cannot be asked is left alone, and asked again later; one that waits for an order to be filled is
  not reloaded before it is, up to a limit, unless somebody hurries. What opens the API never waits.
* A record with which the bot ends is put back by the launcher (`trial`), and told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from nasos.bot.api import BotApi
from nasos.bot.certificate import ApiCertificate
from nasos.bot.document import LOGIN, NESTED, SECTIONS, login
from nasos.bot.orders import Certificate, Line, Swap
from nasos.bot.proof import prove
from nasos.bot.records import Record
from nasos.bot.report import Report
from nasos.bot.supply import STATES, Supply
from nasos.errors import BotError, Error
from nasos.ledger import Outcome
from nasos.secret import Secret

RELOADS: Final = 60
"""Configuration loads after which a process is replaced instead: each keeps about 8 descriptors, 2 MB, a thread and
half a database connection of the time before; at 1024 descriptors about 110 fit (measured on 2026.9)."""

ORDER_SECONDS: Final = 10.0
RELOAD_SECONDS: Final = 120.0
"""freqtrade looks once a round, which `internals.process_throttle_secs` and a busy strategy make long."""
RETRY_SECONDS: Final = 30.0
AGAIN: Final = "again"
"""In the detail of an event: when it is tried again; it is not given up then."""
PATIENCE_SECONDS: Final = 300.0
"""How long a change waits for the bot to have no open order; freqtrade itself gives up on one after 600 s by default
(``unfilledtimeout``). Its orders survive a reload and a restart (measured on 2026.9); meanwhile nobody looks."""
AGAIN_SECONDS: Final = 1.0
"""Between two looks at its orders."""
LOOK_SECONDS: Final = 5.0
"""Between two looks at the certificate's files."""


def ways(name: str, loads: int, *, known: bool) -> Iterator[str]:
    """How a changed record may come into use, the gentlest way first.

    ``known``: there was one before. A first one may need another sandbox (a chat is somewhere on the internet).
    """
    if name in LOGIN:
        yield "swap"
    if known and loads < RELOADS:
        yield "reload"
    yield "restart"


class Changes:
    """For one run of a bot with an API: what changed, and the thread that brings it into use."""

    def __init__(  # noqa: PLR0913  one keyword per thing that it works with
        self,
        *,
        supply: Supply,
        line: Line,
        port: int,
        certificate: ApiCertificate,
        report: Report,
        restart: Callable[[str], None],
        refused: Callable[[str, Record, Record | None], None],
    ) -> None:
        self._supply = supply
        self._line = line
        self._api = BotApi(port, certificate.ca_file)
        self._certificate = certificate
        self._report = report
        self._restart = restart
        self._refused = refused
        self._login: Mapping[str, Secret] = login(supply.records)
        self._waiting: dict[str, Record] = {}
        self._not_before: dict[str, float] = {}
        self._patient_until: dict[str, float] = {}
        self._before: dict[str, Record | None] = {}
        self._wake = threading.Condition()
        self._stopped = False
        self._old_certificate = False
        self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
        self.trial: dict[str, Record | None] = {}
        """Records of before, for those that are being tried out; None: there was none."""

    def start(self) -> None:
        """Work in a thread of its own until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is under way is not waited for."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def _over(self) -> bool:
        return self._stopped

    def put(self, name: str, record: Record) -> None:
        """Bring ``record`` into use; returns at once."""
        if name not in SECTIONS.keys() | NESTED.keys():
            self._told(name, record, Outcome.OK, "it is no part of freqtrade's configuration")
            return
        with self._wake:
            self._waiting[name] = record
            self._not_before.pop(name, None)
            self._patient_until.pop(name, None)
            self._wake.notify()

    def hurry(self, name: str) -> None:
        """Do not wait for the bot's orders with what is waiting under this name."""
        with self._wake:
            if name in self._waiting:
                self._patient_until[name] = 0.0
                self._not_before.pop(name, None)
                self._wake.notify()

    def _run(self) -> None:
        while not self._stopped:
            for name, record in self._due().items():
                try:
                    self._change(name, record)
                except Exception as error:  # noqa: BLE001  one record's mistake must not leave the others waiting
                    self._failed(name, record, BotError(f"unexpected {type(error).__name__}"))
            self._renew()

    def _due(self) -> dict[str, Record]:
        """What may be tried now; waited for a while."""
        with self._wake:
            if not self._ready() and not self._stopped:
                self._wake.wait(AGAIN_SECONDS if self._waiting else LOOK_SECONDS)
            return {} if self._stopped else self._ready()

    def _ready(self) -> dict[str, Record]:
        now = time.monotonic()
        return {name: it for name, it in self._waiting.items() if self._not_before.get(name, 0.0) <= now}

    def _change(self, name: str, record: Record) -> None:
        # Tried again, the supply holds what is new already.
        before = self._before.setdefault(name, self._supply.records.get(name))
        try:
            self._supply.replace(name, record)
        except BotError as error:
            self._settled(name, record)
            self._refused(name, record, before)
            self._told(name, record, Outcome.FAILED, f"not used: {error.message}")
            return
        try:
            if before is not None and name not in LOGIN and self._wait(name):
                return
            how = self._in_use(name, before, record)
        except Error as error:
            self._failed(name, record, error)
        else:
            self._settled(name, record)
            self._told(name, record, Outcome.OK, how)

    def _wait(self, name: str) -> bool:
        """Whether to leave the bot alone for now: it is inside an order, and nobody hurries.

        Raises:
            BotError: It cannot be asked.
        """
        now = time.monotonic()
        with self._wake:
            first = name not in self._patient_until
            until = self._patient_until.setdefault(name, now + PATIENCE_SECONDS)
        # A stopped bot looks at no order: waiting for it to be filled would gain nothing.
        if now >= until or self._state() == "stopped" or not self._api.inside_order(self._login):
            return False
        if first:
            self._report.note(f"bots/{self._report.bot}/{name} waits for an order, {PATIENCE_SECONDS:.0f} s at most")
        with self._wake:
            if self._patient_until.get(name):  # nobody hurried meanwhile
                self._not_before[name] = now + AGAIN_SECONDS
        return True

    def _settled(self, name: str, record: Record) -> None:
        with self._wake:
            if self._waiting.get(name) is record:
                del self._waiting[name]
                self._patient_until.pop(name, None)
                self._before.pop(name, None)

    def _failed(self, name: str, record: Record, error: Error) -> None:
        with self._wake:
            first = name not in self._not_before
            self._not_before[name] = time.monotonic() + RETRY_SECONDS
        if first and not self._stopped:
            how = f"in use after the next start of the bot: {error.message}"
            self._told(name, record, Outcome.FAILED, how, {AGAIN: f"{RETRY_SECONDS:.0f} s"})

    def _told(
        self, name: str, record: Record, outcome: Outcome, how: str, more: Mapping[str, str] | None = None
    ) -> None:
        detail = {"version": str(record.version), "applied": how} | dict(more or {})
        self._report.event("bot.secret", name, outcome, detail)

    def _in_use(self, name: str, before: Record | None, record: Record) -> str:
        """Bring it into use and prove it.

        Raises:
            BotError: No way worked; the last reason.
        """
        state = self._state()
        failure = BotError("the bot ended meanwhile")
        for way in ways(name, self._supply.loads, known=before is not None):
            if self._stopped:
                break
            try:
                if way == "swap":
                    return self._swap()
                if name not in LOGIN:
                    self.trial[name] = before
                return self._reload(record, state) if way == "reload" else self._anew(state)
            except BotError as error:
                failure = error
                if not self._stopped:
                    self._report.note(f"bots/{self._report.bot}/{name}: no {way}: {error.message}")
        raise failure

    def _state(self) -> str:
        state = self._api.state(self._login)
        if state not in STATES:
            raise BotError(f"the bot is in the state {state}, which is not one to come back to")
        return state

    def _swap(self) -> str:
        """In place: three milliseconds, no gap, no restart (measured on 2026.9)."""
        before, token, now = self._login, self._api.log_in(self._login), login(self._supply.records)
        self._line.ask(Swap(now), ORDER_SECONDS)
        prove(self._api, before, token, now)
        self._login = now
        return "swapped in place; those of before are refused"

    def _reload(self, record: Record, state: str) -> str:
        before, now, loads = self._login, login(self._supply.records), self._supply.loads
        token = self._api.log_in(before)
        self._supply.keep_state(state)
        self._api.reload(before)
        self._until(lambda: self._supply.loads > loads, "it was told to reload and does not")
        self._until(lambda: self._shown(now) == state, f"it does not come back {state}")
        prove(self._api, before, token, now)
        self._login = now
        self.trial.clear()
        return f"the bot loaded its configuration anew and is {state}"

    def _shown(self, login: Mapping[str, Secret]) -> str:
        try:
            return self._api.state(login)
        except BotError:
            return ""

    def _until(self, what: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + RELOAD_SECONDS
        while not what():
            if self._stopped or time.monotonic() > deadline:
                raise BotError(otherwise)
            time.sleep(0.1)

    def _anew(self, state: str) -> str:
        self._restart(state)
        return f"the bot is started anew, and {state}"

    def _renew(self) -> None:
        """A renewed certificate goes to the running API, from the next handshake on."""
        if self._stopped or not self._certificate.renewed():
            return
        try:
            self._line.ask(Certificate(self._certificate.pem()), ORDER_SECONDS)
        except Error as error:
            self._certificate.not_used()
            if not (self._old_certificate or self._over()):
                self._old_certificate = True
                self._report.note(f"the renewed certificate of the bot's API is not in use: {error.message}")
        else:
            self._old_certificate = False
            self._report.event("bot.certificate", "", Outcome.OK)
