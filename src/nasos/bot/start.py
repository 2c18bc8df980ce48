"""One start of the bot: its process with the order line, the page and the sandbox that it gets, and what serves it.

Rules: what freqtrade would refuse is refused before anything is started; the process is handed the order line's end and
the page for reading, and nothing else; an API is started with a certificate, or not at all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nasos.bot import document as doc
from nasos.bot.certificate import ApiCertificate
from nasos.bot.child import Child
from nasos.bot.command import Command
from nasos.bot.confinement import TEMPORARY, with_records
from nasos.bot.credential import CredentialPage
from nasos.bot.database import completed
from nasos.bot.orders import Line, pair
from nasos.bot.output import RedactedOutput
from nasos.bot.records import Record, Records
from nasos.bot.report import Report
from nasos.bot.sandbox import Confinement
from nasos.bot.supply import Supply
from nasos.errors import BotError
from nasos.ledger import Outcome

if TYPE_CHECKING:
    from nasos.bot.change import Changes

_OFTEN: Final = 100
"""Loads of a configuration from which on not each one is told: strategy code can make it thousands."""


@dataclass(frozen=True, slots=True)
class Running:
    """A bot that was started."""

    child: Child
    line: Line
    supply: Supply
    changes: Changes | None
    """Brings changed records into use; None without an API, through which the bot could show that it uses them."""

    @property
    def trial(self) -> Mapping[str, Record | None]:
        """Records of before, for those that are being tried out."""
        return self.changes.trial if self.changes else {}

    def serve(self) -> None:
        """Answer what it asks, and bring into use what changes, until `stop`."""
        self.line.start()
        if self.changes:
            self.changes.start()

    def stop(self) -> None:
        """The process is over: nothing serves it any more."""
        if self.changes:
            self.changes.stop()
        self.line.close()


def certified(port: int | None, tls: Path | None) -> ApiCertificate | None:
    """What an API at ``port`` needs; without it passwords would travel over plain http.

    Raises:
        BotError: There is none.
    """
    if port is None:
        return None
    found = ApiCertificate(tls) if tls else None
    if found is None or found.missing():
        raise BotError(f"there is no certificate for the bot's API (port {port})", "nasos tls setup")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """What every start of one bot has in common."""

    python: Path
    environment: Mapping[str, str]
    command: Command
    sandbox: Confinement
    report: Report
    database_url: object
    port: int | None
    """Where its API listens, if it has one."""
    certificate: ApiCertificate | None
    refused: Callable[[str, Record, Record | None], None]
    """Told a changed record that cannot work, and the one before, if there was one."""

    def start(
        self, records: Records, page: CredentialPage | None, output: RedactedOutput, anew: Callable[[str], None]
    ) -> Running:
        """Start it; ``anew`` is told the state in which it is to come back when it has to be started again."""
        read = _read_only(page.fd) if page else None
        url = completed(str(self.database_url), read) if read is not None else None
        doc.document(records, url)
        supply = Supply(records, url, self.certificate.pem if self.certificate else None, self._loaded)
        ours, end = pair()
        line = Line(ours, supply.answer)
        handed = [fd for fd in (end.fileno(), read) if fd is not None]
        try:
            child = Child(
                self._argv(end.fileno(), with_records(self.sandbox, records).encode()),
                self._environment(),
                outputs=(output.stdout, output.stderr),
                handed=handed,
            )
        finally:
            end.close()
            if read is not None:
                os.close(read)
        return Running(child, line, supply, self._changes(child, line, supply, anew))

    def _changes(self, child: Child, line: Line, supply: Supply, anew: Callable[[str], None]) -> Changes | None:
        if self.port is None or self.certificate is None:
            return None
        from nasos.bot.change import Changes  # not before the bot has started: each import is time that it waits

        def restart(state: str) -> None:
            anew(state)
            child.start_anew()

        return Changes(
            supply=supply,
            line=line,
            port=self.port,
            certificate=self.certificate,
            report=self.report,
            restart=restart,
            refused=self.refused,
        )

    def _loaded(self, times: int) -> None:
        if times < _OFTEN or times % _OFTEN == 0:
            self.report.event("bot.reload", "", Outcome.OK, {"times": str(times)})

    def _environment(self) -> dict[str, str]:
        user_data = Path(self.sandbox.write[0])
        if not user_data.is_dir():
            return dict(self.environment)  # freqtrade will say so
        temporary = user_data / TEMPORARY
        with contextlib.suppress(OSError):  # without it the bot makes no temporary files; most never do
            temporary.mkdir(mode=0o700, exist_ok=True)
        return {**self.environment, "TMPDIR": str(temporary)}

    def _argv(self, orders: int, sandbox: str) -> Sequence[str]:
        # -I: neither PYTHON* variables nor the working directory may bring modules in; -u: lines come when written.
        entry = [str(self.python), "-I", "-u", "-m", "nasos.bot.entry"]
        return [*entry, str(os.getpid()), str(orders), sandbox, *self.command.words]


def _read_only(fd: int) -> int:
    """A second descriptor for the same file that cannot write."""
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
