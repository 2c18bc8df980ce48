"""The timetable on the trading bot of the walk: what is due is rotated, once; what is overdue is said."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator

import pytest

from fixtures.stack import Walk
from nasos.bot.sandbox import supported
from nasos.checks.exposure import MAP

Settings = Callable[[str], None]


@pytest.fixture
def schedule(bot: Walk) -> Iterator[Settings]:
    """Writes `[rotation.schedule]` of the walk's nasos.toml; it is gone afterwards."""
    path = bot.project / "nasos.toml"
    assert not path.exists()

    def write(text: str) -> None:
        path.write_text(f"[rotation.schedule]\n{text}\n")
        path.chmod(0o644)

    yield write
    path.unlink(missing_ok=True)


def lines(bot: Walk) -> dict[str, dict[str, object]]:
    """The timetable by name."""
    return {row["name"]: row for row in bot.json("rotate", "schedule")}


def test_each_stored_secret_has_a_line_with_its_dates(bot: Walk) -> None:
    """What rotates by itself, and what a person replaces; nothing is due on a young stack."""
    bot.nasos("secret", "set", "app/timetable", stdin="a value")
    found = lines(bot)
    assert found["bots/nasos/db"]["how"] == "automatic"
    assert found["bots/nasos/password"]["how"] == "reminder"
    assert found["app/timetable"]["how"] == "reminder"
    assert all(row["next"] for row in found.values() if row["since"])
    assert not any(row["due"] or row["overdue"] for row in found.values())
    assert "next: " in bot.nasos("rotate", "due").stdout


def test_what_is_due_is_rotated_and_then_not_due(bot: Walk, schedule: Settings) -> None:
    """The database login may be a minute old and no older: a new version, the bot healthy, its neighbours as before."""
    schedule('"bots/nasos/db" = { every = "1m", window = "any", jitter = "0m" }')
    bot.until(lambda: lines(bot)["bots/nasos/db"]["due"], 120)
    assert "bots/nasos/db: would be rotated now" in bot.nasos("rotate", "due", "--dry-run").stdout
    before = {row["name"]: row["version"] for row in bot.json("rotate", "list")}
    assert "✓ bots/nasos/db rotated" in bot.nasos("rotate", "due").stdout
    after = {row["name"]: row["version"] for row in bot.json("rotate", "list")}
    assert after == before | {"bots/nasos/db": before["bots/nasos/db"] + 1}
    assert not lines(bot)["bots/nasos/db"]["due"]
    assert bot.healthy()


def test_what_is_overdue_is_exit_code_1_and_one_event(bot: Walk, schedule: Settings) -> None:
    """A reminder is never rotated; looking again tells nobody again."""
    schedule('"bots/nasos/password" = { every = "1m", grace = "0m" }')
    bot.until(lambda: lines(bot)["bots/nasos/password"]["overdue"], 120)
    before = bot.json("rotate", "list")
    for _ in range(2):
        done = bot.nasos("rotate", "due", check=False)
        assert (done.returncode, "✗ bots/nasos/password: 0 days old, due at 1m" in done.stdout) == (1, True)
    assert bot.json("rotate", "list") == before
    shown = bot.json("ledger", "show", "-n", "400")
    told = [
        event["outcome"] for event in shown if event["event"] == "rotation.overdue" and "password" in event["target"]
    ]
    assert told == ["failed"]


def test_a_mistyped_timetable_is_refused_with_what_to_type(bot: Walk, schedule: Settings) -> None:
    """Before anything is looked at."""
    schedule('"bots/nasos/db" = { every = "monthly" }')
    done = bot.nasos("rotate", "due", check=False)
    assert done.returncode != 0
    assert 'every is "monthly", not a number with m, h, d or w' in done.stderr
    assert 'nasos: hint: every = "30d"' in done.stderr


def duties(bot: Walk, **schedule: object) -> str:
    """What the stack's own rotator is told, with another timetable."""
    conf = configparser.RawConfigParser(comment_prefixes=(";",))
    conf.read(bot.home / "run" / "supervisord.conf")
    told = json.loads(shlex.split(conf["program:rotator"]["command"].replace("%%", "%"))[-1])
    told["rotation"]["schedule"] = schedule
    return json.dumps(told)


