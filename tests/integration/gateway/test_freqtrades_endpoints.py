"""The role matrix is held to the freqtrade that the bot runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[3]
MATRIX = PROJECT / "tests/unit/gateway/role_matrix.txt"


def test_the_matrix_names_exactly_the_endpoints_of_the_real_freqtrade() -> None:
    """What its own application routes, documented or not, has a line; a line without an endpoint is stale."""
    told = subprocess.run(
        [PROJECT / ".venv-bot/bin/python", "-I", PROJECT / "tests/simulators/freqtrades_endpoints.py"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    listed = json.loads(told.stdout)
    real = {(method, path) for method, path in listed["documented"] + listed["hidden"]}
    assert len(listed["documented"]) > 60
    lines = [line.split() for line in MATRIX.read_text().splitlines() if line and not line.startswith("#")]
    written = [(method, path) for method, path, *_ in lines]
    assert len(written) == len(set(written))
    assert sorted(real - set(written)) == [], "decide who may use these, and write it down"
    assert sorted(set(written) - real) == [], "freqtrade has these no more"
