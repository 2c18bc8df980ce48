"""The engine on simulated roles: what it does, and what every kind of bad day leaves behind."""

from __future__ import annotations

import pytest

from fixtures.rotation import NAME, World
from nasos.errors import AlreadyRunning, SecretDeleted, SecretNotFound, UsageError, VaultUnreachable
from nasos.ledger import Outcome
from nasos.rotation import lease
from nasos.rotation.journal import Journal
from nasos.rotation.rotator import Part, Sight, Unit
from nasos.rotation.run import Order, Run
from nasos.rotation.transition import ALERT_AFTER, MOST_CANDIDATES, End
from nasos.secret import Secret
from simulators.roles import Faults, ScriptedConsumer, SimulatedRoles


def rotate(world: World, reason: str = "test") -> End:
    """Rotate once."""
    return world.engine.rotate(NAME, actor="tester", reason=reason).end


def test_the_new_one_works_the_old_one_is_dead_and_nothing_is_left_over() -> None:
    """Roles take turns; each rotation makes one version; journal and candidates are gone; each step was told."""
    world = World()
    first = world.current
    for turn in ("b", "a", "b"):
        assert rotate(world) is End.ROTATED
        assert world.current["role"] == Secret(turn)
        assert world.reader_logs_in()
        assert world.nothing_left()
    assert not world.server.can_login(first["username"].reveal(), first["password"])
    assert [version.number for version in world.store.history(f"nasos/{NAME}")] == [1, 2, 3, 4]
    steps = [detail["step"] for event, _, detail in world.told if event == "rotation.step"]
    assert steps == ["set", "test", "promote", "deliver", "retire"] * 3


def test_no_value_is_told_or_journalled() -> None:
    """Events and the journal's entry hold names, versions and proofs, and no password."""
    world = World(consumers=[ScriptedConsumer([Sight.WAITING, Sight.CONFIRMED])], overlap=5)
    seen: list[str] = []
    world.faults.watch = lambda: seen.extend(repr(opened.entry) for opened in Journal(world.store).open())
    before = world.current["password"].reveal()
    rotate(world)
    after = world.current["password"].reveal()
    everything = f"{world.told}{seen}"
    assert seen
    assert before not in everything
    assert after not in everything


def test_a_rejected_candidate_is_replaced_and_somebody_is_told_after_the_third() -> None:
    """Each try has another password; the third rejection is an event of its own."""
    world = World()
    world.server.rejects = ALERT_AFTER
    assert rotate(world) is End.ROTATED
    assert [outcome for event, outcome, _ in world.told if event == "rotation.rejected"] == [Outcome.FAILED]
    assert world.nothing_left()


def test_a_target_that_wants_none_of_them_leaves_everything_as_it_was() -> None:
    """After the last candidate the rotation is withdrawn; the old credential goes on."""
    world = World()
    world.server.rejects = MOST_CANDIDATES
    before = world.current
    result = world.engine.rotate(NAME, actor="tester", reason="test")
    assert (result.end, result.failure) == (End.WITHDRAWN, "simulated: not this one")
    assert dict(world.current) == dict(before)
    assert world.reader_logs_in()
    assert world.nothing_left()


def test_what_leaked_is_destroyed_with_everything_before_it_and_cannot_come_back() -> None:
    """Once it is proven dead: no version up to it can be read; a rollback to one is refused and changes nothing."""
    consumer = ScriptedConsumer([Sight.CONFIRMED])
    world = World(consumers=[consumer])
    rotate(world)
    assert not consumer.urgent
    result = world.engine.rotate(NAME, actor="tester", reason="leak", leaked=True)
    assert (result.end, result.proofs[-1]) == (End.ROTATED, f"{NAME} up to version 2 destroyed")
    assert consumer.urgent
    assert [version.destroyed for version in world.store.history(f"nasos/{NAME}")] == [True, True, False]
    before = world.current
    for version in (1, 2):
        with pytest.raises(SecretDeleted):
            world.engine.rollback(NAME, {NAME: version}, actor="tester", reason="test")
    assert dict(world.current) == dict(before)
    assert world.reader_logs_in()
    assert world.nothing_left()


def test_what_leaked_is_kept_while_it_is_current() -> None:
    """A consumer that fails with the new one brings the leaked one back: nobody is locked out, and it says so."""
    world = World(consumers=[ScriptedConsumer([Sight.BROKEN, Sight.CONFIRMED])])
    result = world.engine.rotate(NAME, actor="tester", reason="leak", leaked=True)
    assert result.end is End.ROLLED_BACK
    assert result.failure
    assert world.reader_logs_in()
    assert not [version for version in world.store.history(f"nasos/{NAME}") if version.destroyed]


