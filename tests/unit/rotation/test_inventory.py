"""What becomes of each secret: every private file of the map and every place in Vault is known by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nasos.checks.exposure import MAP
from nasos.rotation.inventory import FILES, How, in_vault, means, on_disk
from nasos.rotation.timetable import Line, Policy, line
from nasos.settings.schedule import Times, fits

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def lined(name: str, *, automatic: bool = True, days: int = 10) -> Line:
    """A line of 30 days."""
    return line(name, Policy(every=timedelta(days=30), automatic=automatic), since=NOW - timedelta(days=days), now=NOW)


@pytest.mark.parametrize("pattern", [listed.pattern for listed in MAP if listed.mode == 0o600])
def test_every_private_file_of_the_map_is_known(pattern: str) -> None:
    """A new file that others may not read needs a line here, or it is a finding on every stack."""
    place = pattern.replace("*", "each")
    assert any(fits(rule.pattern, place) for rule in FILES), pattern


def test_a_file_that_nobody_knows_is_said() -> None:
    """And one whose line is missing from the timetable."""
    assert on_disk("key.pem", None, {}).how is How.UNKNOWN
    assert on_disk("credentials/bot-nasos.json", None, {}).how is How.UNKNOWN
    known = on_disk("credentials/bot-nasos.json", None, {"credentials/bot-nasos": lined("credentials/bot-nasos")})
    assert (known.how, known.by) == (How.AUTOMATIC, "credentials/bot-nasos")


def test_the_credential_of_a_bot_that_is_here_no_more_is_for_a_person_to_remove() -> None:
    """As an import that was undone leaves it: said with what to type, and no finding before it is old."""
    place = "credentials/bot-former.json"
    row = on_disk(place, lined(place, automatic=False), {"credentials/bot-nasos": lined("credentials/bot-nasos")})
    assert (row.how, row.overdue) == (How.REMINDER, False)
    assert row.note.endswith(f"rm {place}")


def test_a_field_follows_the_unit_that_replaces_it() -> None:
    """Overdue with it, with its reason; a name is no secret."""
    late = {"bots/nasos/jwt": lined("bots/nasos/jwt", days=50)}
    row = in_vault("bots/nasos/api", "ws_token", late, ["bots/nasos/jwt"], {})
    assert (row.how, row.overdue, row.note) == (How.AUTOMATIC, True, "50 days old, due at 30d")
    assert in_vault("bots/nasos/api", "username", late, ["bots/nasos/jwt"], {}).how is How.PUBLIC


def test_what_nothing_rotates_is_a_reminder_or_unknown() -> None:
    """A known place says what a person does; another one is known when the timetable names it."""
    lines = {name: lined(name, automatic=False) for name in ("bots/nasos/telegram", "app/a/b", "mine/x")}
    telegram = in_vault("bots/nasos/telegram", "token", lines, [], {})
    assert (telegram.how, "BotFather" in telegram.note) == (How.REMINDER, True)
    assert in_vault("app/a/b", "value", lines, [], {}).how is How.REMINDER
    unknown = in_vault("mine/x", "value", lines, [], {})
    assert unknown.how is How.UNKNOWN
    assert '"mine/x" = { every = "365d" }' in unknown.note
    assert in_vault("mine/x", "value", lines, [], {"mine/*": Times(every="90d")}).how is How.REMINDER


def test_a_folder_means_all_below_it_and_not_its_neighbour() -> None:
    """``app/**`` is not ``app-neighbour/x``."""
    assert means("app/**", "app/a/b/c")
    assert not means("app/**", "app-neighbour/x")
    assert not means("bots/*/exchange", "bots/nasos/exchange/below")
