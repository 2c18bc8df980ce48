"""The timetable on the trading bot of the walk: what is due is rotated, once; what is overdue is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fixtures.stack import Walk

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
    assert all(row["next"] for row in found.values())
    assert not any(row["due"] or row["overdue"] for row in found.values())
    assert "next: bots/nasos/" in bot.nasos("rotate", "due").stdout


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
    told = [event for event in bot.json("ledger", "show", "-n", "400") if event["event"] == "rotation.overdue"]
    assert [(event["target"], event["outcome"]) for event in told] == [("bots/nasos/password", "failed")]


def test_a_mistyped_timetable_is_refused_with_what_to_type(bot: Walk, schedule: Settings) -> None:
    """Before anything is looked at."""
    schedule('"bots/nasos/db" = { every = "monthly" }')
    done = bot.nasos("rotate", "due", check=False)
    assert done.returncode != 0
    assert 'every is "monthly", not a number with m, h, d or w' in done.stderr
    assert 'nasos: hint: every = "30d"' in done.stderr
