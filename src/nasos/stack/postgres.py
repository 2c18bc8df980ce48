"""PostgreSQL: a cluster that speaks TLS and SCRAM only, and roles whose passwords are in Vault.

Rules:

* A password is in Vault before the server hears of it.
* The first superuser of every cluster has one name, for a dump names him as the grantor of memberships; who may log in
  is the administrator that Vault names (two take turns).
* Two LOGIN roles per bot, members of one NOLOGIN owner with ``SET role``: whichever of them makes a table, the
  owner has it, so that rotation can alternate between them (measured: without it the second role may not read).
* The cluster appears whole: ``initdb`` works in a temporary directory that is renamed at the end. Each run has one of
  its own, because the ``initdb`` of a killed run goes on in its.
* What should be true is made true each time, not only when the thing was made: a run may be killed in between.
* No unix socket, no ``local`` line, no plain TCP: every connection verifies its peer.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg import sql

from nasos.database import Endpoint, Login, act_as_owner, can_login, connect, set_password
from nasos.errors import DatabaseError, SecretNotFound
from nasos.files import anonymous_file, atomic_write, fsync_directory, private_directory
from nasos.secret import Secret
from nasos.settings import child_environment, child_identity
from nasos.stack.binaries import find
from nasos.tls import profile
from nasos.vault import VaultClient

ADMIN: Final = "nasos_admin"

_HBA: Final = """\
# Written by nasos up. TLS and SCRAM only; anything else is refused for want of a line.
hostssl all all 127.0.0.1/32 scram-sha-256
"""

_CONF: Final = """\
# Written by nasos up.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
ssl = on
ssl_cert_file = '{tls}/postgres.pem'
ssl_key_file = '{tls}/postgres.key'
ssl_min_protocol_version = 'TLSv1.2'
# Mozilla's intermediate profile; PostgreSQL's own list has CBC, CCM, ARIA and Camellia.
ssl_ciphers = '{ciphers}'
password_encryption = 'scram-sha-256'
max_connections = 60
shared_buffers = '32MB'
dynamic_shared_memory_type = posix
log_timezone = 'UTC'
timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
# A failing statement is not repeated in the log: it may hold a verifier.
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
"""


@dataclass(frozen=True, slots=True)
class Server(Endpoint):
    """The embedded cluster: where it is reached, and where it lies."""

    data: Path
    owner: int | None = None
    """uid of the server, when it is not ours."""


def initialize(server: Server, admin: Login) -> bool:
    """Create the cluster unless it is there; return whether it was made now.

    Raises:
        DatabaseError: ``initdb`` failed.
    """
    # Also beside a finished cluster: an initdb that outlived its killed run goes on writing for a while.
    for left in server.data.parent.glob("data.new*"):
        shutil.rmtree(left, ignore_errors=True)
    if (server.data / "PG_VERSION").exists():
        return False
    temporary = server.data.with_name(f"data.new-{secrets.token_hex(4)}")
    private_directory(temporary, server.owner)
    fd = anonymous_file("initdb", admin.password.reveal().encode(), owner=server.owner)
    try:
        done = subprocess.run(
            [str(find("initdb")), "-D", str(temporary), "-U", ADMIN, f"--pwfile=/proc/self/fd/{fd}",
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"],
            pass_fds=(fd,), env=child_environment(), capture_output=True, text=True, check=False,
            cwd="/", umask=0o077, **child_identity(server.owner),
        )  # fmt: skip
    finally:
        os.close(fd)
    if done.returncode:
        raise DatabaseError(
            f"initdb failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}",
            f'"df -h {server.data.parent}" shows the space left',
        )
    if admin.username != ADMIN:
        _hand_over(temporary, admin, server.owner)
    temporary.rename(server.data)
    fsync_directory(server.data.parent)
    return True


def rescue(server: Server, admin: Login) -> None:
    """Let ``admin``, and no other of the two, log in again; the server must not run.

    Raises:
        DatabaseError: It could not be done.
    """
    both, role = (ADMIN, f"{ADMIN}_b"), sql.Identifier(admin.username)
    statements = [
        sql.SQL("DO $$ BEGIN CREATE ROLE {}; EXCEPTION WHEN duplicate_object THEN NULL; END $$").format(role),
        sql.SQL("ALTER ROLE {} SUPERUSER LOGIN PASSWORD {}").format(role, _password(admin)),
    ]
    others = (sql.Identifier(name) for name in both if name != admin.username)
    retire = "DO $$ BEGIN ALTER ROLE {} NOLOGIN PASSWORD NULL; EXCEPTION WHEN undefined_object THEN NULL; END $$"
    statements += [sql.SQL(retire).format(other) for other in others]
    _alone(server.data, statements, server.owner)


def _hand_over(data: Path, admin: Login, owner: int | None) -> None:
    """Let ``admin`` log in instead of the first superuser; the server runs alone for it, and listens nowhere."""
    statements = (
        sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(sql.Identifier(admin.username), _password(admin)),
        sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(ADMIN)),
    )
    _alone(data, statements, owner)


def _password(admin: Login) -> sql.Literal:
    return sql.Literal(admin.password.reveal())


def _alone(data: Path, statements: Sequence[sql.Composed], owner: int | None) -> None:
    """Statements of a superuser, one line each, given to a server that listens nowhere."""
    done = subprocess.run(
        [str(find("postgres")), "--single", "-D", str(data), "postgres"],
        input="".join(f"{statement.as_string()}\n" for statement in statements),
        env=child_environment(), capture_output=True, text=True, check=False, cwd="/", umask=0o077,
        **child_identity(owner),
    )  # fmt: skip
    told = [line.partition("ERROR: ")[2].strip() for line in done.stderr.splitlines() if "ERROR: " in line]
    if done.returncode or told:
        raise DatabaseError(f"the administrator could not be made: {(told or ['no reason given'])[0]}")


def configure(server: Server, tls: Path) -> bool:
    """Put ``postgresql.conf`` and ``pg_hba.conf`` right; return whether one of them was not.

    A running server must be told; a changed port or address needs a restart.
    """
    ciphers = ":".join(profile.load().configuration.ciphers.openssl)
    conf = _CONF.format(port=server.port, tls=str(tls).replace("'", "''"), ciphers=ciphers)
    changed = False
    for name, content in (("postgresql.conf", conf.encode()), ("pg_hba.conf", _HBA.encode())):
        path = server.data / name
        if not path.is_file() or path.read_bytes() != content:
            atomic_write(path, content, owner=server.owner)
            changed = True
    return changed


def admin_login(vault: VaultClient) -> Login:
    """The administrator's login from Vault, made there first if it is missing."""
    fields = _fields(vault, "postgres/admin", lambda: {"username": Secret(ADMIN), "password": Secret.random()})
    return Login(fields["username"].reveal(), fields["password"])


