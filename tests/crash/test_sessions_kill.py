"""A gateway is killed (-9) in the middle of its sessions: what it told anybody still holds, above all every end."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures import sessions_child
from fixtures.sessions_child import CLIENT, NOW
from nasos.errors import SessionRefused
from nasos.gateway import opaque
from nasos.gateway.access import Role
from nasos.gateway.sessions import Sessions
from nasos.secret import Secret

LATER = NOW + timedelta(minutes=10)
STEPS = [*range(1, 1500, 23)]
TIMES = [-tenths for tenths in random.sample(range(1, 600), 40)]  # of a millisecond


class Line(NamedTuple):
    """What a process asked for (``renewing``, ``ending``) or was told (``opened``, ``renewed``, ``ended``)."""

    what: str
    user: str
    sid: str
    token: str

    def ends(self, other: Line) -> bool:
        """Whether it is about that session's end: its own, or that of all its user's."""
        return self.what in ("ending", "ended") and self.user == other.user and self.sid in ("-", other.sid)


def told(folder: Path, numbers: list[int]) -> dict[int, list[Line]]:
    """What the killed processes told, by the number of the kill."""
    run = [sys.executable, sessions_child.__file__, str(folder), *map(str, numbers)]
    done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=300)
    lines: dict[int, list[Line]] = {number: [] for number in numbers}
    for line in done.stdout.splitlines():
        number, *rest = line.split()
        lines[int(number)].append(Line(*rest))
    return lines


def check(path: Path, lines: list[Line]) -> tuple[int, int]:
    """Hold the file to what was told; how many ended and how many living sessions were looked at."""
    sessions = Sessions.open(path)
    newest = {line.sid: line for line in lines if line.what in ("opened", "renewed")}
    last, ended, living = lines[-1] if lines else None, 0, 0
    for sid, line in newest.items():
        if any(each.what == "ended" and each.ends(line) for each in lines):
            assert not sessions.active(sid, LATER), "an end that was told is forgotten"
            assert not goes_on(sessions, line)
            ended += 1
        elif not (last and last.ends(line)):
            assert sessions.active(sid, LATER), "a session that nobody ended is gone"
            on_its_way = last is not None and last.what == "renewing" and last.sid == sid
            assert goes_on(sessions, line) or on_its_way, "its newest token does not count"
            living += 1
    sessions.close()
    return ended, living


def goes_on(sessions: Sessions, line: Line) -> bool:
    """Whether this token renews its session."""
    try:
        return sessions.renew(Secret(line.token), CLIENT, LATER).sid == line.sid
    except SessionRefused:
        return False


def test_every_end_and_every_token_that_was_told_survives_kill_9(tmp_path: Path) -> None:
    """Killed at many steps of SQLite and at many moments: ended stays ended, living goes on with its newest token."""
    lines = told(tmp_path, STEPS + TIMES)
    looked = [check(tmp_path / str(number) / "sessions.db", lines[number]) for number in STEPS + TIMES]
    survived = sum(any(line.what == "done" for line in each) for each in lines.values())
    assert survived < len(lines) / 2, "the kills came too late to mean anything"
    assert sum(ended for ended, _ in looked) > 20
    assert sum(living for _, living in looked) > 50


def test_the_check_sees_an_end_that_was_forgotten(tmp_path: Path) -> None:
    """The negative twin: told of an end, or of a token, that the file does not know, it fails."""
    sessions = Sessions.open(tmp_path / "s.db")
    opened = sessions.start("user0", Role.TRADER, CLIENT, NOW)
    line = Line("opened", "user0", opened.sid, opened.refresh.reveal())
    with pytest.raises(AssertionError, match="forgotten"):
        check(tmp_path / "s.db", [line, line._replace(what="ended"), line._replace(what="ready", user="-")])
    newer = line._replace(what="renewed", token=opaque.assembled(opaque.REFRESH, "x" * 43).reveal())
    with pytest.raises(AssertionError, match="newest token"):
        check(tmp_path / "s.db", [line, newer])
    sessions.end(opened.sid, "lost", NOW)
    with pytest.raises(AssertionError, match="gone"):
        check(tmp_path / "s.db", [line])
    sessions.close()
