"""What every rotator promises, ours and those of third parties.

``pytest tests/contract/test_rotator.py --rotator MODULE:FUNCTION`` runs it on another one: the function takes no
argument and returns a `fixtures.rotators.Target`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import rotators
from fixtures.rotators import Target
from nasos.errors import CandidateRejected, Error, LeaseLost
from nasos.rotation.rotator import Rehearsing

KINDS = ("simulated", "alternating", "single", "self", "admin", "command", "random", "bot fields", "signing")


def allowed() -> None:
    """A fence that is open."""


def lost() -> None:
    """A fence that is closed."""
    raise LeaseLost("another rotator has taken over")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ours in turn, or the one that was given."""
    given: str | None = metafunc.config.getoption("rotator", default=None)
    metafunc.parametrize("kind", [given] if given else KINDS)


@pytest.fixture
def target(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Target:
    """A rotator with a target of its own."""
    makers: dict[str, Callable[[], Target]] = {
        "simulated": rotators.simulated_roles,
        "command": lambda: rotators.command_target(tmp_path),
        "random": rotators.random_target,
        "bot fields": rotators.bot_fields_target,
        "signing": rotators.signing_target,
    }
    if kind in makers:
        return makers[kind]()
    if ":" in kind:
        return _given(kind)
    if kind == "admin":
        return rotators.admin_target(request.getfixturevalue("postgres"))
    return rotators.postgres_target(request.getfixturevalue("postgres"), kind)


def _given(name: str) -> Target:
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function)()
    assert isinstance(found, Target)
    return found


def test_two_candidates_differ_and_the_target_has_heard_of_neither(target: Target) -> None:
    """Making one changes nothing, and loses no field of the record."""
    one, two = target.rotator.create(target.current), target.rotator.create(target.current)
    assert set(target.current) <= set(one) == set(two)
    assert dict(one) != dict(two)
    assert dict(one) != dict(target.current)
    assert target.works(target.current)
    if target.holds:
        assert not target.works(one)
        assert not target.works(two)


def test_each_step_may_be_done_again_and_the_old_one_is_refused_in_the_end(target: Target) -> None:
    """Set, test, promote and revoke, each twice, as after a lost answer; meanwhile as many work as the target holds."""
    old = target.current
    candidate = target.rotator.create(old)
    for _ in range(2):
        target.rotator.set(candidate, allowed)
        if target.holds:
            assert target.works(candidate)
            assert target.works(old) is (target.holds > 1)
    for _ in range(2):
        assert target.rotator.test(candidate)
    target.promote(candidate)
    for _ in range(2):
        assert target.rotator.revoke(old, candidate, allowed)
        assert target.works(candidate)
        if target.holds:
            assert not target.works(old)


def test_a_candidate_that_is_given_up_leaves_what_was_current(target: Target) -> None:
    """Before promotion, set or not yet set: the candidate is refused, the current one works."""
    for is_set in (False, True):
        candidate = target.rotator.create(target.current)
        if is_set:
            target.rotator.set(candidate, allowed)
        assert target.rotator.revoke(candidate, target.current, allowed)
        assert target.works(target.current)
        if target.holds:
            assert not target.works(candidate)


def test_a_candidate_that_was_never_set_does_not_pass_the_test(target: Target) -> None:
    """The test is a real use; where there is no target, it is none."""
    candidate = target.rotator.create(target.current)
    if not target.holds:
        assert target.rotator.test(candidate)
        return
    with pytest.raises(CandidateRejected):
        target.rotator.test(candidate)


def test_a_rotator_that_lost_its_lease_changes_nothing(target: Target) -> None:
    """A paused one wakes up: neither a candidate is set nor a credential ended."""
    if not target.holds:
        return
    old = target.current
    candidate = target.rotator.create(old)
    with pytest.raises(LeaseLost):
        target.rotator.set(candidate, lost)
    assert target.works(old)
    assert not target.works(candidate)
    target.rotator.set(candidate, allowed)
    with pytest.raises(LeaseLost):
        target.rotator.revoke(candidate, old, lost)
    assert target.works(candidate)


def test_an_old_version_comes_back_with_the_same_proofs(target: Target) -> None:
    """What was current before the present one, revived, works and the present one ends."""
    first = target.current
    second = target.rotator.create(first)
    target.rotator.set(second, allowed)
    target.promote(second)
    target.rotator.revoke(first, second, allowed)
    back = target.rotator.revive(second, first)
    assert any(dict(back)[name] == value for name, value in first.items() if dict(second)[name] != value)
    target.rotator.set(back, allowed)
    target.rotator.test(back)
    target.promote(back)
    target.rotator.revoke(second, back, allowed)
    assert target.works(back)
    if target.holds:
        assert not target.works(second)


def test_a_rehearsal_changes_nothing_for_anybody(target: Target) -> None:
    """What is current works before and after, also to be rotated; what was made for it is gone."""
    if not isinstance(target.rotator, Rehearsing):
        return
    before = dict(target.current)
    for _ in range(2):
        assert target.rotator.rehearse(target.current)
        assert dict(target.current) == before
        assert target.works(target.current)
    candidate = target.rotator.create(target.current)
    target.rotator.set(candidate, allowed)
    assert target.works(candidate) or not target.holds
    if isinstance(target.away, Rehearsing):
        with pytest.raises(Error) as away:
            target.away.rehearse(target.current)
        assert not isinstance(away.value, CandidateRejected)


def test_nobody_uses_what_nobody_logged_in_with(target: Target) -> None:
    """Sessions are counted, or 0 is said."""
    assert target.rotator.in_use(target.current) == 0


def test_a_target_that_cannot_be_asked_is_no_rejection_and_no_proof(target: Target) -> None:
    """The step is done again later: neither another candidate is tried nor the old one called dead."""
    if target.away is None:
        return
    candidate = target.rotator.create(target.current)
    with pytest.raises(Error) as refused:
        target.away.set(candidate, allowed)
    assert not isinstance(refused.value, CandidateRejected)
    assert target.works(target.current)


def test_whether_it_is_taken_is_tried_and_nothing_changes(target: Target) -> None:
    """Current, candidate, retired: each is told as it is, or nobody can be asked."""
    old = target.current
    candidate = target.rotator.create(old)
    if target.rotator.accepts(old, {}) is None:
        assert not target.holds, "there is a target, and it is not asked"
        return
    assert target.rotator.accepts(old, {}) is True
    assert target.rotator.accepts(candidate, old) is False
    target.rotator.set(candidate, allowed)
    target.promote(candidate)
    target.rotator.revoke(old, candidate, allowed)
    assert target.rotator.accepts(candidate, {}) is True
    assert target.rotator.accepts(old, candidate) is False
    assert target.works(candidate)
    if target.away:
        with pytest.raises(Error):
            target.away.accepts(candidate, {})
