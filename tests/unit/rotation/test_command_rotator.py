"""The user's own program as a rotator: what it is given, what it says, and every way in which it misbehaves."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from fixtures.rotators import PROGRAM, Target, command_target
from fixtures.stack import until
from nasos.errors import CandidateRejected, Error, RotationError
from nasos.rotation.command import Command
from nasos.secret import Secret


def allowed() -> None:
    """A fence that is open."""


def refused(target: Target) -> Error:
    """What setting a fresh candidate ends with."""
    candidate = target.rotator.create(target.current)
    with pytest.raises(Error) as raised:
        target.rotator.set(candidate, allowed)
    for value in (*candidate.values(), *target.current.values()):
        assert value.reveal() not in f"{raised.value.message} {raised.value.hint}"
    return raised.value


def test_secrets_come_by_standard_input_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No argument and no variable holds one, and nothing of our own environment is handed on."""
    monkeypatch.setenv("VAULT_TOKEN", "a token of ours")
    target = command_target(tmp_path)
    candidate = target.rotator.create(target.current)
    target.rotator.set(candidate, allowed)
    given = json.loads((tmp_path / "accepts.given").read_text())
    assert given["candidate"]["value"] == candidate["value"].reveal()
    assert given["current"]["value"] == "the first value"
    assert given["name"] == "app/key"
    seen = json.dumps(given["seen"])
    for value in (candidate["value"].reveal(), "the first value", "a token of ours"):
        assert value not in seen
    assert not {name for name in given["seen"]["environment"] if name.startswith(("VAULT_", "NASOS_"))}


def test_exit_code_1_is_a_no(tmp_path: Path) -> None:
    """Another candidate may do."""
    error = refused(command_target(tmp_path, "says no"))
    assert isinstance(error, CandidateRejected)
    assert "too weak (exit code 1)" in error.message


@pytest.mark.parametrize(
    ("manner", "told"), [("cannot tell", "does not answer (exit code 2)"), ("is killed", "signal 9")]
)
def test_any_other_end_is_no_answer(tmp_path: Path, manner: str, told: str) -> None:
    """The step is done again later; no candidate is thrown away for it."""
    error = refused(command_target(tmp_path, manner))
    assert not isinstance(error, CandidateRejected)
    assert told in error.message


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Its process group is gone when the error is raised."""
    target = command_target(tmp_path, "hangs", seconds=3.0)
    candidate = target.rotator.create(target.current)
    with pytest.raises(RotationError, match="longer than 3 s"):
        target.rotator.set(candidate, allowed)
    child = int((tmp_path / "accepts.child").read_text())
    until(lambda: not _lives(child), 10)


def test_what_it_says_is_shown_without_the_values(tmp_path: Path) -> None:
    """Also where it shows them in JSON or in hexadecimal; `refused` looks for the plain ones."""
    target = command_target(tmp_path, "says the secret")
    candidate = target.rotator.create(target.current)
    with pytest.raises(CandidateRejected) as raised:
        target.rotator.set(candidate, allowed)
    assert raised.value.message.count("[redacted]") == 3
    assert candidate["value"].reveal().encode().hex() not in raised.value.message


@pytest.mark.parametrize(
    ("manner", "told"),
    [
        ("prints no JSON at all", "no JSON object of strings"),
        ('prints {"value": 3}', "no JSON object of strings"),
        ("prints nothing new", "what is stored already"),
    ],
)
def test_a_candidate_that_is_none_is_refused(tmp_path: Path, manner: str, told: str) -> None:
    """Before a rotation is opened."""
    target = command_target(tmp_path, manner)
    with pytest.raises(RotationError, match=told):
        target.rotator.create(target.current)


def test_a_program_that_says_yes_and_does_nothing_is_found_out(tmp_path: Path) -> None:
    """Set is held against test, and so is the end of the old one."""
    lazy = command_target(tmp_path, "does not set")
    candidate = lazy.rotator.create(lazy.current)
    lazy.rotator.set(candidate, allowed)
    with pytest.raises(CandidateRejected):
        lazy.rotator.test(candidate)
    lying = command_target(tmp_path, "does not revoke")
    candidate = lying.rotator.create(lying.current)
    lying.rotator.set(candidate, allowed)
    with pytest.raises(RotationError, match="test still accepts it"):
        lying.rotator.revoke(lying.current, candidate, allowed)


def test_nothing_is_ended_while_what_is_current_does_not_work(tmp_path: Path) -> None:
    """A target that was changed by hand meanwhile would be left without any credential."""
    target = command_target(tmp_path)
    with pytest.raises(RotationError, match="nothing is ended"):
        target.rotator.revoke(target.current, {"value": Secret("never set anywhere")}, allowed)
    assert target.works(target.current)


def test_a_program_that_is_not_there_is_said_to_be_missing() -> None:
    """With where it is named."""
    with pytest.raises(RotationError, match="cannot be started: no such file") as raised:
        Command(["/nowhere/rotate"], "app/key", dict).test({"value": Secret("x")})
    assert "nasos.toml" in (raised.value.hint or "")


def test_a_value_too_short_to_be_masked_hides_all_that_was_said(tmp_path: Path) -> None:
    """Cutting every 4 out of a text shows where they stood."""
    accepts = tmp_path / "accepts.json"
    accepts.write_text("[]")
    short = Command([sys.executable, str(PROGRAM), str(accepts), "says the secret"], "app/pin", dict)
    with pytest.raises(CandidateRejected) as raised:
        short.set({"value": Secret("4711")}, allowed)
    assert "4711" not in raised.value.message
    assert "too short to be masked" in raised.value.message


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
