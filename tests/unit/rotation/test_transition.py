"""The table of steps: whatever happens, there is a way on, and every way ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.rotation.journal import Step
from nasos.rotation.transition import MOST_CANDIDATES, End, Said, following

POSSIBLE = {
    Step.SET: (Said.DONE, Said.REJECTED),
    Step.TEST: (Said.DONE, Said.REJECTED),
    Step.PROMOTE: (Said.DONE, Said.CONFLICT),
    Step.DELIVER: (Said.DONE, Said.BROKEN),
}
"""How a step can end; the others end one way only."""


@given(st.data())
def test_every_way_ends_and_its_end_tells_what_happened(data: st.DataObject) -> None:
    """At most a few steps per candidate; "rotated" is reached only past promotion and delivery, and by no way back."""
    step: Step | End = Step.SET
    left, passed = MOST_CANDIDATES, list[tuple[Step, Said]]()
    while isinstance(step, Step):
        said = data.draw(st.sampled_from(POSSIBLE.get(step, (Said.DONE,))))
        passed.append((step, said))
        step = following(step, said, left)
        left -= said is Said.REJECTED
        assert len(passed) <= 3 * MOST_CANDIDATES
    went = {each for each, said in passed if said is Said.DONE}
    if step is End.ROTATED:
        assert went >= {Step.SET, Step.TEST, Step.PROMOTE, Step.DELIVER, Step.RETIRE}
        assert not went & {Step.RESTORE, Step.WITHDRAW, Step.DISCARD}
    elif step is End.WITHDRAWN:
        assert Step.PROMOTE not in went
    else:
        assert [each for each, _ in passed][-3:] == [Step.RESTORE, Step.REDELIVER, Step.DISCARD]


@pytest.mark.parametrize("step", [step for step in Step if step not in {Step.SET, Step.TEST}])
def test_only_a_candidate_can_be_rejected(step: Step) -> None:
    """After the test there is no other candidate to try: such an outcome is a mistake of the runner."""
    with pytest.raises(ValueError, match="cannot end"):
        following(step, Said.REJECTED, MOST_CANDIDATES)


def test_the_last_candidate_is_followed_by_giving_up() -> None:
    """With none left, what was set is withdrawn."""
    assert following(Step.SET, Said.REJECTED, 2) is Step.SET
    assert following(Step.SET, Said.REJECTED, 1) is Step.WITHDRAW
    assert following(Step.TEST, Said.REJECTED, 1) is Step.WITHDRAW
