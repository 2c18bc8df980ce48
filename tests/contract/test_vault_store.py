"""What both stores promise; hypothesis chooses names and values."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.stores import Place
from nasos.errors import CheckAndSetMismatch, NameRefused, SecretDeleted, SecretNotFound, TooLarge, UsageError
from nasos.secret import Secret

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"]))


def reveal(fields: Mapping[str, Secret]) -> dict[str, str]:
    """Plain values."""
    return {name: value.reveal() for name, value in fields.items()}


def test_what_is_written_is_read(place: Place) -> None:
    """All fields come back as Secrets, with version, path and an aware time that is now."""
    assert place.store.write(place.path(), {"username": "u", "password": Secret("p\nq\u2028ü\0")}) == 1
    record = place.store.read(place.path())
    assert reveal(record.fields) == {"username": "u", "password": "p\nq\u2028ü\0"}
    assert (record.path, record.version, record.custom) == (place.path(), 1, {})
    assert abs(record.created - datetime.now(UTC)) < timedelta(minutes=1)
    assert record.created.utcoffset() == timedelta(0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.lists(NAMES, min_size=1, max_size=4), fields=st.dictionaries(NAMES, VALUES, min_size=1, max_size=5))
def test_any_allowed_name_and_any_text_survive(place: Place, path: list[str], fields: dict[str, str]) -> None:
    """Whatever the alphabet allows as a name, and any Unicode text as a value, comes back byte for byte."""
    name = place.path("/".join([secrets.token_hex(4), *path]))
    place.store.write(name, fields)
    assert reveal(place.store.read(name).fields) == fields


def test_a_new_version_replaces_all_fields_and_the_old_one_stays_readable(place: Place) -> None:
    """A write is the whole record; older versions are read by number; 0 means the newest."""
    place.store.write(place.path(), {"a": "1", "b": "2"})
    assert place.store.write(place.path(), {"a": "3"}) == 2
    assert reveal(place.store.read(place.path()).fields) == {"a": "3"}
    assert reveal(place.store.read(place.path(), 0).fields) == {"a": "3"}
    assert reveal(place.store.read(place.path(), 1).fields) == {"a": "1", "b": "2"}


def test_missing_is_not_found(place: Place) -> None:
    """A path that was never written, and a version that never was, are SecretNotFound for every reader."""
    for ask in (place.store.read, place.store.history, place.store.metadata):
        with pytest.raises(SecretNotFound, match=place.path()):
            ask(place.path())
    place.store.write(place.path(), {"a": "1"})
    with pytest.raises(SecretNotFound):
        place.store.read(place.path(), 2)


def test_changing_versions_of_nothing_is_nothing(place: Place) -> None:
    """delete, undelete and destroy of what is not there do nothing and create nothing."""
    place.store.delete(place.path())
    place.store.delete(place.path(), [1])
    place.store.undelete(place.path(), [1])
    place.store.destroy(place.path(), [1])
    place.store.destroy(place.path(), [])
    with pytest.raises(SecretNotFound):
        place.store.metadata(place.path())


def test_check_and_set_lets_one_of_two_writers_through(place: Place) -> None:
    """cas=0 creates once; a wrong number is a mismatch and changes nothing; the right one writes."""
    assert place.store.write(place.path(), {"a": "1"}, cas=0) == 1
    for wrong in (0, 2):
        with pytest.raises(CheckAndSetMismatch):
            place.store.write(place.path(), {"a": "x"}, cas=wrong)
    assert reveal(place.store.read(place.path()).fields) == {"a": "1"}
    assert place.store.write(place.path(), {"a": "2"}, cas=1) == 2


def test_of_many_concurrent_check_and_sets_exactly_one_wins(place: Place) -> None:
    """Eight writers with the same expectation: one version, seven mismatches."""
    outcomes: list[object] = []

    def write(number: int) -> None:
        try:
            outcomes.append(place.store.write(place.path(), {"a": str(number)}, cas=0))
        except CheckAndSetMismatch as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == sorted(map(str, [1, *[CheckAndSetMismatch] * 7]))


def test_a_deleted_version_says_so_and_comes_back(place: Place) -> None:
    """Deleting hides the newest version only; the number counts on for check-and-set; undelete restores."""
    place.store.write(place.path(), {"a": "1"})
    place.store.write(place.path(), {"a": "2"})
    place.store.delete(place.path())
    place.store.delete(place.path())
    with pytest.raises(SecretDeleted, match=r"version 2 .* is deleted"):
        place.store.read(place.path())
    assert reveal(place.store.read(place.path(), 1).fields) == {"a": "1"}
    with pytest.raises(CheckAndSetMismatch):
        place.store.write(place.path(), {"a": "3"}, cas=0)
    place.store.undelete(place.path(), [2])
    assert reveal(place.store.read(place.path()).fields) == {"a": "2"}


def test_a_destroyed_version_is_gone_for_good(place: Place) -> None:
    """undelete does not bring a destroyed version back."""
    place.store.write(place.path(), {"a": "1"})
    place.store.destroy(place.path(), [1])
    place.store.undelete(place.path(), [1])
    with pytest.raises(SecretDeleted, match=r"version 1 .* is destroyed"):
        place.store.read(place.path())


def test_history_tells_each_versions_fate(place: Place) -> None:
    """Oldest first: readable, deleted since when, destroyed."""
    for number in range(4):
        place.store.write(place.path(), {"a": str(number)})
    place.store.delete(place.path(), [2])
    place.store.destroy(place.path(), [3])
    history = place.store.history(place.path())
    assert [(version.number, version.deleted is not None, version.destroyed) for version in history] == [
        (1, False, False), (2, True, False), (3, False, True), (4, False, False),
    ]  # fmt: skip
    assert history[0].created <= history[3].created
    assert place.store.metadata(place.path()).current == 4


def test_ten_versions_are_kept(place: Place) -> None:
    """The eleventh write prunes the first version."""
    for number in range(12):
        place.store.write(place.path(), {"a": str(number)})
    assert [version.number for version in place.store.history(place.path())] == list(range(3, 13))
    with pytest.raises(SecretNotFound):
        place.store.read(place.path(), 2)


def test_a_list_shows_one_level(place: Place) -> None:
    """Secrets by name, folders with a slash, sorted; a name may be both; an unknown folder is empty."""
    for name in ("b", "a/x", "a/y/z", "a"):
        place.store.write(place.path(name), {"v": "1"})
    assert place.store.list(place.folder) == ("a", "a/", "b")
    assert place.store.list(f"{place.folder}/a/") == ("x", "y/")
    assert place.store.list(place.path("nobody")) == ()


def test_a_deleted_name_is_still_listed(place: Place) -> None:
    """A list shows what can be brought back."""
    place.store.write(place.path(), {"v": "1"})
    place.store.delete(place.path())
    assert place.store.list(place.folder) == ("one",)


def test_metadata_is_replaced_and_belongs_to_the_path(place: Place) -> None:
    """Custom metadata survives new versions, is replaced as a whole, and may precede the first version."""
    place.store.set_metadata(place.path(), {"description": "key of the exchange", "owner": "me"})
    assert place.store.metadata(place.path()).current == 0
    with pytest.raises(SecretNotFound):
        place.store.read(place.path())
    assert place.store.write(place.path(), {"a": "1"}, cas=0) == 1
    assert place.store.read(place.path()).custom == {"description": "key of the exchange", "owner": "me"}
    place.store.set_metadata(place.path(), {"description": "ü"})
    assert place.store.metadata(place.path()).custom == {"description": "ü"}


@pytest.mark.parametrize(
    "custom", [{"a": ""}, {"": "a"}, {"a": "x" * 513}, {"a": "two\nlines"}, {str(n): "x" for n in range(65)}]
)
def test_metadata_that_no_server_holds_is_refused(place: Place, custom: dict[str, str]) -> None:
    """Empty, long, unprintable or too many entries are a usage error before anything is sent."""
    with pytest.raises(UsageError):
        place.store.set_metadata(place.path(), custom)


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "a//b", "", "/a", "a/", ".", "..", ".a", "-a", "a\n", "a\0", "a b", "a%2fb", "a?b",
             "a#b", "ü", "a*", "+", "a" * 65, "/".join("abcdefghi")],
)  # fmt: skip
def test_a_name_that_could_climb_or_hide_is_refused(place: Place, name: str) -> None:
    """Every operation refuses the name before anything is sent."""
    store = place.store
    for refuse in (store.read, store.history, store.metadata, store.delete):
        with pytest.raises(NameRefused):
            refuse(name)
    for act in (store.undelete, store.destroy, store.delete):
        with pytest.raises(NameRefused):
            act(name, [1])
    with pytest.raises(NameRefused):
        store.write(name, {"a": "1"})
    with pytest.raises(NameRefused):
        store.set_metadata(name, {"a": "1"})
    if name not in ("", "a/"):
        with pytest.raises(NameRefused):
            store.list(name)


@pytest.mark.parametrize("fields", [{}, {"": "x"}, {"a/b": "x"}, {"a b": "x"}, {"x" * 65: "x"}, {"a": "\ud800"}])
def test_fields_that_cannot_be_stored_are_refused_without_showing_them(place: Place, fields: dict[str, str]) -> None:
    """No field, a bad field name, and text that is no Unicode are usage errors."""
    with pytest.raises(UsageError):
        place.store.write(place.path(), fields)


def test_from_one_byte_to_nearly_a_mebibyte_fits(place: Place) -> None:
    """1 byte and 1,048,000 bytes are stored; empty text is a value too."""
    for value in ("x", "", "\n", "m" * 1_048_000):
        place.store.write(place.path(), {"value": value})
        assert place.store.read(place.path()).fields["value"] == Secret(value)


@pytest.mark.parametrize("size", [1 << 20, 3 << 20, 40 << 20])
def test_a_value_past_the_entry_limit_is_too_large(place: Place, size: int) -> None:
    """One MiB and more is TooLarge, whoever says no first: raft, the listener, or we; and nothing was written."""
    place.store.write(place.path(), {"value": "before"})
    with pytest.raises(TooLarge):
        place.store.write(place.path(), {"value": "m" * size})
    assert reveal(place.store.read(place.path()).fields) == {"value": "before"}


def test_forgetting_leaves_nothing_and_the_next_write_is_the_first(place: Place) -> None:
    """All versions are gone, also by number; forgetting what never was is no error; check-and-set begins at 0 again."""
    place.store.forget(place.path())
    for value in ("1", "2"):
        place.store.write(place.path(), {"a": value})
    place.store.forget(place.path())
    for version in (None, 1, 2):
        with pytest.raises(SecretNotFound):
            place.store.read(place.path(), version)
    with pytest.raises(CheckAndSetMismatch):
        place.store.write(place.path(), {"a": "3"}, cas=2)
    assert place.store.write(place.path(), {"a": "3"}, cas=0) == 1
