"""A client whose wall clock is off by an hour and jumps, under libfaketime; Vault's own clock is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.vault import VaultUnderTest
from nasos.settings import AppRole
from nasos.vault import VaultClient

[LIBRARY] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")

CLIENT = """
import os, sys, time
from pathlib import Path
from nasos.errors import Error
from nasos.settings import AppRole, VaultConnection
from nasos.vault import VaultClient

address, ca_file, role_id, secret_id_file, clock, *jumps = sys.argv[1:]
credential = AppRole(role_id=role_id, secret_id_file=Path(secret_id_file))
client = VaultClient(VaultConnection(address, Path(ca_file), credential))
tokens, right = [], time.time()
for jump in jumps:
    Path(clock).write_text(jump)
    try:
        client._cache.clear()
        print(jump, round((time.time() - right) / 3600), client.get_secret("clock"))
        if (token := client.session.token()) not in tokens:
            tokens.append(token)
    except Error as error:
        print(jump, error.message, "|", error.hint)
print("tokens:", len(tokens))
"""


@pytest.fixture
def stored(vault: VaultUnderTest) -> VaultUnderTest:
    """A value to read."""
    with VaultClient(vault.connection("app")) as client:
        client.store_secret("clock", "a value")
    return vault


def seen(vault: VaultUnderTest, place: Path, *jumps: str) -> list[str]:
    """What a client sees that asks once after each jump of its clock (libfaketime's ``+1h``)."""
    clock = place / "clock"
    clock.write_text("+0")
    credential = vault.connection("app").credential
    assert isinstance(credential, AppRole)
    words = (vault.address, vault.ca_file, credential.role_id, credential.secret_id_file, clock, *jumps)
    faked = {
        "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *map(str, words)],
        env={"PATH": os.environ["PATH"], **faked}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_clock_that_jumps_by_an_hour_and_back_costs_neither_a_secret_nor_a_login(
    stored: VaultUnderTest, tmp_path: Path
) -> None:
    """A token lives for an hour of Vault's time: it is neither taken for expired nor renewed by the wall clock."""
    found = seen(stored, tmp_path, "+0", "+1h", "-1h", "+3h", "+0")
    assert found == ["+0 0 a value", "+1h 1 a value", "-1h -1 a value", "+3h 3 a value", "+0 0 a value", "tokens: 1"]


def test_a_certificate_of_another_day_is_refused_with_a_look_at_the_clock(
    stored: VaultUnderTest, tmp_path: Path
) -> None:
    """Two days behind it is not valid yet, a year ahead it has expired: nothing is sent, and the clock is the hint."""
    for jump, why in (("-2d", "not yet valid"), ("+1y", "expired")):
        [line, tokens] = seen(stored, tmp_path, jump)
        assert why in line
        assert '"date" shows this machine\'s clock' in line
        assert tokens == "tokens: 0"
