"""Two database roles in memory, and ways to end a rotator at any of its side effects.

The rotator contract suite (``tests/contract/test_rotator.py``) runs on these roles and on a real PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nasos.errors import CandidateRejected, OutcomeUnknown, VaultUnreachable
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Fence, Sight
from nasos.secret import Secret
from nasos.vault.memory import MemoryStore

DATABASE = "sim"


class Killed(BaseException):
    """The rotator's process ended here; no code of ours may catch it."""


@dataclass(slots=True)
class Faults:
    """What happens at the n-th side effect: nothing, an end, or an error, before or after it took place."""

    schedule: Mapping[int, str] = field(default_factory=dict)
    count: int = 0
    watch: Callable[[], None] = lambda: None
    """Called after each effect: the checker."""
    process: int = 0
    """Which rotator this is; the ones before it are dead."""
    dead: bool = False

    def next_process(self) -> None:
        """Another rotator starts."""
        self.process, self.dead = self.process + 1, False

    def around(self, effect: Callable[[], object]) -> object:
        """Do ``effect``, or not, as the schedule says."""
        if self.dead:  # what `finally` blocks do after an end did not happen
            raise Killed
        self.count += 1
        fault = self.schedule.get(self.count, "")
        if fault == "kill before":
            self.dead = True
            raise Killed
        if fault == "refuse":
            raise VaultUnreachable("simulated: nobody there")
        done = effect()
        self.watch()
        if fault == "kill after":
            self.dead = True
            raise Killed
        if fault == "lose answer":
            raise OutcomeUnknown("simulated: the answer was lost")
        return done


class FaultyStore(MemoryStore):
    """A store whose writes may be the last thing that their caller does."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def write(self, path: str, fields: Mapping[str, str | Secret], cas: int | None = None) -> int:
        """See `SecretStore.write`."""
        written = self._faults.around(lambda: super(FaultyStore, self).write(path, fields, cas))
        assert isinstance(written, int)
        return written

    def destroy(self, path: str, versions: Sequence[int]) -> None:
        """See `SecretStore.destroy`."""
        self._faults.around(lambda: super(FaultyStore, self).destroy(path, versions))

    def forget(self, path: str) -> None:
        """See `SecretStore.forget`."""
        self._faults.around(lambda: super(FaultyStore, self).forget(path))


@dataclass(slots=True)
class Server:
    """Who may log in, and who is logged in."""

    passwords: dict[str, Secret] = field(default_factory=dict)
    """Role -> password; a role without one cannot log in."""
    sessions: dict[str, int] = field(default_factory=dict)
    rejects: int = 0
    """How many of the next candidates it does not want."""

    def can_login(self, role: str, password: Secret) -> bool:
        """Whether this login works."""
        return self.passwords.get(role) == password


@dataclass(slots=True)
class SimulatedRoles:
    """A `Rotator` with the behaviour of `AlternatingRoles`."""

    server: Server
    faults: Faults = field(default_factory=Faults)

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`."""
        turn = "b" if current["role"] == Secret("a") else "a"
        made = {"username": Secret(f"{DATABASE}_{turn}"), "role": Secret(turn), "password": Secret.random()}
        return {**current, **made}

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`."""
        return {**self.create(current), "password": old["password"]}

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`."""
        role, password = candidate["username"].reveal(), candidate["password"]
        if self.server.can_login(role, password):
            return
        fence()
        if self.server.rejects:
            self.server.rejects -= 1
            raise CandidateRejected("simulated: not this one")
        self.faults.around(lambda: self.server.passwords.__setitem__(role, password))

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`."""
        if not self.server.can_login(candidate["username"].reveal(), candidate["password"]):
            raise CandidateRejected("it cannot log in")
        return f"{candidate['username'].reveal()} logs in"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`."""
        return self.server.can_login(fields["username"].reveal(), fields["password"])

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`."""
        return self.server.sessions.get(old["username"].reveal(), 0)

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`."""
        role = old["username"].reveal()
        if old["username"] != kept["username"]:
            fence()
            self.faults.around(lambda: self.server.passwords.pop(role, None))
            self.server.sessions.pop(role, None)
        assert not self.server.can_login(role, old["password"])
        return f"{role}: the old password is refused"


@dataclass(slots=True)
class ScriptedConsumer:
    """A `Consumer` that is seen as the script says; the last word stays."""

    script: Sequence[Sight]
    name: str = "bot"
    told: int = 0
    urgent: bool = False
    """Whether it was hurried the last time."""
    seen: list[Mapping[str, Fields]] = field(default_factory=list)

    def deliver(self, *, urgent: bool) -> None:
        """See `Consumer.deliver`."""
        self.told += 1
        self.urgent = urgent

    def look(self, current: Mapping[str, Fields]) -> Sight:
        """See `Consumer.look`."""
        self.seen.append(current)
        return self.script[min(len(self.seen), len(self.script)) - 1]
