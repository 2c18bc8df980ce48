from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from nasos.cloudflare.governor import QUOTA, WINDOW, Governor


@given(st.lists(st.floats(0, 200), max_size=30))
def test_no_window_sees_more_than_our_share(pauses: list[float]) -> None:
    """However requests come in bursts: at most 960 in any 300 s, where 1200 are allowed."""
    governor, now, sent = Governor(), 0.0, deque[float]()
    for pause in [*pauses, 0.0]:
        now += pause
        for _ in range(150):
            now += governor.wait(now) + 1e-9
            governor.spend(now)
            sent.append(now)
            while sent[0] < now - WINDOW:
                sent.popleft()
            assert len(sent) <= QUOTA * 0.8 + 1


def test_a_burst_goes_out_at_once() -> None:
    """One hundred requests after a pause wait for nothing."""
    governor = Governor()
    for _ in range(100):
        assert governor.wait(5.0) == 0
        governor.spend(5.0)
    assert governor.wait(5.0) > 0


def test_a_hold_is_kept_whatever_its_length() -> None:
    """And a shorter one does not end it."""
    governor = Governor()
    governor.hold(0.0, 86400.0)
    governor.hold(10.0, 5.0)
    assert governor.wait(100.0) == 86300.0


def test_what_the_answers_say_counts_more_than_what_we_believe() -> None:
    """Somebody else uses the same quota up; another plan has another policy; nonsense is none."""
    governor = Governor()
    governor.heard(0.0, '"default";r=3;t=30', "")
    for _ in range(3):
        assert governor.wait(0.0) == 0
        governor.spend(0.0)
    assert 0 < governor.wait(0.0) < 1
    governor.heard(0.0, '"default";r=0;t=30', '"default";q=1200;w=300')
    assert governor.wait(0.0) == 30
    slow = Governor()
    slow.heard(0.0, "", '"default";q=10;w=100')
    waits = []
    for _ in range(3):
        slow.spend(0.0)
        waits.append(slow.wait(0.0) > 0)
    assert waits == [False, True, True]
    for nonsense in ("", "r=", "r=-1;t=5", ";;;", "r=99999999999999999999", '"x";q=0;w=0'):
        fresh = Governor()
        fresh.heard(0.0, nonsense, nonsense)
        assert fresh.wait(0.0) == 0
