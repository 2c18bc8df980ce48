"""Every typed error of the client, provoked on a real OpenBao; none of them tells a value."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fixtures.stores import session_of
from fixtures.vault import Server, VaultUnderTest
from nasos.errors import (
    CertificateRefused,
    CredentialRejected,
    NameRefused,
    PermissionDenied,
    RateLimited,
    SecretNotFound,
    SettingsError,
    TooLarge,
    VaultError,
    VaultRefused,
    VaultSealed,
    VaultUninitialized,
    VaultUnreachable,
)
from nasos.files import atomic_write
from nasos.secret import Secret
from nasos.settings import AppRole, Token, VaultConnection
from nasos.tls.dev_ca import DevCa
from nasos.vault.auth import RoleFile
from nasos.vault.client import VaultApi
from nasos.vault.kv import KvStore
from nasos.vault.retry import ONCE
from nasos.vault.session import Session
from nasos.vault.store import Record

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


def test_a_server_with_another_ca_is_refused_before_anything_is_sent(vault: VaultUnderTest, tmp_path: Path) -> None:
    """With another CA, or the system's, the certificate is refused; with the right one it is not."""
    DevCa.open(tmp_path, now=datetime.now(UTC))
    for ca_file in (tmp_path / "ca.pem", None):
        with pytest.raises(CertificateRefused, match=r"certificate .* was refused"):
            VaultApi(vault.address, ca_file).request("GET", "sys/seal-status", token=vault.root_token)
    assert VaultApi(vault.address, vault.ca_file).request("GET", "sys/seal-status")["sealed"] is False


def test_a_name_that_is_not_on_the_certificate_is_refused(vault: VaultUnderTest) -> None:
    """The host name counts: the same server by another name is somebody else."""
    with pytest.raises(CertificateRefused, match=r"not valid for|mismatch"):
        VaultApi(vault.address.replace("127.0.0.1", "localhost"), vault.ca_file).request("GET", "sys/seal-status")


def test_a_replaced_ca_file_is_picked_up_without_a_restart(vault: VaultUnderTest, tmp_path: Path) -> None:
    """The next connection uses the file as it is now; a missing or broken one names the setting."""
    ca_file = tmp_path / "ca.pem"
    api = VaultApi(vault.address, ca_file)
    with pytest.raises(CertificateRefused, match="cannot be used") as caught:
        api.request("GET", "sys/seal-status")
    assert "VAULT_CACERT" in (caught.value.hint or "")
    ca_file.write_text("no PEM")
    with pytest.raises(CertificateRefused, match="cannot be used"):
        api.request("GET", "sys/seal-status")
    ca_file.write_bytes(vault.ca_file.read_bytes())
    assert api.request("GET", "sys/seal-status")["initialized"] is True


@pytest.mark.parametrize(
    ("address", "allow"),
    [("http://vault.example:8200", True), ("http://127.0.0.1:8200", False), ("ftp://127.0.0.1", True),
     ("https://user:pass@127.0.0.1", True), ("https://127.0.0.1/path", True)],
)  # fmt: skip
def test_a_token_never_goes_over_plain_http(address: str, allow: bool) -> None:  # noqa: FBT001  a parameter
    """Plain http needs loopback and the explicit word; other odd addresses are refused, too."""
    with pytest.raises(SettingsError):
        VaultApi(address, None, allow_plain=allow)


def test_plain_http_on_loopback_can_be_allowed_by_name(vault: VaultUnderTest) -> None:
    """Allowed, it is tried: a TLS port answers with a complaint that is no vault's."""
    api = VaultApi(vault.address.replace("https", "http"), None, allow_plain=True)
    with pytest.raises(VaultRefused, match="no vault"):
        api.request("GET", "sys/seal-status")


