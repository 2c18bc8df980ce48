"""A PostgreSQL cluster of a test's own: TLS and SCRAM only, with the roles of one bot."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nasos.errors import DatabaseError
from nasos.secret import Secret
from nasos.stack import postgres
from nasos.stack.binaries import find
from nasos.tls.dev_ca import DevCa
from nasos.tls.leaf import ensure_leaf
from simulators.launched import eventually

NOBODY = 65534
BOT = "testbot"


@dataclass
class Cluster:
    """A running server, its administrator, and the bot's first login."""

    server: postgres.Server
    admin: postgres.Login
    login: postgres.Login
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """The bot's database, without login."""
        return f"postgresql+psycopg://127.0.0.1:{self.server.port}/{BOT}?sslmode=verify-full&sslrootcert={self.server.ca_file}"

    def set_password(self, role: str) -> postgres.Login:
        """Give ``role`` LOGIN and a fresh password."""
        login = postgres.Login(role, Secret.random(), BOT)
        with postgres.connect(self.server, self.admin) as db:
            postgres.set_password(db, login)
        return login

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """As the administrator, in the bot's database."""
        admin = postgres.Login(self.admin.username, self.admin.password, BOT)
        with postgres.connect(self.server, admin) as db:
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def users(self) -> set[str]:
        """Who is logged in to the bot's database, besides the administrator."""
        rows = self.execute("SELECT usename FROM pg_stat_activity WHERE datname = 'testbot'")
        return {str(row[0]) for row in rows} - {self.admin.username}


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Make one, run it, end it."""
    owner = NOBODY if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="nasos-cluster-"))
    try:
        directory.chmod(0o711)
        tls, now = directory / "tls", datetime.now(UTC)
        tls.mkdir(mode=0o711)
        ensure_leaf(DevCa.open(tls, now=now), tls, "postgres", ("localhost", "127.0.0.1"), now=now, owner=owner)
        (directory / "pg").mkdir(mode=0o711)
        if owner:
            os.chown(directory / "pg", owner, owner)
        server = postgres.Server(directory / "pg" / "data", free_port(), tls / "ca.pem", owner)
        admin = postgres.Login(postgres.ADMIN, Secret.random())
        postgres.initialize(server, admin)
        postgres.configure(server, tls)
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [find("postgres"), "-D", server.data],
                stdout=log,
                stderr=log,
                user=owner,
                cwd="/",
                env={"LANG": "C.UTF-8"},
            )
        try:
            eventually(lambda: reachable(server.port))
            eventually(lambda: answers(server, admin))
            login = postgres.Login(f"{BOT}_a", Secret.random(), BOT)
            postgres.provision(server, admin, BOT, login)
            yield Cluster(server, admin, login, process)
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(directory)


def answers(server: postgres.Server, admin: postgres.Login) -> bool:
    """Whether the server takes logins yet."""
    try:
        return postgres.can_login(server, admin)
    except DatabaseError:
        return False


def reachable(port: int) -> bool:
    """Whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
