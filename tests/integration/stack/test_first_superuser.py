"""A cluster that is made while the second administrator is current: he alone logs in, the first one keeps his name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.postgres import Process, server_below
from nasos.database import Login, can_login, connect
from nasos.secret import Secret
from nasos.stack import postgres as pg


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the server's user may enter."""
    place = Path(tempfile.mkdtemp(prefix="nasos-postgres-"))
    yield place
    shutil.rmtree(place)


def test_the_second_administrator_can_begin_a_cluster(place: Path) -> None:
    """Also with quotes in his password; the cluster's first superuser is there, and cannot log in."""
    server, admin = server_below(place), Login(f"{pg.ADMIN}_b", Secret("a 'quoted' \\ password"))
    assert pg.initialize(server, admin)
    pg.configure(server, place / "tls")
    process = Process(server, place / "postgres.log")
    try:
        process.start(admin)
        assert not can_login(server, Login(pg.ADMIN, admin.password))
        with connect(server, admin) as db:
            rows = db.execute("SELECT oid::int, rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolsuper ORDER BY 1")
            first, second = rows.fetchall()
        assert first == (10, pg.ADMIN, True, False)
        assert second[1:] == (admin.username, True, True)
        assert admin.password.reveal() not in (place / "postgres.log").read_text()
    finally:
        process.kill()