def bot_login(vault: VaultClient, bot: str) -> Login:
    """The bot's current database login from Vault, made there first if it is missing."""
    role = f"{bot}_a"
    fields = _fields(
        vault,
        f"bots/{bot}/db",
        lambda: {"username": Secret(role), "password": Secret.random(), "role": Secret("a")},
    )
    return Login(fields["username"].reveal(), fields["password"], bot)


def _fields(vault: VaultClient, path: str, fresh: Callable[[], dict[str, Secret]]) -> dict[str, Secret]:
    try:
        return dict(vault.read(path).fields)
    except SecretNotFound:
        made = fresh()
        vault.write(path, made, cas=0)
        return made


def provision(server: Server, admin: Login, bot: str, login: Login) -> list[str]:
    """Bring owner, roles and database of one bot to what they should be; return what was changed.

    Every step first asks whether it is done, so it can be killed anywhere and run again.
    """
    changed: list[str] = []
    owner = f"{bot}_owner"
    with connect(server, admin) as db:
        known = {str(row[0]) for row in db.execute("SELECT rolname FROM pg_roles")}
        for role in (owner, f"{bot}_a", f"{bot}_b"):
            if role not in known:
                db.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
                changed.append(f"role {role}")
            if role != owner:
                act_as_owner(db, role, owner)
        if not db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (bot,)).fetchone():
            db.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(bot), sql.Identifier(owner)))
            changed.append(f"database {bot}")
        db.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(bot)))
        if not can_login(server, login):
            set_password(db, login)
            changed.append(f"password of {login.username}")
    return changed