def test_nobody_there_is_unreachable() -> None:
    """A closed port says what happened and what to type."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"https://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(VaultUnreachable, match="connection refused") as caught:
            VaultApi(address, None).request("GET", "sys/health")
    assert caught.value.hint == "nasos status"


def test_sealed_and_uninitialized_are_told_apart(new_server: Callable[..., Server]) -> None:
    """A fresh server is uninitialized (by its health), a sealed one is sealed, each with its command."""
    server = new_server()
    with pytest.raises(VaultUninitialized):
        server.api.request("GET", "sys/health")
    root = server.bootstrap_keeping_root()
    server.api.request("POST", "sys/seal", {}, token=root)
    with pytest.raises(VaultSealed) as caught:
        server.api.request("GET", "kv/data/nasos/app/x", token=root)
    assert caught.value.hint == "nasos vault unseal"
    server.kill()
    with pytest.raises(VaultUnreachable):
        server.api.request("GET", "kv/data/nasos/app/x", token=root)


def test_denied_names_capability_and_path(as_role: Callable[[str], Session]) -> None:
    """Each method names what it was not allowed to do, and where."""
    session = as_role("bot-nasos")
    store = KvStore(session)
    with pytest.raises(PermissionDenied, match=r"denied read on kv/data/nasos/app/x"):
        store.read("nasos/app/x")
    with pytest.raises(PermissionDenied, match=r"denied create or update on kv/data/nasos/app/x"):
        store.write("nasos/app/x", {"value": CANARY})
    with pytest.raises(PermissionDenied, match=r"denied delete on kv/data/nasos/app/x"):
        store.delete("nasos/app/x")
    with pytest.raises(PermissionDenied, match=r"denied list on kv/metadata/nasos/app/"):
        store.list("nasos/app")


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


def test_a_quota_is_a_rate_limit_and_waiting_helps(root: Session) -> None:
    """429 is RateLimited when asked once; with the retry policy the request comes through."""
    place = f"nasos/app/{secrets.token_hex(4)}"
    KvStore(root).write(place, {"value": "x"})
    root.request("POST", "sys/quotas/rate-limit/test", {"path": f"kv/data/{place}", "rate": 1, "interval": "1s"})
    try:
        impatient = KvStore(root, retry=ONCE)
        with pytest.raises(RateLimited):
            [impatient.read(place) for _ in range(3)]
        assert KvStore(root).read(place).version == 1
    finally:
        root.request("DELETE", "sys/quotas/rate-limit/test")


def test_a_restart_in_between_is_survived(vault: VaultUnderTest, as_role: Callable[[str], Session]) -> None:
    """A read that meets a killed server waits for it; kept connections that died are not held against it."""
    store = KvStore(as_role("app"))
    path = f"nasos/app/{secrets.token_hex(4)}"
    store.write(path, {"value": "x"})
    vault.kill()
    found: list[Record] = []
    reader = threading.Thread(target=lambda: found.append(store.read(path)))
    reader.start()
    vault.restart()
    reader.join()
    assert [record.version for record in found] == [1]
    assert store.write(path, {"value": "y"}) == 2


def test_too_large_is_told_by_us_by_the_listener_and_by_raft(as_role: Callable[[str], Session]) -> None:
    """Whoever notices, the error is TooLarge and holds nothing of the value."""
    store = KvStore(as_role("app"))
    for size in (1 << 20, 5 << 20, 40 << 20):
        with pytest.raises(TooLarge) as caught:
            store.write("nasos/app/large", {"value": (CANARY * (size // len(CANARY) + 1))[:size]})
        assert CANARY not in f"{caught.value}{caught.value.hint}"


def test_an_engine_that_is_not_mounted_is_not_a_missing_secret(root: Session) -> None:
    """A default must not hide that the KV engine is gone."""
    with pytest.raises(VaultRefused, match="nothing is mounted"):
        KvStore(root, mount="nowhere").read("nasos/app/x")
    with pytest.raises(VaultRefused, match="nothing is mounted"):
        KvStore(root, mount="nowhere").list("nasos")
    root.request("POST", "cubbyhole/data/x", {"a": "b"})
    with pytest.raises(VaultRefused, match="not that of a KV version 2 engine"):
        KvStore(root, mount="cubbyhole").read("x")


def test_a_path_that_is_no_url_is_refused(vault: VaultUnderTest) -> None:
    """Spaces, line ends and non-ASCII never reach the request line."""
    for path in ("kv/data/a b", "kv/data/a\r\nX-Vault-Token: x", "kv/data/ü"):
        with pytest.raises(NameRefused):
            vault.api.request("GET", path)


def test_the_servers_words_are_quoted_without_what_we_sent(root: Session) -> None:
    """A complaint that echoes a value is cleaned of it; the rest helps."""
    with pytest.raises(VaultRefused) as caught:
        root.request("POST", "auth/approle/role/nasos-echo", {"token_ttl": Secret(CANARY)})
    assert CANARY not in f"{caught.value}{caught.value.hint}{caught.value.__context__}"
    with pytest.raises(VaultRefused, match="refused POST auth/approle/role/nasos-echo") as short:
        root.request("POST", "auth/approle/role/nasos-echo", {"token_ttl": Secret("zq7")})
    assert "zq7" not in str(short.value)
