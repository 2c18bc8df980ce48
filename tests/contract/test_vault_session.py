"""Logins, tokens and SecretIDs of a session on a real OpenBao: replaced, renewed, refused, revoked."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from fixtures.stack import until
from fixtures.stores import session_of
from fixtures.vault import VaultUnderTest
from nasos.errors import (
    CredentialRejected,
    PermissionDenied,
    SecretNotFound,
    SettingsError,
    VaultError,
    VaultUnreachable,
)
from nasos.files import atomic_write
from nasos.secret import Secret
from nasos.settings import AppRole, Token, VaultConnection
from nasos.vault.auth import RoleFile
from nasos.vault.client import VaultApi
from nasos.vault.kv import KvStore
from nasos.vault.session import Session

CANARY = "canary-7f3a9c51d2"


@pytest.fixture
def root(vault: VaultUnderTest) -> Iterator[Session]:
    """A session that may do anything."""
    session = session_of(vault.root_connection)
    yield session
    session.close()


def approle(vault: VaultUnderTest, role_id: str, secret_id: str, *, wrapped: bool = False) -> Session:
    """A session that has not logged in yet."""
    credential = AppRole(role_id=role_id, secret_id=Secret(secret_id), wrapped=wrapped)
    return session_of(VaultConnection(vault.address, vault.ca_file, credential))


def role_file(vault: VaultUnderTest, role: str = "app") -> RoleFile:
    """RoleID and SecretID of a service."""
    return msgspec.json.decode((vault.home / "credentials" / f"{role}.json").read_bytes(), type=RoleFile)


def field(body: dict[str, object], *names: str) -> str:
    """A string deep in an answer."""
    value: object = body
    for name in names:
        assert isinstance(value, dict)
        value = value[name]
    assert isinstance(value, str)
    return value


def test_a_denial_does_not_log_in_again(as_role: Callable[[str], Session]) -> None:
    """A policy's no is told from a dead token, so a denied reader does not hammer the login."""
    session = as_role("bot-nasos")
    before = session.token()
    for _ in range(3):
        with pytest.raises(PermissionDenied):
            KvStore(session).read("nasos/app/x")
    assert session.token() == before


def test_a_wrong_secretid_is_a_rejected_credential(vault: VaultUnderTest) -> None:
    """Wrong RoleID or SecretID: CredentialRejected, remembered for a moment, without the values."""
    right = role_file(vault)
    for role_id, secret_id in ((right.role_id, CANARY), (CANARY, right.secret_id)):
        session = approle(vault, role_id, secret_id)
        with pytest.raises(CredentialRejected) as caught:
            session.request("GET", "kv/data/nasos/app/x")
        assert CANARY not in f"{caught.value}{caught.value.hint}"
        with pytest.raises(CredentialRejected) as again:
            session.request("GET", "kv/data/nasos/app/x")
        assert again.value is caught.value
        session.close()


def test_an_unknown_token_is_a_rejected_credential(vault: VaultUnderTest) -> None:
    """A token that the server does not know, and one that no server has, are told without being shown."""
    for token in (f"s.{CANARY}AAAAAAAAAAAA", "two\nlines", "ünicode"):
        connection = VaultConnection(vault.address, vault.ca_file, Token(Secret(token)))
        session = session_of(connection)
        with pytest.raises(CredentialRejected) as caught:
            session.request("GET", "kv/data/nasos/app/x")
        assert token not in f"{caught.value}{caught.value.hint}"
        session.close()


def test_a_token_that_died_is_replaced_by_a_login(as_role: Callable[[str], Session], root: Session) -> None:
    """Revoked behind our back: the next request logs in once and succeeds."""
    session = as_role("app")
    first = session.token()
    root.request("POST", "auth/token/revoke", {"token": first})
    with pytest.raises(SecretNotFound):
        KvStore(session).read(f"nasos/app/{secrets.token_hex(4)}")
    assert session.token() != first


def test_a_replaced_secretid_file_needs_no_restart(vault: VaultUnderTest, root: Session, tmp_path: Path) -> None:
    """Each login reads the file anew, in both its forms; a public file is refused."""
    right = role_file(vault)
    path = tmp_path / "app.json"
    atomic_write(path, msgspec.json.encode(right))
    session = session_of(
        VaultConnection(vault.address, vault.ca_file, AppRole(role_id=right.role_id, secret_id_file=path))
    )
    first = session.token()
    fresh = field(root.request("POST", "auth/approle/role/nasos-app/secret-id", {}), "data", "secret_id")
    atomic_write(path, f"{fresh}\n".encode())
    root.request("POST", "auth/token/revoke", {"token": first})
    with pytest.raises(SecretNotFound):
        KvStore(session).read(f"nasos/app/{secrets.token_hex(4)}")
    path.chmod(0o644)
    root.request("POST", "auth/token/revoke", {"token": session.token()})
    with pytest.raises(Exception, match="can be read by other users"):
        session.request("GET", "kv/data/nasos/app/x")
    atomic_write(path, b'{"role_id": "x"}')
    with pytest.raises(SettingsError, match="neither a SecretID nor"):
        session.request("GET", "kv/data/nasos/app/x")
    session.close()


