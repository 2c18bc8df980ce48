"""``nasos run --bot``: read the secrets, start the bot with them in memory, keep it running.

Rules:

* Secrets reach the bot in memory only: the document over the order line whenever the bot loads its configuration
  (`orders.py`), the database login on the credential page (replaced in place). Environment, arguments and disk stay
  clean.
* Every start reads Vault anew. When Vault does not answer, the first start fails; a *restart* goes on with the last
  records, because a trading bot is worth more than a fresh copy of what has hardly changed.
* The bot gets what it needs of the machine and no more (`confinement.py`); a kernel that cannot do that is told about.
* One bot per name, and per database (`claim.py`); it ends with its launcher, whatever ends that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nasos.bot import document as doc
from nasos.bot.api import port_of
from nasos.bot.child import Signals
from nasos.bot.claim import Claim
from nasos.bot.command import Command
from nasos.bot.confinement import confinement
from nasos.bot.credential import Credential, CredentialPage
from nasos.bot.database import needs_login
from nasos.bot.lock import OneBot
from nasos.bot.output import RedactedOutput
from nasos.bot.poke import Pokes
from nasos.bot.records import ReadAll, ReadOne, Records
from nasos.bot.report import Append, Report
from nasos.bot.sandbox import shortcomings
from nasos.bot.start import Running, Starter, certified
from nasos.bot.supervise import Again, Ended, GiveUp, Leave, RestartPolicy, decide, exit_code, explain
from nasos.bot.trial import Trials
from nasos.errors import BotError, FileRefused, VaultError
from nasos.ledger import Outcome
from nasos.secret import Redactor

GRACE: Final = 30.0
"""Seconds from SIGTERM to SIGKILL; freqtrade needs 1.4 to 3 s (measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything that one `run` needs; the command line fills it in."""

    bot: str
    python: Path
    """Interpreter of the bot's own virtual environment."""
    run_directory: Path
    """Where the lock is, ``<home>/run/bot``."""
    read_all: ReadAll
    read_one: ReadOne
    append: Append
    say: Callable[[str], object]
    environment: Mapping[str, str]
    """The bot's whole environment: no secret, none of our settings."""
    configuration: Mapping[str, object] = field(default_factory=dict)
    """The operator's configuration files, merged."""
    tls: Path | None = None
    """Directory with the certificate of the bot's API."""
    protected: tuple[Path, ...] = ()
    """Places that no directory of the bot's own may contain, besides its environment."""
    writers: Collection[int] = (0,)
    """uids whose word that a record changed is taken, besides this process's own."""
    readable: tuple[Path, ...] = ()
    """Public files that every bot may read: the certificate of the stack's CA."""
    grace: float = GRACE
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    restart: bool = True
    """False: one run, its exit code passed on (an unasked 0 of a trading bot is a failure all the same)."""


def run(launch: Launch, command: Command) -> int:
    """Run the bot until it is done or stopped; returns the exit code for the launcher.

    Must be called from the main thread.

    Raises:
        AlreadyRunning: This bot runs already.
        BotError: Its records or configuration cannot work, or it keeps failing.
        VaultError: Vault could not be asked before the first start.
    """
    if not command.supervised:
        with Signals() as signals:
            return _Bot(launch, command).once(signals)
    with OneBot(launch.run_directory, launch.bot) as lock, Signals() as signals:
        return _Bot(launch, command).keep_running(lock, signals)


class _Bot:
    def __init__(self, launch: Launch, command: Command) -> None:
        self._launch = launch
        self._command = command
        self._redactor = Redactor()
        self._report = Report(launch.bot, launch.append, launch.say, self._redactor)
        self._database_url = launch.configuration.get("db_url")
        self._with_login = needs_login(self._database_url)
        self._trials = Trials()
        self._starter = self._prepared()
        self._state: str | None = None
        self._page: CredentialPage | None = None
        self._claim: Claim | None = None
        self._pokes: Pokes | None = None
        self._records: Records | None = None

    def _prepared(self) -> Starter:
        launch, command = self._launch, self._command
        port = port_of(command.subcommand, launch.configuration)
        protected = (launch.python.parent.parent, *launch.protected)
        return Starter(
            python=launch.python,
            environment=launch.environment,
            command=command,
            sandbox=confinement(command, launch.configuration, here=Path.cwd(), protected=protected).also_reading(
                launch.readable
            ),
            report=self._report,
            database_url=self._database_url,
            port=port,
            certificate=certified(port, launch.tls),
            refused=self._trials.refuse,
        )

    def once(self, signals: Signals) -> int:
        """One run of a command that ends by itself."""
        ended = self._one_run(signals, None)
        detail = {
            "status": f"exit {ended.status}",
            "seconds": f"{ended.seconds:.1f}",
            "command": self._command.subcommand,
        }
        self._report.event("bot.exit", "", Outcome.FAILED if ended.status else Outcome.OK, detail)
        return exit_code(ended.status)

    def keep_running(self, lock: OneBot, signals: Signals) -> int:
        """Run, judge the exit, run again."""
        with contextlib.ExitStack() as held:
            held.callback(self._give_up_claim)
            self._pokes = self._listening(held)
            return self._keep_running(lock, signals)

    def _listening(self, held: contextlib.ExitStack) -> Pokes | None:
        try:
            return held.enter_context(
                Pokes(self._launch.run_directory, self._launch.bot, {os.geteuid(), *self._launch.writers})
            )
        except FileRefused as error:
            self._report.note(f"changes are noticed by polling only: {error.message}")
            return None

    def _give_up_claim(self) -> None:
        if self._claim:
            self._claim.close()

    def _keep_running(self, lock: OneBot, signals: Signals) -> int:
        failures = 0
        while True:
            ended = self._one_run(signals, lock)
            if self._claim:
                self._claim.verify()
            step = decide(ended, failures, self._launch.policy)
            if isinstance(step, Again) and not (self._launch.restart or ended.anew):
                step = Leave(exit_code(ended.status) or GiveUp(1).code)
            self._told(ended, step)
            if isinstance(step, Leave):
                return step.code
            if isinstance(step, GiveUp):
                raise BotError(
                    f'the bot "{self._launch.bot}" failed {step.failures} times in a row soon after its start'
                    f" (last: {explain(ended.status)})",
                    "its last lines above say why; freqtrade show-config checks a configuration",
                )
            failures = step.failures
            if signals.wait(step.delay):
                if self._claim:
                    self._claim.verify()
                return 128 + signals.last

    def _one_run(self, signals: Signals, lock: OneBot | None) -> Ended:
        vaults = self._read(signals)
        records = self._trials.in_use(vaults)
        output = RedactedOutput(self._redactor)
        running = self._starter.start(records, self._page, output, self._come_back)
        running.supply.keep_state(self._state)
        self._state = None
        running.serve()
        output.start()
        if lock:
            lock.record(running.child.pid)
        if self._claim:
            self._claim.use(doc.database_credential(records[doc.DATABASE]))
        from nasos.bot.refresh import Refresh  # not before the bot has started: each import is time that it waits

        detail = {"command": self._command.subcommand, **{name: str(it.version) for name, it in records.items()}}
        self._tell_sandbox()
        self._report.event("bot.start", "", Outcome.OK, detail)
        versions = {name: record.version for name, record in vaults.items()}
        use = self._use if self._page else None
        refresh = Refresh(self._launch.read_one, versions, use, self._report, self._pokes, running.changes)
        if lock:
            refresh.start()
        try:
            ended = running.child.wait(signals, self._launch.grace)
        finally:
            refresh.stop()
            running.stop()
            output.finish()
        self._learn(ended, running)
        return ended

    def _come_back(self, state: str) -> None:
        self._state = state

    def _learn(self, ended: Ended, running: Running) -> None:
        """What this run means for the records of the next."""
        records = running.supply.records
        self._records = {**(self._records or {}), **records}
        unasked = not (ended.asked or ended.anew)
        proven = ended.seconds >= self._launch.policy.quick
        for name, before in self._trials.ended(running.trial, records, unasked=unasked, proven=proven).items():
            version = str(records[name].version)
            how = f"the bot ended with it and is started {'with the one before' if before else 'without it'}"
            self._report.event("bot.secret", name, Outcome.FAILED, {"version": version, "applied": how})
            self._report.note(f"bots/{self._launch.bot}/{name} version {version}: {how}")

    def _use(self, credential: Credential) -> None:
        if self._page:
            self._page.write(credential)
        if self._claim:
            self._claim.use(credential)

    def _read(self, signals: Signals) -> Records:
        try:
            records = self._launch.read_all()
        except VaultError as error:
            if self._records is None:
                raise
            self._report.event("bot.refresh", "", Outcome.FAILED, {"reason": error.message})
            self._report.note(f"vault gives no secrets, the bot starts with those of last time: {error.message}")
            return self._records
        self._redactor.learn(doc.confidential(records.values()))
        self._settle_page(records, signals)
        if self._records is None:
            for name in doc.left_out(records):
                self._report.note(f"bots/{self._launch.bot}/{name} is no part of freqtrade's configuration; left out")
        self._records = records
        return records

    def _settle_page(self, records: Records, signals: Signals) -> None:
        if not self._with_login:
            if self._command.trades and self._records is None:
                self._report.note("no PostgreSQL: a file lock keeps a second bot off this machine, and off no other")
            return
        if doc.DATABASE not in records:
            raise BotError(
                f"the configuration names a PostgreSQL database, but bots/{self._launch.bot}/db is not in vault",
                f"nasos secret set bots/{self._launch.bot}/db --field username --field password",
            )
        credential = doc.database_credential(records[doc.DATABASE])
        if self._page:
            self._page.write(credential)
            return
        alone = self._command.trades
        self._page = CredentialPage(credential, withheld=alone)
        if alone:
            self._claim = Claim(str(self._database_url), self._page, self._report, signals.stop)

    def _tell_sandbox(self) -> None:
        for reason, reached in shortcomings().items():
            self._report.event("bot.sandbox", "", Outcome.FAILED, {"reason": reason})
            self._report.note(f"{reason}: strategy code reaches {reached}")

    def _told(self, ended: Ended, step: Leave | Again | GiveUp) -> None:
        after = {Leave: "done", Again: "restart", GiveUp: "given up"}[type(step)]
        detail = {"status": explain(ended.status), "seconds": f"{ended.seconds:.1f}", "next": after}
        self._report.event("bot.exit", "", Outcome.OK if ended.asked or ended.anew else Outcome.FAILED, detail)
        if isinstance(step, Again):
            self._report.note(f"ended ({explain(ended.status)}); starts again in {step.delay:.0f} s")
