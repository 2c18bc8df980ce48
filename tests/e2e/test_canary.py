"""After everything that the e2e run did, no secret stands anywhere but in the listed secret-zero files."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary import Canary
from fixtures.stack import Walk

# Random: the checkout that is searched holds this file too. The rest gives each disguise something to disguise.
PLANTED = f'canary "{secrets.token_hex(8)}" with / + and é'
IN_THE_SOURCE = {"app/api_key", "app/before-the-crash"}
"""Stored by the walk with values that stand in the documents and tests themselves."""
RING = ("previous", "current", "next")  # of the gateway's signing keys: their names and times are published
SECRET_ZERO = {
    "credentials",  # RoleID and SecretID, one file per service
    "recovery.json",  # until the operator moves it
}
NOT_SECRET = {"username", "role", *(f"{which}_{what}" for which in RING for what in ("kid", "since"))}


def _secrets(walk: Walk) -> dict[str, bytes]:
    """Every secret of the stack by a name: from Vault, and the secret-zero files themselves."""
    found: dict[str, bytes] = {}
    listed = {entry["name"] for entry in walk.json("secret", "list") if not entry["deleted"]}
    for path in listed - IN_THE_SOURCE:
        for name in _fields(walk, path):
            if name not in NOT_SECRET:
                found[f"{path}:{name}"] = walk.secret(path, name).encode()
    for file in sorted((walk.home / "credentials").glob("*.json")):
        found[f"SecretID of {file.stem}"] = json.loads(file.read_text())["secret_id"].encode()
    key = _unseal_key(walk)
    found["unseal key"] = key.read_bytes()
    recovery = json.loads((walk.home / "recovery.json").read_text())
    for number, share in enumerate(_strings(recovery.get("keys", recovery))):
        if len(share) >= 32 and " " not in share:
            found[f"recovery key {number}"] = share.encode()
    return found


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _fields(walk: Walk, path: str) -> list[str]:
    shown = json.loads(walk.nasos("secret", "get", path, "--reveal", "--json").stdout)
    return list(shown["fields"])


def _unseal_key(walk: Walk) -> Path:
    stack_id: str = json.loads((walk.home / "stack.json").read_text())["id"]
    homes = (Path("/etc/nasos"), Path(walk.environment["HOME"]) / ".config" / "nasos")
    return next(home / stack_id / "unseal.key" for home in homes if (home / stack_id).exists())


@pytest.fixture(scope="module")
def canary(bot: Walk) -> Canary:
    """Knows every secret of the stack, and one that the test planted in Vault."""
    bot.nasos("secret", "set", "app/canary", stdin=PLANTED)
    known = _secrets(bot)
    assert len(known) >= 12, sorted(known)
    assert known["app/canary:value"] == PLANTED.encode()
    return Canary(known)


def test_no_secret_leaves_vault(bot: Walk, canary: Canary) -> None:
    """State directory, checkout, logs, databases and every process are clean but for the listed files."""
    hits = [
        hit
        for hit in canary.in_tree(bot.project, skip=(".venv", ".venv-bot", ".tools"))
        if not any(Path(hit.where).is_relative_to(bot.home / allowed) for allowed in SECRET_ZERO)
    ]
    assert hits == []
    assert list(canary.in_processes()) == []


def test_the_listed_files_are_where_secret_zero_is(bot: Walk, canary: Canary) -> None:
    """The grep does find what is there: the SecretIDs in their files and the recovery key in its own."""
    found = {hit.secret for hit in canary.in_tree(bot.home / "credentials")}
    assert "SecretID of rotator" in found
    assert any(hit.secret.startswith("recovery key") for hit in canary.in_file(bot.home / "recovery.json"))


@pytest.mark.parametrize("disguise", ["raw", "base64", "hex", "url", "json"])
def test_a_planted_leak_on_disk_is_found(bot: Walk, canary: Canary, disguise: str, tmp_path: Path) -> None:
    """A secret in a log, plain or disguised, makes the grep fail."""
    del bot
    value = PLANTED.encode()
    leaked = {
        "raw": value,
        "base64": base64.b64encode(value),
        "hex": value.hex().encode(),
        "url": urllib.parse.quote(PLANTED, safe="").encode(),
        "json": json.dumps(PLANTED).encode(),
    }[disguise]
    (tmp_path / "some.log").write_bytes(b"x" * ((1 << 20) - 10) + leaked + b" and more\n")
    assert {hit.secret for hit in canary.in_tree(tmp_path)} == {"app/canary:value"}


@pytest.mark.parametrize("kind", ["environ", "cmdline"])
def test_a_planted_leak_in_a_process_is_found(canary: Canary, kind: str) -> None:
    """A secret in a child's environment or arguments makes the grep fail."""
    argument = PLANTED if kind == "cmdline" else "x"
    environment = {"LEAK": PLANTED} if kind == "environ" else {}
    command = ["/bin/sh", "-c", "read line", argument]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as process:
        assert {hit.where for hit in canary.in_processes()} == {f"/proc/{process.pid}/{kind}"}
