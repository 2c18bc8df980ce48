"""testssl.sh against every listener: what it finds is accepted in writing, with a reason, or it is a failure."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from fixtures.listeners import LISTENERS

ACCEPTED = tomllib.loads(Path(__file__).with_name("testssl_accepted.toml").read_text())


@pytest.mark.long
@pytest.mark.parametrize("name", LISTENERS)
def test_testssl_finds_nothing_that_is_not_accepted_in_writing(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    """From LOW on, and what it could not find out; a reason for a finding that is no more there is stale."""
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    assert program, "apt-get install testssl.sh"
    listener, found = LISTENERS[name](request), tmp_path / "found.json"
    starttls = ("--starttls", "postgres") if listener.postgres else ()
    done = subprocess.run(
        [
            program, "--quiet", "--color", "0", "--warnings", "batch", "--add-ca", listener.ca, "--jsonfile", found,
            "--severity", "LOW", "--ip", "127.0.0.1", *starttls, f"{listener.name}:{listener.port}",
        ],
        capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert "Done" in done.stdout, done.stdout[-3000:]
    findings = {each["id"]: f"{each['severity']}: {each['finding']}" for each in json.loads(found.read_text())}
    accepted = set(ACCEPTED["any"]) | set(ACCEPTED.get(name, {}))
    assert {identity: what for identity, what in findings.items() if identity not in accepted} == {}
    assert set(ACCEPTED.get(name, {})) <= set(findings)
