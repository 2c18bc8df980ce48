"""supervisord's event listener protocol: what programs do becomes events of the ledger.

Rules (supervisord.org, Events): a listener says READY, is given one event on its standard input, answers, and says
READY again; its standard output carries nothing else. The answer is always OK: an event that cannot be recorded is said
on standard error and does not come again. supervisord keeps what happens while the listener is restarted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from typing import IO, Final

from nasos.ledger import Outcome

_STATES: Final = {
    "RUNNING": ("program.start", Outcome.OK),
    "STOPPED": ("program.stop", Outcome.OK),
    # Only a program that nobody stopped is told as exited; none of ours ends by itself when it is well.
    "EXITED": ("program.exit", Outcome.FAILED),
    "BACKOFF": ("program.exit", Outcome.FAILED),
    "FATAL": ("program.failed", Outcome.FAILED),
    "UNKNOWN": ("program.failed", Outcome.UNKNOWN),
}
"""PROCESS_STATE_<...> -> event and outcome; the states in between are nothing to record."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one program."""

    event: str
    program: str
    outcome: Outcome
    detail: dict[str, str]


def change(header: dict[str, str], body: dict[str, str]) -> Change | None:
    """The event that a message of supervisord is worth."""
    state = header.get("eventname", "").removeprefix("PROCESS_STATE_")
    if state not in _STATES:
        return None
    event, outcome = _STATES[state]
    detail = {"before": body.get("from_state", "").lower()}
    if "pid" in body and body["pid"] != "0":
        detail["pid"] = body["pid"]
    if state == "BACKOFF":
        detail["why"] = f"it ended while it started, try {body.get('tries', '')}"
    return Change(event, body.get("processname", ""), outcome, detail)


def listen(commands: IO[bytes] | RawIOBase, answers: IO[bytes], told: Callable[[Change], object]) -> None:
    """Take events until supervisord closes the pipe."""
    while True:
        answers.write(b"READY\n")
        answers.flush()
        header = _pairs(commands.readline())
        if "len" not in header:
            return
        found = change(header, _pairs(_exactly(commands, int(header["len"])).partition(b"\n")[0]))
        if found is not None:
            told(found)
        answers.write(b"RESULT 2\nOK")
        answers.flush()


def _exactly(commands: IO[bytes] | RawIOBase, size: int) -> bytes:
    content = b""
    while len(content) < size and (piece := commands.read(size - len(content))):
        content += piece
    return content


def _pairs(line: bytes) -> dict[str, str]:
    return dict(re.findall(r"(\w+):(\S*)", line.decode("utf-8", "replace")))
