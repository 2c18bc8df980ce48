"""The doctor on simulated roles: what drifted is found and mended, and looking changes nothing."""

from __future__ import annotations

import pytest

from fixtures.rotation import NAME, World
from nasos.errors import Error, VaultUnreachable
from nasos.ledger import Outcome
from nasos.rotation.doctor import Diagnosis, Health
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Sight
from nasos.secret import Secret
from simulators.roles import Faults, ScriptedConsumer


def healths(world: World, *, mend: bool) -> list[str]:
    """What the doctor finds."""
    return [it.health.value for it in world.engine.examine(NAME, mend=mend)]


def rotated() -> World:
    """After one rotation."""
    world = World()
    world.engine.rotate(NAME, actor="tester", reason="test")
    return world


def test_a_sound_credential_is_left_alone() -> None:
    """It works, the one before does not, nothing is told."""
    world = rotated()
    world.told.clear()
    assert healths(world, mend=True) == ["sound"]
    assert world.told == []


def test_a_password_changed_by_hand_is_found_and_vaults_wins() -> None:
    """A look says so and changes nothing; mending makes the stored one work again."""
    world = rotated()
    username = world.current["username"].reveal()
    world.server.passwords[username] = Secret("by hand")
    assert healths(world, mend=False) == ["drifted"]
    assert world.server.passwords[username] == Secret("by hand")
    assert healths(world, mend=True) == ["mended"]
    assert world.reader_logs_in()
    assert world.told[-1] == ("rotation.drift", Outcome.OK, {"health": "mended", "what": f"{NAME}: {SOUND}"})


SOUND = "works, and nothing from before it does"


def test_a_restored_database_is_brought_to_what_vault_holds() -> None:
    """The role of before is back with its old password, the current one is gone: one login works in the end."""
    world = World()
    old = world.current
    world.engine.rotate(NAME, actor="tester", reason="test")
    world.server.passwords.clear()
    world.server.passwords[old["username"].reveal()] = old["password"]
    assert healths(world, mend=False) == ["drifted"]
    assert healths(world, mend=True) == ["mended"]
    assert world.reader_logs_in()
    assert not world.server.can_login(old["username"].reveal(), old["password"])


def test_a_credential_of_before_that_still_works_is_ended() -> None:
    """The stored one works, too: only what was replaced is touched."""
    world = World()
    old = world.current
    world.engine.rotate(NAME, actor="tester", reason="test")
    world.server.passwords[old["username"].reveal()] = old["password"]
    found = world.engine.examine(NAME, mend=False)
    assert [it.what for it in found] == [f"{NAME}: still works, but was replaced: version 1"]
    assert healths(world, mend=True) == ["mended"]
    assert world.nothing_left()


def test_what_cannot_be_asked_is_neither_sound_nor_drifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer is not called healthy, and nothing is set."""

    def away(_self: object, _role: str, _password: Secret) -> bool:
        raise VaultUnreachable("simulated: nobody there")

    world = rotated()
    effects = world.faults.count
    monkeypatch.setattr(type(world.server), "can_login", away)
    assert healths(world, mend=False) == ["unknown"]
    assert world.faults.count == effects + 2  # the lease, taken and given back


def test_an_open_rotation_is_said_and_finished_before_anything_else() -> None:
    """Killed in the middle: a look names the step, mending ends it."""
    world = World(faults=Faults({4: "kill after"}))
    world.process(lambda engine: engine.rotate(NAME, actor="tester", reason="test"))
    assert world.open == 1
    world.process(lambda engine: seen.extend(engine.examine(NAME, mend=False)))
    assert "a rotation is open at" in seen.pop().what
    world.process(lambda engine: seen.extend(engine.examine(NAME, mend=True)))
    assert seen.pop().health is Health.SOUND
    assert world.nothing_left()


seen: list[Diagnosis] = []


def test_a_consumer_that_is_behind_is_told_again() -> None:
    """It was not seen with what is stored; told, it takes it up."""
    consumer = Behind()
    world = World(consumers=[consumer], overlap=20)
    found = world.engine.examine(NAME, mend=True)
    assert [it.health for it in found] == [Health.SOUND, Health.MENDED]
    assert consumer.told == 1


class Behind(ScriptedConsumer):
    """A consumer that has missed the last change."""

    def __init__(self) -> None:
        super().__init__([Sight.WAITING])

    def look(self, current: object) -> Sight:
        """Works once it was told."""
        return Sight.CONFIRMED if self.told else Sight.WAITING


def test_a_rehearsal_leaves_everything_as_it_was() -> None:
    """What cannot be rehearsed says so; versions, roles and journal are the same."""
    world = World()
    before: Fields = world.current
    proofs = world.engine.rehearse(NAME)
    assert "has no rehearsal for the rest" in proofs[0]
    assert dict(world.current) == dict(before)
    assert world.nothing_left()


def test_an_unknown_name_is_an_error() -> None:
    """With the names that there are."""
    with pytest.raises(Error, match="nothing rotates under the name"):
        World().engine.examine("bots/nobody/db", mend=True)