def test_a_wrapped_secretid_is_unwrapped_once(vault: VaultUnderTest, root: Session) -> None:
    """It logs in, and again after its token died, without a second unwrap; somebody else's second use is an alarm."""
    role = role_file(vault)
    made = root.request("POST", "auth/approle/role/nasos-app/secret-id", {}, wrap_ttl="60s")
    wrapping = field(made, "wrap_info", "token")
    session = approle(vault, role.role_id, wrapping, wrapped=True)
    root.request("POST", "auth/token/revoke", {"token": session.token()})
    with pytest.raises(SecretNotFound):
        session.request("GET", f"kv/data/nasos/app/{secrets.token_hex(4)}")
    second = approle(vault, role.role_id, wrapping, wrapped=True)
    with pytest.raises(CredentialRejected, match="somebody else may have unwrapped it") as caught:
        second.token()
    assert wrapping not in f"{caught.value}{caught.value.hint}"
    session.close()


def test_a_wrapping_token_from_elsewhere_is_refused_and_not_used_up(vault: VaultUnderTest, root: Session) -> None:
    """A swapped token that wraps something else is noticed by its creation path before it is unwrapped."""
    made = root.request("POST", "sys/wrapping/wrap", {"secret_id": CANARY}, wrap_ttl="60s")
    wrapping = field(made, "wrap_info", "token")
    session = approle(vault, role_file(vault).role_id, wrapping, wrapped=True)
    with pytest.raises(CredentialRejected, match="may have been swapped"):
        session.token()
    unwrapped = VaultApi(vault.address, vault.ca_file).request(
        "POST", "sys/wrapping/unwrap", {}, token=Secret(wrapping)
    )
    assert field(unwrapped, "data", "secret_id") == CANARY


def short_role(root: Session, *, ttl: str, max_ttl: str) -> tuple[str, str, str]:
    """A role of the test's own with short-lived tokens: name, RoleID, SecretID."""
    name = f"nasos-test-{secrets.token_hex(4)}"
    path = f"auth/approle/role/{name}"
    settings = {"token_policies": ["nasos-app"], "token_no_default_policy": True, "token_ttl": ttl}
    root.request("POST", path, {**settings, "token_max_ttl": max_ttl})
    role_id = field(root.request("GET", f"{path}/role-id"), "data", "role_id")
    return name, role_id, field(root.request("POST", f"{path}/secret-id", {}), "data", "secret_id")


def test_a_token_is_renewed_ahead_of_its_end_and_replaced_near_its_maximum(
    vault: VaultUnderTest, root: Session
) -> None:
    """At two thirds of its life the same token lives on; when the maximum cuts it short, a new one takes over."""
    name, role_id, secret_id = short_role(root, ttl="30m", max_ttl="40m")
    now = [1000.0]
    credential = AppRole(role_id=role_id, secret_id=Secret(secret_id))
    session = Session(VaultApi(vault.address, vault.ca_file), credential, clock=lambda: now[0])
    first = session.token()
    now[0] += 1199
    assert session.token() == first
    now[0] += 2
    assert session.token() == first
    assert session._held is not None
    assert session._held.expires_at == pytest.approx(now[0] + 1800)
    root.request("POST", f"auth/approle/role/{name}", {"token_ttl": "1m", "token_max_ttl": "1m"})
    now[0] += 1201
    # The server's clock did not move, so the cut shows as a renewal of a minute at most.
    assert session.token() != first
    session.close()


def used_up(root: Session, path: str, _secret_id: str) -> None:
    """Its one use was the first login."""
    assert root.exchange("POST", f"{path}/secret-id/lookup", {"secret_id": _secret_id}).status == 204


def expired(root: Session, path: str, secret_id: str) -> None:
    """Its time is over."""
    until(lambda: root.exchange("POST", f"{path}/secret-id/lookup", {"secret_id": secret_id}).status != 200, 30)


def destroyed(root: Session, path: str, secret_id: str) -> None:
    """Somebody took it away."""
    root.request("POST", f"{path}/secret-id/destroy", {"secret_id": secret_id})


