"""PostgreSQL in a backup: every role with its verifier, every database in one consistent snapshot of its own.

Rules: the servers' own programs do it (``pg_dump``, ``pg_dumpall``), over TLS, with the password on a memfd: no
argument, no environment variable and no file holds it. Plain text of a dump lies in the private state directory
only. A logical dump comes back into any later PostgreSQL; a copy of the data directory would not.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from nasos.database import Login, connect, verifies
from nasos.errors import DatabaseError
from nasos.files import PRIVATE_DIR, anonymous_file
from nasos.settings import child_environment
from nasos.stack.backup.files import described
from nasos.stack.backup.manifest import DATABASES, ROLES, Part
from nasos.stack.binaries import find
from nasos.stack.postgres import ADMIN, Server

_OWN: Final = "postgres"
"""The database that every cluster has."""


def dump(server: Server, admin: Login, parts: Path) -> list[Part]:
    """Write roles and databases below ``parts``.

    Raises:
        DatabaseError: PostgreSQL refused, or the disk is full.
    """
    with connect(server, admin) as db:
        rows = db.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datallowconn ORDER BY 1")
        names = [str(row[0]) for row in rows]
    (parts / DATABASES).mkdir(mode=PRIVATE_DIR, parents=True)
    done = [_written(server, admin, parts, ROLES, ["pg_dumpall", "--globals-only"])]
    for number, name in enumerate(names):
        # A database may be called anything; its dump knows its name.
        command = ["pg_dump", "--format=custom", "--compress=none", f"--dbname={_connection(server, name)}"]
        done.append(_written(server, admin, parts, _part(number, name), command))
    return done


def _part(number: int, name: str) -> str:
    return f"{DATABASES}/{'postgres' if name == _OWN else number}.dump"


def restore(server: Server, admin: Login, parts: Path, listed: Sequence[Part]) -> bool:
    """Everything back into a new cluster whose administrator is ``admin``; his own password stays as it is.

    Returns whether the dump had the administrator with that same password.

    Raises:
        DatabaseError: PostgreSQL refused something.
    """
    before = (parts / ROLES).read_bytes()
    roles = _without(before, admin.username)
    _run(server, admin, ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
                         f"--dbname={_connection(server, _OWN)}"], content=roles)  # fmt: skip
    for part in listed:
        if part.name.startswith(f"{DATABASES}/"):
            create = [] if part.name == _part(0, _OWN) else ["--create"]
            command = ["pg_restore", "--exit-on-error", f"--dbname={_connection(server, _OWN)}", *create]
            with (parts / part.name).open("rb") as file:
                _run(server, admin, command, source=file)
    start = f"ALTER ROLE {admin.username} WITH ".encode()
    line = next((line.decode() for line in before.splitlines() if line.startswith(start)), "")
    return verifies(line.rpartition(" PASSWORD '")[2].rstrip("';"), admin.password)


def _without(roles: bytes, admin: str) -> bytes:
    """The roles without those who exist: the administrator keeps the password that is in Vault."""
    exist = [_line("CREATE", name) for name in (ADMIN, admin)] + [_line("ALTER", admin)]
    own = tuple(start for pair in exist for start in pair)
    return b"".join(line for line in roles.splitlines(keepends=True) if not line.startswith(own))


def _line(verb: str, name: str) -> tuple[bytes, bytes, bytes, bytes]:
    plain, quoted = f"{verb} ROLE {name}".encode(), f'{verb} ROLE "{name}"'.encode()
    return plain + b";", plain + b" WITH ", quoted + b";", quoted + b" WITH "


def _connection(server: Server, database: str) -> str:
    """Libpq's connection string (values quoted by its rules); the password comes by file."""
    values = {
        "host": "127.0.0.1", "port": str(server.port), "dbname": database, "sslmode": "verify-full",
        "sslrootcert": str(server.ca_file), "connect_timeout": "10",
    }  # fmt: skip
    return " ".join(f"{key}={_quoted(value)}" for key, value in values.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _written(server: Server, admin: Login, parts: Path, name: str, command: list[str]) -> Part:
    path = parts / name
    if command[0] == "pg_dumpall":
        command = [*command, f"--dbname={_connection(server, _OWN)}"]
    with path.open("xb") as file:
        _run(server, admin, command, sink=file)
    return described(path, name)


def _run(  # noqa: PLR0913  who, what, and its three ends
    server: Server, admin: Login, command: list[str], *,
    source: IO[bytes] | None = None, sink: IO[bytes] | None = None, content: bytes | None = None,
) -> None:  # fmt: skip
    line = ":".join(_escaped(text) for text in ("127.0.0.1", str(server.port), "*", admin.username))
    fd = anonymous_file("pgpass", f"{line}:{_escaped(admin.password.reveal())}\n".encode())
    environment = child_environment() | {"PGPASSFILE": f"/proc/self/fd/{fd}", "PGUSER": admin.username}
    try:
        with subprocess.Popen(
            [str(find(command[0])), "--no-password", *command[1:]], env=environment, pass_fds=(fd,),
            stdin=subprocess.PIPE if content is not None else source or subprocess.DEVNULL,
            stdout=sink or subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", umask=0o077,
        ) as running:  # fmt: skip
            errors = running.communicate(content)[1]
    finally:
        os.close(fd)
    if running.returncode:
        said = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        told = next((text for text in said if "error:" in text or "ERROR:" in text), said[-1])
        raise DatabaseError(f"{command[0]} failed: {told.strip()}", "./nasos logs postgres")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")
