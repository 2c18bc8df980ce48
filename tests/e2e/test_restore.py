"""The whole way: a trading stack, its backup, and the same stack on an "empty machine", bot and all."""

from __future__ import annotations

import json
import shutil
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from documents import differences, examples, shape
from fixtures.stack import Walk, free_base_port, until


@dataclass
class Moved:
    """The restored stack, beside the one that it came from."""

    walk: Walk
    extra: dict[str, str]
    port: int
    restored: dict[str, Any]
    started: dict[str, Any]

    def json(self, *words: str) -> Any:
        """A ``--json`` answer of the restored stack."""
        return json.loads(self.walk.run("./nasos", *words, "--json", extra=self.extra, check=False).stdout)

    def secret(self, name: str, field: str) -> str:
        """A value in the restored Vault."""
        words = ("secret", "get", name, "--field", field, "--reveal")
        return self.walk.run("./nasos", *words, extra=self.extra).stdout.rstrip("\n")

    def api(self, path: str, authorization: str, method: str = "GET") -> Any:
        """The bot's API through the restored front door."""
        context = ssl.create_default_context(cafile=str(Path(self.extra["NASOS_HOME"]) / "tls" / "ca.pem"))
        request = urllib.request.Request(
            f"https://localhost:{self.port}{path}", headers={"Authorization": authorization}, method=method,
            data=b"" if method == "POST" else None,
        )  # fmt: skip
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310  as above
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def moved(bot: Walk) -> Iterator[Moved]:
    """Backed up to a key while it trades; restored under another home, key directory and port; started."""
    place = Path(bot.environment["HOME"])
    home, keys, port = place / "elsewhere", place / "elsewhere-keys", free_base_port()
    extra = {"NASOS_HOME": str(home), "NASOS_KEY_DIR": str(keys)}
    file, identity = place / "moving.age", place / "moving.key"
    recipient = bot.nasos("backup", "keygen", str(identity)).stdout.strip()
    bot.nasos("secret", "set", "app/moving", stdin="through the backup")
    bot.nasos("rotate", "now", "postgres/admin")  # so that it is not the cluster's first superuser who comes back
    bot.nasos("backup", str(file), "--recipient", recipient)
    stack_id = json.loads((bot.home / "stack.json").read_text())["id"]
    usual = Path("/etc/nasos") if bot.user is None else place / ".config" / "nasos"
    words = ("restore", str(file), "--identity", str(identity), "--unseal-key", str(usual / stack_id / "unseal.key"))
    try:
        told = bot.run("./nasos", *words, "--port", str(port), "--json", extra=extra)
        up = bot.run("./nasos", "up", "--json", extra=extra)
        yield Moved(bot, extra, port, json.loads(told.stdout), json.loads(up.stdout))
    finally:
        bot.run("./nasos", "down", extra=extra, check=False)
        for path in (home, keys):
            shutil.rmtree(path, ignore_errors=True)
        file.unlink(missing_ok=True)
        identity.unlink(missing_ok=True)


def test_everything_comes_up(moved: Moved) -> None:
    """Every part proves its work on its own ports, and every credential was proven before."""
    until(lambda: moved.json("status")["healthy"], 120)
    assert [each for each in moved.restored["credentials"] if not each["works"]] == []
    assert moved.started["ports"]["https"] == moved.port


def test_the_answer_has_the_documented_fields(moved: Moved) -> None:
    """Those of docs/json.md for the restore, and those of a backup without its file."""
    documented = {**examples()["nasos backup create"], **examples()["nasos restore"], "configuration": {}}
    for name in ("file", "bytes"):
        del documented[name]
    assert moved.restored.pop("configuration") == {}
    documented.pop("configuration")
    assert list(differences(shape(documented), shape(moved.restored))) == []


def test_secrets_are_there(moved: Moved) -> None:
    """What the operator stored, and the bot's own login, which opens its API."""
    assert moved.secret("app/moving", "value") == "through the backup"
    assert moved.secret("bots/nasos/api", "password") == moved.walk.secret("bots/nasos/api", "password")


def test_the_trades_go_on(moved: Moved) -> None:
    """The restored bot knows every trade that the first one had closed or open when the backup was made."""
    words = ("gateway", "token", "create", "restored")
    token = moved.walk.run("./nasos", *words, extra=moved.extra).stdout.strip()
    until(lambda: moved.api("/api/v1/count", f"Bearer {token}"))
    here = moved.api("/api/v1/trades?limit=500", f"Bearer {token}")["total_trades"]
    opened = moved.api("/api/v1/status", f"Bearer {token}")
    assert here + len(opened) > 0


def test_the_check_is_content_with_it(moved: Moved) -> None:
    """Nothing fails on the restored stack that did not fail on the first one."""

    def failing(document: Any) -> dict[str, str]:
        return {each["id"]: each["evidence"] for each in document["findings"] if each["state"] == "fail"}

    known = {*failing(moved.walk.json("check")), "vault.recovery-moved"}
    assert {name: seen for name, seen in failing(moved.json("check")).items() if name not in known} == {}