@pytest.mark.parametrize(
    ("settings", "end"),
    [({"secret_id_num_uses": 1}, used_up), ({"secret_id_ttl": "2s"}, expired), ({}, destroyed)],
    ids=["used up", "expired", "destroyed"],
)
def test_a_token_without_a_successor_is_told_while_it_lives(
    vault: VaultUnderTest,
    root: Session,
    tmp_path: Path,
    settings: dict[str, object],
    end: Callable[[Session, str, str], None],
) -> None:
    """Near its maximum age, with a SecretID that is worth nothing any more: said once, and once when it is mended."""
    name, role_id, _ = short_role(root, ttl="30m", max_ttl="40m")
    path, file = f"auth/approle/role/{name}", tmp_path / "secret-id"
    root.request("POST", path, settings or {"secret_id_num_uses": 0})
    secret_id = field(root.request("POST", f"{path}/secret-id", {}), "data", "secret_id")
    atomic_write(file, secret_id.encode())
    now, told = [1000.0], []
    session = Session(
        VaultApi(vault.address, vault.ca_file),
        AppRole(role_id=role_id, secret_id_file=file),
        clock=lambda: now[0],
        tell=lambda error, lives: told.append((error, lives)),
    )
    first = session.token()
    end(root, path, secret_id)
    root.request("POST", path, {"token_ttl": "1m", "token_max_ttl": "1m"})
    now[0] += 1201
    assert session.token() == first
    ((error, lives),) = told
    assert isinstance(error, CredentialRejected)
    assert error.hint == "nasos vault credentials renew"
    assert lives == pytest.approx(599)
    now[0] += 60
    assert session.token() == first
    assert len(told) == 1
    root.request("POST", path, {"secret_id_num_uses": 0, "secret_id_ttl": 0})
    atomic_write(file, field(root.request("POST", f"{path}/secret-id", {}), "data", "secret_id").encode())
    now[0] += 60
    assert session.token() != first
    assert [each[0] for each in told] == [error, None]
    session.close()


def test_after_its_end_a_token_without_a_successor_serves_nobody(vault: VaultUnderTest, root: Session) -> None:
    """The refusal is raised; nothing goes on in silence."""
    name, role_id, secret_id = short_role(root, ttl="30m", max_ttl="40m")
    now = [1000.0]
    credential = AppRole(role_id=role_id, secret_id=Secret(secret_id))
    session = Session(VaultApi(vault.address, vault.ca_file), credential, clock=lambda: now[0])
    session.token()
    destroyed(root, f"auth/approle/role/{name}", secret_id)
    now[0] += 1801
    with pytest.raises(CredentialRejected):
        session.token()
    session.close()


def test_a_living_token_outlives_an_outage(vault: VaultUnderTest, root: Session) -> None:
    """Renewal that finds Vault away keeps the token; after its end the outage is told."""
    _, role_id, secret_id = short_role(root, ttl="30m", max_ttl="1h")
    now = [1000.0]
    credential = AppRole(role_id=role_id, secret_id=Secret(secret_id))
    session = Session(VaultApi(vault.address, vault.ca_file), credential, clock=lambda: now[0])
    first = session.token()
    vault.kill()
    try:
        now[0] += 1300
        assert session.token() == first
        now[0] += 600
        with pytest.raises(VaultUnreachable):
            session.token()
    finally:
        vault.restart()
    session.close()


def test_one_login_serves_all_threads(vault: VaultUnderTest, root: Session) -> None:
    """Twelve threads that start together cause one login."""
    name, role_id, secret_id = short_role(root, ttl="5m", max_ttl="10m")
    session = approle(vault, role_id, secret_id)
    tokens: list[Secret] = []
    threads = [threading.Thread(target=lambda: tokens.append(session.token())) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(token == tokens[0] for token in tokens)
    assert len(tokens) == 12
    lines = vault.server.audit_files[0].read_text().splitlines()
    logins = [line for line in lines if name in line and '"type":"response"' in line and "auth/approle/login" in line]
    assert len(logins) == 1
    session.close()


def test_close_revokes_the_token_we_logged_in_for_and_not_a_given_one(vault: VaultUnderTest, root: Session) -> None:
    """After close an AppRole's token is dead; a token that was given lives on."""
    session = session_of(vault.connection("app"))
    token = session.token()
    session.close()
    with pytest.raises(VaultError):
        root.request("POST", "auth/token/lookup", {"token": token})
    other = session_of(vault.root_connection)
    other.request("GET", "sys/mounts")
    other.close()
    assert root.request("GET", "sys/mounts")