def test_consumers_are_told_and_waited_for() -> None:
    """The old one lives until the consumer is seen with the new one."""
    consumer = ScriptedConsumer([Sight.WAITING, Sight.WAITING, Sight.CONFIRMED])
    world = World(consumers=[consumer], overlap=30)
    assert rotate(world) is End.ROTATED
    assert (consumer.told, len(consumer.seen)) == (1, 3)


@pytest.mark.parametrize(
    ("script", "why"),
    [([Sight.BROKEN, Sight.CONFIRMED], "bot fails"), ([Sight.WAITING, Sight.CONFIRMED], "did not take it up")],
)
def test_a_consumer_that_fails_brings_the_old_one_back(script: list[Sight], why: str) -> None:
    """Broken, or late with no time to wait: the old value is the newest version again, and the new one is dead."""
    world = World(consumers=[ScriptedConsumer(script)], overlap=0.0)
    before = world.current
    if script[0] is Sight.WAITING:
        world.overlap = -1.0
    result = world.engine.rotate(NAME, actor="tester", reason="test")
    assert result.end is End.ROLLED_BACK
    assert why in result.failure
    assert dict(world.current) == dict(before)
    assert world.store.read(f"nasos/{NAME}").version == 3
    assert world.reader_logs_in()
    assert world.nothing_left()


def test_an_absent_consumer_is_no_obstacle() -> None:
    """A bot that does not run reads what is current when it starts."""
    assert rotate(World(consumers=[ScriptedConsumer([Sight.ABSENT])])) is End.ROTATED


def test_what_the_operator_writes_meanwhile_is_his() -> None:
    """Somebody's own write between begin and promotion is not overwritten; our candidate ends."""
    world = World()
    run = Run(world.store, world.engine.units[NAME], lambda: None, lambda *_: None, world.engine.now)
    opened = run.begin(lambda part, current: part.rotator.create(current), Order(actor="t", reason="t"))
    his = Secret.random()
    world.server.passwords["sim_a"] = his
    world.store.write(f"nasos/{NAME}", {"username": "sim_a", "role": "a", "password": his})
    result = run.finish(opened)
    assert result.end is End.ROLLED_BACK
    assert "somebody else wrote" in result.failure
    assert world.current["password"] == his
    assert world.reader_logs_in()
    assert world.nothing_left()


def test_an_unknown_unit_and_a_secret_that_was_never_made_are_refused() -> None:
    """Nothing is opened, nothing is made."""
    world = World()
    with pytest.raises(UsageError, match="nothing rotates under"):
        world.engine.rotate("bots/other/db", actor="t", reason="t")
    engine = world.engine
    units = {"x": Unit("x", (Part("never", SimulatedRoles(world.server)),))}
    with pytest.raises(SecretNotFound):
        type(engine)(engine.store, units, engine.tell, engine.now).rotate("x", actor="t", reason="t")
    assert world.open == 0


def test_rollback_brings_a_stored_password_back_on_the_idle_role() -> None:
    """Two rotations later the first password works again, on whichever role is idle, and what was current is dead."""
    world = World()
    first = world.current["password"]
    rotate(world)
    rotate(world)
    second = world.current
    result = world.engine.rollback(NAME, {NAME: 1}, actor="t", reason="rollback")
    assert result.end is End.ROTATED
    assert world.current["password"] == first
    assert world.reader_logs_in()
    assert not world.server.can_login(second["username"].reveal(), second["password"])
    assert world.nothing_left()


def test_two_rotators_do_not_work_at_once() -> None:
    """The second is refused and told who is at work; the holder's end lets it in."""
    world = World()
    with lease.hold(world.store, 0), pytest.raises(AlreadyRunning, match="another rotator is at work"):
        rotate(world)
    assert rotate(world) is End.ROTATED


def test_a_unit_whose_rotation_is_open_cannot_be_opened_again() -> None:
    """Check-and-set 0 on the journal: two halves of a pair never change at once, whoever holds a lease."""
    world = World()
    run = Run(world.store, world.engine.units[NAME], lambda: None, lambda *_: None, world.engine.now)
    run.begin(lambda part, current: part.rotator.create(current), Order(actor="t", reason="t"))
    with pytest.raises(AlreadyRunning, match="is open already"):
        run.begin(lambda part, current: part.rotator.create(current), Order(actor="t", reason="t"))


def test_trouble_leaves_it_open_and_the_next_rotation_finishes_it_first() -> None:
    """Vault away in the middle: an error, an open journal, a reader that works; the next run completes both."""
    world = World(faults=Faults({4: "refuse"}))
    with pytest.raises(VaultUnreachable):
        rotate(world)
    assert world.open == 1
    assert world.reader_logs_in()
    assert rotate(world) is End.ROTATED
    assert world.store.read(f"nasos/{NAME}").version == 3
    assert world.nothing_left()
