"""PostgreSQL as a client sees it: verified logins, and passwords that travel as verifiers only.

Rules:

* Every connection verifies its peer (``verify-full``); no text of an error holds a password.
* A password travels as a SCRAM verifier made here (RFC 5803): a plain ``ALTER ROLE ... PASSWORD`` would show it in the
  server's log and in ``pg_stat_statements`` (measured, PostgreSQL 15 and 17).
* "Refused" and "cannot be asked" are told apart: only the first is an answer about a credential.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from nasos.errors import DatabaseError, LoginRefused
from nasos.secret import Secret

CONNECT_SECONDS: Final = 5
_REFUSALS: Final = ("password authentication failed", "is not permitted to log in", "does not exist")

_VERIFIER: Final = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/]{43}=):[A-Za-z0-9+/]{43}=")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is reached, and how to verify it."""

    port: int
    ca_file: Path
    host: str = field(default="127.0.0.1", kw_only=True)


@dataclass(frozen=True, slots=True)
class Login:
    """A database user with its password."""

    username: str
    password: Secret
    database: str = "postgres"


@contextlib.contextmanager
def connect(server: Endpoint, login: Login) -> Iterator[psycopg.Connection]:
    """A verified autocommit connection.

    Raises:
        LoginRefused: The server does not want this login.
        DatabaseError: It cannot be asked; the text never holds the password.
    """
    try:
        connection = psycopg.connect(
            host=server.host,
            port=server.port,
            user=login.username,
            password=login.password.reveal(),
            dbname=login.database,
            sslmode="verify-full",
            sslrootcert=str(server.ca_file),
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        kind = LoginRefused if any(text in str(error) for text in _REFUSALS) else DatabaseError
        raise kind(
            f"login of {login.username} at port {server.port} failed: {said(error)}", "./nasos logs postgres"
        ) from None
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        raise DatabaseError(f"PostgreSQL refused: {said(error)}", "./nasos logs postgres") from None


def said(error: Exception) -> str:
    """The line of a driver's error that says what is wrong; DETAIL and HINT lines may follow it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = next((line for line in lines if "FATAL: " in line or "ERROR: " in line), lines[0])
    return told.rpartition(" failed: ")[2].strip()


def can_login(server: Endpoint, login: Login) -> bool:
    """Whether this login works now; anything but a refused credential is an error, not False.

    Raises:
        DatabaseError: The server cannot be asked.
    """
    try:
        with connect(server, login):
            return True
    except LoginRefused:
        return False


def set_password(db: psycopg.Connection, login: Login, *, allow: bool = True) -> None:
    """Give a role this password, sent as a verifier that is made here (RFC 5803).

    LOGIN is given with it, unless a role changes its own password: that it may, and nothing else of itself.
    """
    verifier = db.pgconn.encrypt_password(
        login.password.reveal().encode(), login.username.encode(), b"scram-sha-256"
    ).decode()
    statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if allow else "ALTER ROLE {} PASSWORD {}")
    db.execute(statement.format(sql.Identifier(login.username), sql.Literal(verifier)))


def act_as_owner(db: psycopg.Connection, role: str, owner: str) -> None:
    """Make ``role`` a member that acts as ``owner`` from the first statement on: whoever makes a table, he has it."""
    db.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), sql.Identifier(role)))
    db.execute(sql.SQL("ALTER ROLE {} SET role = {}").format(sql.Identifier(role), sql.Literal(owner)))


def verifies(verifier: str, password: Secret) -> bool:
    """Whether a stored verifier (RFC 5803) is that of this password."""
    match = _VERIFIER.fullmatch(verifier)
    if match is None:
        return False
    rounds, salt, stored = int(match[1]), base64.b64decode(match[2]), base64.b64decode(match[3])
    salted = hashlib.pbkdf2_hmac("sha256", password.reveal().encode(), salt, rounds)
    key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return hmac.compare_digest(key, stored)
