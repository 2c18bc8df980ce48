"""How old a secret is, by what the store keeps of it; and which policy of `nasos.toml` applies to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nasos.errors import SettingsError
from nasos.rotation.ages import since
from nasos.rotation.password import RandomFields
from nasos.rotation.rotator import Part, Unit
from nasos.rotation.timetable import policy
from nasos.secret import Secret
from nasos.settings import parse_document
from nasos.settings.schedule import Times
from nasos.vault.memory import MemoryStore

API = "nasos/bots/nasos/api"


def unit(*fields: str) -> Unit:
    """A unit of these fields of the bot's record ``api``."""
    return Unit("x", (Part("bots/nasos/api", RandomFields(fields), fields),))


def write(store: MemoryStore, **fields: str) -> datetime:
    """A new version; when it was written."""
    store.write(API, {name: Secret(text) for name, text in fields.items()})
    return store.read(API).created


def test_a_units_age_is_that_of_its_own_fields() -> None:
    """Two units share a record: a new password does not make the JWT secret younger."""
    store = MemoryStore()
    write(store, password="a", jwt="a")
    second = write(store, password="a", jwt="b")
    third = write(store, password="b", jwt="b")
    assert since(store, unit("jwt")) == second
    assert since(store, unit("password")) == third
    assert since(store, unit("password", "jwt")) == third


def test_what_never_changed_in_what_is_kept_is_as_old_as_its_path() -> None:
    """Ten versions are kept: a neighbour that rotates daily must not make an old value look ten days old."""
    store = MemoryStore()
    write(store, password="0", jwt="old")
    for number in range(1, 15):
        write(store, password=str(number), jwt="old")
    assert since(store, unit("jwt")) == store.metadata(API).created


def test_a_destroyed_version_between_does_not_end_the_search() -> None:
    """After ``--leaked`` a version is gone; the value that stood before and after it is as old as it is."""
    store = MemoryStore()
    write(store, password="a", jwt="a")
    write(store, password="a", jwt="leaked")
    third = write(store, password="a", jwt="c")
    store.destroy(API, [2])
    assert since(store, unit("password")) == store.metadata(API).created
    assert since(store, unit("jwt")) == third


def test_nothing_stored_has_no_age() -> None:
    """Neither what was never written nor what was deleted."""
    store = MemoryStore()
    assert since(store, unit("jwt")) is None
    write(store, jwt="a")
    store.delete(API)
    assert since(store, unit("jwt")) is None


def test_a_unit_may_know_its_age_by_itself() -> None:
    """Where Vault's versions do not tell."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert since(MemoryStore(), Unit("credentials/app", (), since=lambda: moment)) == moment


def document(tmp_path: Path, text: str) -> Path:
    """A nasos.toml."""
    path = tmp_path / "nasos.toml"
    path.write_text(f"[rotation.schedule]\n{text}\n")
    return path


def test_the_first_pattern_that_fits_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    """The rest is the default of that kind; an entry for another name changes nothing."""
    text = '"bots/*/jwt" = { every = "12h" }\n"bots/nasos/*" = { every = "8w", window = "23:30-01:00", grace = "1d" }'
    schedule = parse_document(document(tmp_path, text)).rotation.schedule
    jwt, db = policy("bots/nasos/jwt", schedule, rotates=True), policy("bots/nasos/db", schedule, rotates=True)
    assert (jwt.every, str(jwt.window), jwt.grace) == (timedelta(hours=12), "03:00-05:00", timedelta(days=7))
    assert (db.every, str(db.window), db.grace) == (timedelta(weeks=8), "23:30-01:00", timedelta(days=1))
    assert policy("postgres/admin", schedule, rotates=True) == policy("postgres/admin", {}, rotates=True)


def test_what_nothing_rotates_is_a_reminder_whatever_is_written(tmp_path: Path) -> None:
    """The API password is one until somebody makes it automatic; an exchange key is one always."""
    schedule = parse_document(document(tmp_path, '"bots/*/*" = { how = "automatic" }')).rotation.schedule
    assert not policy("bots/nasos/password", {}, rotates=True).automatic
    assert policy("bots/nasos/password", schedule, rotates=True).automatic
    assert not policy("bots/nasos/exchange", schedule, rotates=True).automatic
    assert policy("bots/nasos/exchange", {}, rotates=False, api_key_days=60).every == timedelta(days=60)
    assert not policy("bots/nasos/db", {"bots/nasos/db": _reminder(tmp_path)}, rotates=True).automatic


def _reminder(tmp_path: Path) -> Times:
    return parse_document(document(tmp_path, 'x = { how = "reminder" }')).rotation.schedule["x"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('"bots/*/db" = { every = "30 days" }', r'bots/\*/db"\.every is "30 days"', 'every = "30d"'),
        ('"bots/*/db" = { every = "0d" }', "must be from 0:01:00 to 3650 days", 'every = "30d"'),
        ('"bots/*/db" = { window = "3-5" }', "not two times of day", 'window = "03:00-05:00"'),
        ('"bots/*/db" = { window = "03:00-25:00" }', "not two times of day", 'window = "03:00-05:00"'),
        ('"bots/*/db" = { window = "03:00-03:10" }', "shorter than 15 minutes", 'window = "03:00-05:00"'),
        ('"bots/*/db" = { window = "03:00-03:00" }', "shorter than 15 minutes", 'window = "03:00-05:00"'),
        ('"bots/*/db" = { jitter = "-1h" }', "jitter is", 'jitter = "30d"'),
        ('"bots/*/db" = { grace = "99999d" }', "must be from", "grace"),
        ('"bots/*/db" = { evry = "30d" }', "unknown key rotation.schedule", "did you mean every?"),
        ('"bots//db" = { every = "30d" }', "is no name of a secret", "every"),
        ('"bots/*/db" = { how = "maybe" }', "invalid enum value", "docs/settings.md"),
        ('"bots/*/db" = "30d"', "expected `?.?object", "docs/settings.md"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_line_to_type(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    """File and key are named, and what would be right."""
    with pytest.raises(SettingsError, match=message) as refused:
        parse_document(document(tmp_path, text))
    assert hint in (refused.value.hint or "")
