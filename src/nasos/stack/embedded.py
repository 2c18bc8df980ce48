"""One embedded stack: its settings, its home, and what speaks to its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from nasos.bot.poke import poking
from nasos.cloudflare.standing import proven as following
from nasos.disk import ROOM_HINT, fullness
from nasos.errors import Error, ProgramFailed, StackError, VaultError
from nasos.ledger import Ledger
from nasos.settings import AppRole, Settings, VaultConnection
from nasos.stack import health, postgres
from nasos.stack.home import Home, Record
from nasos.stack.housekeeping.duties import audit_files
from nasos.stack.housekeeping.report import DiskStatus, proven
from nasos.stack.housekeeping.report import disks as disk_status
from nasos.stack.ports import Ports
from nasos.stack.programs import wanted
from nasos.stack.recorded import recorded_pid
from nasos.stack.rotator.report import proven as looking
from nasos.stack.supervisor import ProgramState, Supervisor
from nasos.stack.users import Users
from nasos.stack.watcher.report import proven as watching
from nasos.tls.trust import edge_trust
from nasos.vault import VaultClient


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack: its settings, its home, and what speaks to its parts."""

    settings: Settings
    home: Home
    record: Record
    supervisor: Supervisor

    @classmethod
    def existing(cls, settings: Settings) -> Stack:
        """The stack that was made here before.

        Raises:
            StackError: There is none.
        """
        home = Home(settings.home, Users.of_this_process())
        record = home.record()
        if record is None:
            raise StackError(f"there is no stack in {home.root}", "./nasos up")
        return cls(settings, home, record, Supervisor(home))

    @property
    def ports(self) -> Ports:
        """Where everything listens."""
        return self.record.ports

    @property
    def ca_file(self) -> Path:
        """The development CA."""
        return self.home.tls / "ca.pem"

    @property
    def edge_ca_file(self) -> Path:
        """Who must have signed the edge's certificate."""
        return edge_trust(self.home.tls, self.settings.tls)

    @property
    def address(self) -> str:
        """The address for a person's browser."""
        return f"https://{self.settings.tls.hosts[0]}:{self.ports.https}"

    @property
    def vault_address(self) -> str:
        """Where Vault listens."""
        return f"https://127.0.0.1:{self.ports.vault}"

    def vault(self, role: str) -> VaultClient:
        """A client with the credential of one role; a bot hears of what is written for it."""
        credential = AppRole(role_id="", secret_id_file=self.home.credentials / f"{role}.json")
        connection = VaultConnection(self.vault_address, self.ca_file, credential)
        return VaultClient(connection, prefix="nasos", on_event=poking(self.home.run("bot")))

    @property
    def database(self) -> postgres.Server:
        """The database cluster."""
        data = self.home.root / "postgres" / "data"
        return postgres.Server(self.ports.postgres, self.ca_file, data, self.home.users.uid("postgres"))

    def probes(self, vault: VaultClient) -> dict[str, health.Probe]:
        """How each program proves its health."""
        name = self.settings.bot.name

        def database() -> str:
            try:
                login = postgres.bot_login(vault, name)
            except VaultError as error:
                raise ProgramFailed(f"its login cannot be proven: {error.message}", error.hint) from None
            return health.postgres(self.database, login)()

        def bot() -> str:
            try:
                api = vault.read(f"bots/{name}/api").fields
            except VaultError as error:
                if health.bot_answers(self.ports.bot, self.ca_file):
                    raise ProgramFailed(
                        f"it answers; its login cannot be proven: {error.message}", error.hint
                    ) from None
                raise
            return health.bot(self.ports.bot, self.ca_file, api["username"].reveal(), api["password"])()

        known: dict[str, health.Probe] = {
            "vault": self._with_its_disk(health.vault(vault)),
            "exchange": health.exchange(self.ports.exchange),
            "postgres": database,
            "bot": bot,
            "nginx": health.edge(
                self.ports.https, self.settings.stack.listen, self.settings.tls.hosts[0], self.edge_ca_file
            ),
        }
        known["gateway"] = health.gateway(self.ports.gateway, self.home.tls)
        known["housekeeping"] = lambda: proven(self.home.run("housekeeping"))
        known["watcher"] = lambda: watching(self.home.run("watcher"))
        known["companion"] = lambda: following(self.home.run("companion"))
        known["rotator"] = lambda: looking(self.home.run("rotator"))
        return {program: known[program] for program in wanted(self.settings)}

    def _with_its_disk(self, probe: health.Probe) -> health.Probe:
        """A Vault that cannot write its audit log answers 500 to everything: say that instead."""

        def told() -> str:
            try:
                return probe()
            except VaultError as error:
                full = fullness(self.places)
                if full is None:
                    raise
                raise ProgramFailed(f"{full}: {error.message}", ROOM_HINT) from None

        return told

    @property
    def places(self) -> list[Path]:
        """Directories that must have room: on one disk, or on several."""
        audit = [path.parent for path in audit_files(self.home, self.settings)]
        return [*audit, self.home.ledger.parent, self.home.root / "vault" / "data", self.home.root / "postgres"]

    def disks(self) -> list[DiskStatus]:
        """Every file system that the stack writes to."""
        return disk_status(self.home.run("housekeeping"), self.places)

    def ledger(self) -> Ledger:
        """The operator's events."""
        return Ledger(self.home.ledger, "operator")


class ProgramStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``nasos status``."""

    name: str
    state: str
    pid: int | None
    uptime_seconds: float
    healthy: bool
    evidence: str
    hint: str | None = None
    """What to type; None when it is well."""


def status(stack: Stack) -> list[ProgramStatus]:
    """What runs, and whether it proves to be healthy."""
    supervised = stack.supervisor.running()
    states = stack.supervisor.states() if supervised else {}
    probes: dict[str, health.Probe] = {}
    try:
        probes = stack.probes(stack.vault("operator"))
    except Error:
        if states:
            raise
    return [
        _supervised(name, states.get(name), probes.get(name)) if supervised else _unsupervised(stack, name)
        for name in wanted(stack.settings)
    ]


def _supervised(name: str, state: ProgramState | None, probe: health.Probe | None) -> ProgramStatus:
    seen = health.Health(name, healthy=False, evidence="not running", hint="./nasos up")
    if state and state.pid is not None and probe:
        seen = health.look(name, probe)
    return ProgramStatus(
        name=name,
        state=state.state if state else "stopped",
        pid=state.pid if state else None,
        uptime_seconds=round(state.uptime, 1) if state else 0.0,
        healthy=seen.healthy,
        evidence=seen.evidence,
        hint=None if seen.healthy else seen.hint or f"./nasos logs {name}",
    )


def _unsupervised(stack: Stack, name: str) -> ProgramStatus:
    """A program without supervisord: it may still run, but nobody looks after it."""
    pid = recorded_pid(stack.home, name)
    evidence = "runs on without its supervisor, which was killed" if pid else "not running"
    state = "orphaned" if pid else "stopped"
    return ProgramStatus(
        name=name, state=state, pid=pid, uptime_seconds=0.0, healthy=False, evidence=evidence, hint="./nasos up"
    )
