"""`kill -9` all over a rotation by the other rotators: the administrator, a single role, the user's own program.

The administrator is never locked out, and a program's credential always works. A single role may be refused between its
change and the next rotator: that is what it is worth, and the next rotator mends it.
"""

from __future__ import annotations

import itertools
import secrets
import signal
from pathlib import Path

import pytest

from crash.test_rotation_kill import moments, run
from fixtures.postgres import PostgresUnderTest
from fixtures.rotation_child import Place
from fixtures.vault import VaultUnderTest
from nasos.database import Login, connect, set_password
from nasos.rotation.journal import Journal
from nasos.secret import Secret


@pytest.fixture(params=["admin", "single", "command"])
def place(request: pytest.FixtureRequest, vault: VaultUnderTest, postgres: PostgresUnderTest, tmp_path: Path) -> Place:
    """A fresh credential at a fresh target."""
    name = f"o{secrets.token_hex(4)}"
    place = Place(
        address=vault.address,
        vault_ca=vault.ca_file,
        token=vault.root_token.reveal(),
        port=postgres.server.port,
        postgres_ca=postgres.server.ca_file,
        admin=postgres.admin.username,
        admin_password=postgres.admin.password.reveal(),
        bot=name,
        kind=request.param,
        accepts=str(tmp_path / "accepts.json"),
    )
    login = Login(name, Secret.random())
    if request.param == "single":
        login = postgres.bot(name).login
    elif request.param == "admin":
        with connect(postgres.server, postgres.admin) as db:
            db.execute(f"CREATE ROLE {name} SUPERUSER".encode())
            set_password(db, login)
    fields = {"username": Secret(login.username), "password": login.password}
    if request.param == "command":
        Path(place.accepts).write_text('["the first value"]')
        fields = {"value": Secret("the first value")}
    place.store.write(f"nasos/{place.name}", fields)
    return place


def killed_and_healed(place: Place, count: int) -> int:
    """So many kills, each followed by a rotator that goes on; how many there were."""
    kills = 0
    for moment in itertools.islice(moments(count), count):
        if run(place, "rotate", moment) != -signal.SIGKILL:
            continue  # it was over before that moment
        kills += 1
        current = place.store.read(f"nasos/{place.name}").fields
        assert place.kind == "single" or place.logs_in(current), f"locked out by a kill at moment {moment}"
        assert run(place, "resume", 0) == 0, f"not healed after a kill at moment {moment}"
        assert place.logs_in(place.store.read(f"nasos/{place.name}").fields)
        assert Journal(place.store).read(place.name) is None
    return kills


def test_killed_all_over(place: Place) -> None:
    """A few moments, evenly."""
    assert killed_and_healed(place, 6) >= 2


@pytest.mark.long
def test_killed_hundreds_of_times(place: Place) -> None:
    """The same for long."""
    assert killed_and_healed(place, 300) >= 100
