"""Listed files that others can read, or that are a stranger's: `nasos up` refuses them, and says what mends them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from fixtures.stack import Walk
from nasos.checks.exposure import existing

AT_REST = ("tls/*.key", "tls/*.pem", "credentials/*", "app.env", "recovery.json", "stack.json")
"""What no running program writes to while a test has it."""
REPLACED = ("state.json", "cloudflare.json")
"""Written anew every few seconds by who runs, with the right mode."""


def typed(done: subprocess.CompletedProcess[str]) -> None:
    """The hint, as it stands there, in a shell."""
    subprocess.run(["/bin/sh", "-ec", done.stderr.split("nasos: hint: ")[1].splitlines()[0]], check=True)


def test_up_refuses_every_listed_file_that_others_can_reach(stack: Walk) -> None:
    """Exit code 3, each file and its `chmod`; nothing is mended behind the operator's back, and what runs runs on."""
    found = existing(stack.home).items()
    listed = {path: row.mode for path, row in found if path.is_file() and path.name not in REPLACED}
    assert len(listed) > 30
    before = {path: path.stat().st_mode & 0o777 for path in listed}
    wider = {path: mode | (0o022 if listed[path] == 0o644 else 0o044) for path, mode in before.items()}
    try:
        for path, mode in wider.items():
            path.chmod(mode)
        done = stack.nasos("up", check=False)
        assert done.returncode == 3
        for path, mode in wider.items():
            assert f"{path} has mode {mode:04o}" in done.stderr
            assert path.stat().st_mode & 0o777 == mode
        typed(done)
        assert {path: path.stat().st_mode & 0o077 for path in listed} == {
            path: mode & 0o077 for path, mode in listed.items()
        }
    finally:
        for path, mode in before.items():
            path.chmod(mode)
    stack.until(stack.healthy, 120)  # a look of the rotator that met the wrong mode is done again after 30 s
    stack.nasos("up")


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

    def test_up_refuses_a_strangers_files(stack: Walk) -> None:
        """Somebody else's key, certificate or credential is not used, whoever may read it; `chown` gives it back."""
        strangers = {path: path.stat() for pattern in AT_REST for path in stack.home.glob(pattern)}
        assert len(strangers) > 20
        try:
            for path in strangers:
                os.chown(path, 54321, -1)
            done = stack.nasos("up", check=False)
            assert done.returncode == 3
            for path in strangers:
                assert f"{path} belongs to uid 54321" in done.stderr
            if stack.user is None:  # only root can give a file away
                typed(done)
                assert {path: path.stat().st_uid for path in strangers} == {
                    path: status.st_uid for path, status in strangers.items()
                }
        finally:
            for path, status in strangers.items():
                os.chown(path, status.st_uid, -1)
        stack.until(stack.healthy, 120)
        stack.nasos("up")
