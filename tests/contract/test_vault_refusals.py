"""Every typed error of the client, provoked on a real OpenBao; none of them tells a value."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.stack import until
from fixtures.stores import session_of
from fixtures.vault import Server, VaultUnderTest
from nasos.errors import (
    CertificateRefused,
    NameRefused,
    PermissionDenied,
    RateLimited,
    SettingsError,
    TooLarge,
    VaultRefused,
    VaultSealed,
    VaultStandby,
    VaultUninitialized,
    VaultUnreachable,
)
from nasos.secret import Secret
from nasos.tls.dev_ca import DevCa
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


def _sealed(server: Server, root: Secret) -> VaultSealed | None:
    try:
        server.api.request("GET", "kv/data/nasos/app/x", token=root)
    except VaultSealed as error:
        return error
    except VaultStandby:
        return None
    raise AssertionError("a sealed server gave an answer")


def test_sealed_and_uninitialized_are_told_apart(new_server: Callable[..., Server]) -> None:
    """A fresh server is uninitialized (by its health), a sealed one is sealed, each with its command."""
    server = new_server()
    with pytest.raises(VaultUninitialized):
        server.api.request("GET", "sys/health")
    root = server.bootstrap_keeping_root()
    server.api.request("POST", "sys/seal", {}, token=root)
    # On a busy machine it gives up being the active node a moment before it is sealed.
    refused = until(lambda: _sealed(server, root))
    assert refused.hint == "nasos vault unseal"
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
