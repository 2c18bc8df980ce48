"""A listed file that others can read, or that is somebody else's: `nasos up` refuses it with the line that mends it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fixtures.stack import Walk

READ_AT_START = ("tls/ca.key", "credentials/app.json", "credentials/rotator.json", "credentials/operator.json")


@pytest.mark.parametrize("name", READ_AT_START)
def test_up_refuses_what_others_can_read(stack: Walk, name: str) -> None:
    """Exit code 3, the file, and `chmod`; the mode is not mended behind the operator's back, and what runs runs on."""
    path = stack.home / name
    path.chmod(0o644)
    try:
        done = stack.nasos("up", check=False)
        assert done.returncode == 3
        assert f"error: {path} can be read by other users" in done.stderr
        assert f"hint: chmod 600 {path}" in done.stderr
        assert path.stat().st_mode & 0o777 == 0o644
        subprocess.run(["/bin/sh", "-ec", done.stderr.split("hint: ")[1].splitlines()[0]], check=True)
    finally:
        path.chmod(0o600)
    stack.until(stack.healthy, 120)  # a look of the rotator that met the wrong mode is done again after 30 s


def test_a_readable_unseal_key_is_refused(stack: Walk) -> None:
    """The one secret outside the state directory."""
    identity = json.loads((stack.home / "stack.json").read_text())["id"]
    places = (Path("/etc/nasos"), Path(stack.environment["HOME"]) / ".config" / "nasos")
    [key] = [place / identity / "unseal.key" for place in places if (place / identity / "unseal.key").exists()]
    key.chmod(0o640)
    try:
        done = stack.nasos("up", check=False)
        assert done.returncode == 3
        assert f"hint: chmod 600 {key}" in done.stderr
    finally:
        key.chmod(0o600)


if os.geteuid() == 0:

    @pytest.mark.parametrize("name", ["tls/ca.key", "credentials/rotator.json"])
    def test_up_refuses_a_strangers_file(stack: Walk, name: str) -> None:
        """Somebody else's key or credential is not used, whoever may read it."""
        path = stack.home / name
        status = path.stat()
        os.chown(path, 54321, -1)
        try:
            done = stack.nasos("up", check=False)
            assert done.returncode == 3
            assert str(path) in done.stderr
        finally:
            os.chown(path, status.st_uid, -1)
