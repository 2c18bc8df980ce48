"""`kill -9` of the rotator around every contact with real servers: a reader always logs in, and a resume heals it all.

The checker uses only what a consumer would read, with a client of its own.
"""

from __future__ import annotations

import random
import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from fixtures.forking import forked
from fixtures.postgres import PostgresUnderTest
from fixtures.rotation_child import FAILED, Place, main
from fixtures.vault import VaultUnderTest
from nasos.database import connect
from nasos.errors import SecretNotFound
from nasos.rotation.journal import Journal
from nasos.secret import Secret

MOMENTS = 130
"""About as many contacts as a rotation has; a kill that comes too late is not counted."""


@pytest.fixture
def place(vault: VaultUnderTest, postgres: PostgresUnderTest) -> Place:
    """A fresh bot with its login in Vault."""
    bot = postgres.bot(f"k{secrets.token_hex(4)}")
    place = Place(
        address=vault.address,
        vault_ca=vault.ca_file,
        token=vault.root_token.reveal(),
        port=postgres.server.port,
        postgres_ca=postgres.server.ca_file,
        admin=postgres.admin.username,
        admin_password=postgres.admin.password.reveal(),
        bot=bot.bot,
    )
    place.store.write(
        f"nasos/{place.name}", {"username": bot.login.username, "role": "a", "password": bot.login.password}
    )
    return place


def run(place: Place, work: str, moment: int) -> int:
    """Exit code of a rotator, or minus the signal that ended it."""
    child = forked(main, place, work, moment)
    child.join(60)
    code = child.exitcode
    assert code in {0, FAILED, -signal.SIGKILL}
    return int(code or 0)


def reader_logs_in(place: Place) -> bool:
    """With what a consumer would read at this moment."""
    return place.logs_in(place.store.read(f"nasos/{place.name}").fields)


def logins(place: Place, postgres: PostgresUnderTest) -> list[str]:
    """The bot's roles that may log in at all."""
    with connect(postgres.server, postgres.admin) as db:
        rows = db.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE %s", (f"{place.bot}%",))
        return [str(row[0]) for row in rows]


def whole(place: Place, postgres: PostgresUnderTest) -> None:
    """Nothing open, no pending value, one role that may log in: the one of the current credential."""
    assert reader_logs_in(place)
    assert Journal(place.store).read(place.name) is None
    with pytest.raises(SecretNotFound):
        place.store.metadata(f"nasos/_rotation/{place.name}")
    assert [Secret(role) for role in logins(place, postgres)] == [
        place.store.read(f"nasos/{place.name}").fields["username"]
    ]


def moments(count: int) -> Iterator[int]:
    """Moments all over a rotation, evenly, then any, for ever."""
    chance = random.Random(20261123)  # noqa: S311  a schedule, no key
    even = min(count, MOMENTS)
    yield from (1 + number * MOMENTS // even for number in range(even))
    while True:
        yield chance.randint(1, MOMENTS)


def killed_and_healed(place: Place, postgres: PostgresUnderTest, count: int) -> dict[str, float]:
    """So many kills, each followed by another rotator (every third of them killed, too) until one comes through."""
    kills, worst = 0, 0.0
    chance = random.Random(1)  # noqa: S311  a schedule, no key
    for moment in moments(count):
        if run(place, "rotate", moment) != -signal.SIGKILL:
            continue  # it was over before that moment
        kills += 1
        assert reader_logs_in(place), f"no valid credential after a kill at moment {moment}"
        if kills % 3 == 0 and run(place, "resume", chance.randint(1, 60)) == -signal.SIGKILL:
            kills += 1
            assert reader_logs_in(place), f"no valid credential after a kill of the resume, moment {moment}"
        begun = time.monotonic()
        assert run(place, "resume", 0) == 0, f"not healed after a kill at moment {moment}"
        worst = max(worst, time.monotonic() - begun)
        whole(place, postgres)
        if kills >= count:
            break
    return {"kills": kills, "worst seconds to heal": worst}


def test_a_rotation_without_a_kill(place: Place, postgres: PostgresUnderTest) -> None:
    """The ground truth of the others: one new version, on the other role."""
    before = place.store.read(f"nasos/{place.name}")
    assert run(place, "rotate", 0) == 0
    whole(place, postgres)
    after = place.store.read(f"nasos/{place.name}")
    assert after.version == before.version + 1
    assert after.fields["username"] != before.fields["username"]


def test_killed_all_over_a_rotation(place: Place, postgres: PostgresUnderTest) -> None:
    """0 wrong, each healed by the next rotator."""
    assert killed_and_healed(place, postgres, 200)["kills"] >= 200


@pytest.mark.long
def test_a_thousand_kills(place: Place, postgres: PostgresUnderTest) -> None:
    """The same for long."""
    seen = killed_and_healed(place, postgres, 1000)
    print(seen)  # noqa: T201  the figures are what a long run is for
    assert seen["kills"] >= 1000
