"""One embedded stack: its settings, its home, and what speaks to its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from nasos.errors import Error, StackError
from nasos.ledger import Ledger
from nasos.settings import AppRole, Settings, VaultConnection
from nasos.stack import health, postgres
from nasos.stack.home import Home, Record
from nasos.stack.ports import Ports
from nasos.stack.programs import wanted
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users
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
    def address(self) -> str:
        """The address for a person's browser."""
        return f"https://{self.settings.tls.hosts[0]}:{self.ports.https}"

    @property
    def vault_address(self) -> str:
        """Where Vault listens."""
        return f"https://127.0.0.1:{self.ports.vault}"

    def vault(self, role: str) -> VaultClient:
        """A client with the credential of one role."""
        file = self.home.credentials / f"{role}.json"
        credential = AppRole(role_id="", secret_id_file=file)
        return VaultClient(VaultConnection(self.vault_address, self.ca_file, credential), prefix="nasos")

    @property
    def database(self) -> postgres.Server:
        """The database cluster."""
        data = self.home.root / "postgres" / "data"
        return postgres.Server(data, self.ports.postgres, self.ca_file, self.home.users.uid("postgres"))

    def probes(self, vault: VaultClient) -> dict[str, health.Probe]:
        """How each program proves its health."""
        name = self.settings.bot.name

        def database() -> str:
            return health.postgres(self.database, postgres.bot_login(vault, name))()

        def bot() -> str:
            api = vault.read(f"bots/{name}/api").fields
            return health.bot(self.ports.bot, api["username"].reveal(), api["password"])()

        known: dict[str, health.Probe] = {
            "vault": health.vault(vault),
            "exchange": health.exchange(self.ports.exchange),
            "postgres": database,
            "bot": bot,
            "nginx": health.edge(
                self.ports.https, self.settings.stack.listen, self.settings.tls.hosts[0], self.ca_file
            ),
        }
        return {program: known[program] for program in wanted(self.settings)}

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


def status(stack: Stack) -> list[ProgramStatus]:
    """What runs, and whether it proves to be healthy."""
    states = stack.supervisor.states() if stack.supervisor.running() else {}
    probes: dict[str, health.Probe] = {}
    try:
        probes = stack.probes(stack.vault("operator"))
    except Error:
        if states:
            raise
    report = []
    for name in wanted(stack.settings):
        state = states.get(name)
        running = state is not None and state.pid is not None
        seen = (
            health.look(name, probes[name]) if running else health.Health(name, healthy=False, evidence="not running")
        )
        report.append(
            ProgramStatus(
                name=name,
                state=state.state if state else "stopped",
                pid=state.pid if state else None,
                uptime_seconds=round(state.uptime, 1) if state else 0.0,
                healthy=seen.healthy,
                evidence=seen.evidence,
            )
        )
    return report