def test_the_stacks_own_rotator_rotates_what_is_due_from_inside_its_sandbox(bot: Walk) -> None:
    """One look: a login of the bot's, a service's credential, Vault's keyring; the bot trades on, `status` tells."""
    now = {"every": "1m", "window": "any", "jitter": "0m"}
    names = ("bots/nasos/jwt", "credentials/app", "vault/keyring")
    told = duties(bot, **dict.fromkeys(names, now))
    python = str(bot.project / ".venv" / "bin" / "python")
    pid, begun = bot.pid("bot"), bot.json("rotate", "history")

    def looked() -> set[str]:
        bot.run(python, "-m", "nasos.stack.rotator", told, check=False)
        return {row["name"] for row in bot.json("rotate", "history")[len(begun) :] if row["outcome"] == "rotated"}

    bot.until(lambda: looked() >= set(names), 180)
    state = json.loads((bot.home / "run" / "rotator" / "state.json").read_text())
    assert (state["error"], bool(state["confined"])) == ("", supported() > 0)
    assert bot.pid("bot") == pid
    assert bot.healthy()


def test_while_vault_is_away_a_look_fails_with_its_reason_and_the_bot_trades_on(bot: Walk) -> None:
    """Nothing is written but why; the next look, with Vault there, is clean."""
    told, python = duties(bot), str(bot.project / ".venv" / "bin" / "python")
    pid = bot.pid("bot")
    stopped = bot.json("status")
    vault = next(each["pid"] for each in stopped["programs"] if each["name"] == "vault")
    os.kill(vault, signal.SIGSTOP)
    try:
        done = bot.run(python, "-m", "nasos.stack.rotator", told, check=False)
    finally:
        os.kill(vault, signal.SIGCONT)
    state = json.loads((bot.home / "run" / "rotator" / "state.json").read_text())
    assert state["error"]
    assert state["error"] in done.stdout
    assert done.returncode == os.EX_TEMPFAIL  # the loop looks again soon
    assert bot.pid("bot") == pid
    bot.run(python, "-m", "nasos.stack.rotator", told)
    assert json.loads((bot.home / "run" / "rotator" / "state.json").read_text())["error"] == ""


def stored(bot: Walk) -> set[tuple[str, str]]:
    """Every path below `nasos/` in Vault with its fields, asked by the operator."""
    names = [row["name"] for row in bot.json("secret", "list") if not row["deleted"]]
    return {(name, field) for name in names for field in bot.json("secret", "get", name, "--reveal")["fields"]}


def private(bot: Walk) -> set[str]:
    """Every file that the map lists as private, where it is."""
    found = [path for listed in MAP if listed.mode == 0o600 for path in bot.home.glob(listed.pattern)]
    return {str(path.relative_to(bot.home)) for path in found}


def test_every_stored_secret_has_a_rotator_or_a_reminder(bot: Walk) -> None:
    """Each path and field in Vault, each private file, the unseal key: a line of the timetable, or why not."""
    for name, field in (("app/webhook", "value"), ("bots/nasos/notes", "token"), ("bots/nasos/exchange", "secret")):
        bot.nasos("secret", "set", name, "--field", field, stdin="a value of the user's")
    known = {(row["place"], row["field"]): row for row in bot.json("rotate", "inventory")}
    assert stored(bot) - set(known) == set()
    assert {("bots/nasos/notes", "token"), ("bots/nasos/api", "ws_token")} <= set(known)
    assert {(name, "") for name in private(bot)} - set(known) == set()
    assert ("unseal.key", "") in known
    assert ("vault/keyring", "") in known
    for place, row in known.items():
        assert row["how"] != "unknown", place
        dated = row["next"] is not None or row["place"] in {"recovery key", "key of your backups"}
        assert dated or row["how"] in {"public", "derived"}, place
    assert (
        known["bots/nasos/jwt", "jwt_secret_key"]["by"] == known["bots/nasos/api", "ws_token"]["by"] == "bots/nasos/jwt"
    )
    assert bot.nasos("rotate", "inventory").returncode == 0


def test_a_secret_that_nobody_thought_of_is_a_finding(bot: Walk, schedule: Settings) -> None:
    """At a path of its own: exit 1, a failed check; an entry in the timetable makes it known."""
    bot.nasos("secret", "set", "elsewhere/key", stdin="a value")
    try:
        done = bot.nasos("rotate", "inventory", check=False)
        assert done.returncode == 1
        assert "✗ elsewhere/key value" in done.stdout
        failed = [each for each in bot.json("check", "rotation")["findings"] if each["state"] == "fail"]
        assert [each["id"] for each in failed] == ["rotation.inventory"]
        schedule('"elsewhere/*" = { every = "90d" }')
        assert bot.nasos("rotate", "inventory").returncode == 0
        schedule('"elsewhere/*" = { every = "1m", grace = "0m" }')
        bot.until(lambda: lines(bot)["elsewhere/key"]["overdue"], 120)
        failed = [each for each in bot.json("check", "rotation")["findings"] if each["state"] == "fail"]
        assert [(each["id"], "elsewhere/key: 0 days old" in each["evidence"]) for each in failed] == [
            ("rotation.overdue", True)
        ]
    finally:
        bot.nasos("secret", "rm", "elsewhere/key", "--yes", check=False)
