from __future__ import annotations

import io

import pytest

from nasos.ledger import Outcome
from nasos.stack.watcher.listener import Change, listen

BODY = "processname:bot groupname:bot from_state:{before} pid:{pid} tries:3 expected:0"


def message(state: str, before: str = "RUNNING", pid: int = 77) -> bytes:
    """One event as supervisord sends it."""
    body = BODY.format(before=before, pid=pid).encode()
    header = f"ver:3.0 server:supervisor serial:21 pool:watcher poolserial:10 eventname:PROCESS_STATE_{state}"
    return f"{header} len:{len(body)}\n".encode() + body


@pytest.mark.parametrize(
    ("state", "event", "outcome"),
    [
        ("RUNNING", "program.start", Outcome.OK),
        ("STOPPED", "program.stop", Outcome.OK),
        ("EXITED", "program.exit", Outcome.FAILED),
        ("BACKOFF", "program.exit", Outcome.FAILED),
        ("FATAL", "program.failed", Outcome.FAILED),
        ("UNKNOWN", "program.failed", Outcome.UNKNOWN),
        ("STARTING", None, None),
        ("STOPPING", None, None),
    ],
)
def test_each_change_of_a_program_is_answered_and_recorded(
    state: str, event: str | None, outcome: Outcome | None
) -> None:
    """READY before each event, the answer after it; only what a person would want to know is an event."""
    told: list[Change] = []
    answers = io.BytesIO()
    listen(io.BytesIO(message(state) * 2), answers, told.append)
    assert answers.getvalue() == b"READY\nRESULT 2\nOK" * 2 + b"READY\n"
    assert [(change.event, change.outcome) for change in told] == [(event, outcome)] * 2 * (event is not None)
    assert all((change.program, change.detail["before"]) == ("bot", "running") for change in told)


def test_a_supervisor_that_ends_in_mid_event_ends_the_listener() -> None:
    """A closed pipe is an end, not an error."""
    told: list[Change] = []
    for cut in (0, 5, 100):
        listen(io.BytesIO(message("FATAL")[:cut]), io.BytesIO(), told.append)
    assert [change.event for change in told] in ([], ["program.failed"])
