"""What the client makes of a connection that breaks at each point, against a server that breaks it there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from nasos.errors import OutcomeUnknown, TooLarge, VaultRefused, VaultStandby, VaultUnreachable
from nasos.secret import Secret
from nasos.vault import wire
from nasos.vault.client import VaultApi
from simulators.raw_server import (
    RawServer,
    Step,
    answer,
    half_an_answer,
    hang_up,
    nonsense,
    raw_server,
    then_hang_up,
)

TOKEN = Secret("s.canary0123456789abcdefghij")


@pytest.fixture
def made() -> Iterator[list[VaultApi]]:
    """Closes what a test opened."""
    apis: list[VaultApi] = []
    yield apis
    for api in apis:
        api.close()


def api_for(server: RawServer, made: list[VaultApi], timeout: float = 5.0) -> VaultApi:
    """A client of the server."""
    made.append(VaultApi(server.address, None, timeout=timeout, allow_plain=True))
    return made[-1]


def test_one_connection_serves_many_requests(made: list[VaultApi]) -> None:
    """Keep-alive: three requests, one connection, each with the header that Vault asks for."""
    with raw_server([answer(b'{"a": 1}'), answer(), answer(b"", "204 No Content")]) as server:
        api = api_for(server, made)
        assert [api.request("GET", "x") for _ in range(3)] == [{"a": 1}, {}, {}]
    assert all(b"X-Vault-Request: true" in request for request in server.requests)


def test_a_connection_that_the_server_closed_is_noticed_before_a_write(made: list[VaultApi]) -> None:
    """Closed while idle: the next write goes over a fresh connection, once."""
    with raw_server([then_hang_up(answer())], [answer(b'{"b": 2}')]) as server:
        api = api_for(server, made)
        api.request("GET", "x")
        assert server.closed.wait(10)
        assert api.request("POST", "y", {"v": "1"}) == {"b": 2}
    assert [request.split()[0] for request in server.requests] == [b"GET", b"POST"]


def test_a_read_on_a_dying_connection_is_asked_again(made: list[VaultApi]) -> None:
    """The server hangs up on the second request of a kept connection: a read is repeated on a fresh one."""
    with raw_server([answer(), hang_up], [answer(b'{"b": 2}')]) as server:
        api = api_for(server, made)
        api.request("GET", "x")
        assert api.request("GET", "y") == {"b": 2}
    assert len(server.requests) == 3


def test_a_write_on_a_dying_connection_is_not_repeated(made: list[VaultApi]) -> None:
    """The same accident with a write: it may have been applied, so it is told and not repeated."""
    with raw_server([answer(), hang_up], [answer()]) as server:
        api = api_for(server, made)
        api.request("GET", "x")
        with pytest.raises(OutcomeUnknown, match="may or may not have been applied"):
            api.request("POST", "y", {"v": "1"})
    assert len(server.requests) == 2


@pytest.mark.parametrize("step", [hang_up, half_an_answer, nonsense])
@pytest.mark.parametrize(("method", "error"), [("GET", VaultUnreachable), ("POST", OutcomeUnknown)])
def test_a_lost_answer_on_a_fresh_connection(
    made: list[VaultApi], step: Step, method: str, error: type[Exception]
) -> None:
    """No answer, half an answer, or no HTTP: a read is unreachable, a write's outcome is unknown."""
    with raw_server([step]) as server, pytest.raises(error) as caught:
        api_for(server, made).request(method, "x", {"v": Secret("canary-value")}, token=TOKEN)
    assert "canary" not in str(caught.value)


def test_a_server_that_says_nothing_runs_into_the_timeout_once(made: list[VaultApi]) -> None:
    """A stalled server costs one timeout, not two, also on a kept connection."""
    with raw_server([answer()]) as server:
        server.connections[0].append(server.stall)
        api = api_for(server, made, timeout=0.2)
        api.request("GET", "x")
        with pytest.raises(VaultUnreachable, match="timed out"):
            api.request("GET", "y")
    assert len(server.requests) == 2


def test_an_endless_answer_is_cut_off(made: list[VaultApi], monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the longest answer is refused."""
    monkeypatch.setattr(wire, "LONGEST_ANSWER", 100)
    with raw_server([answer(b"x" * 101)]) as server, pytest.raises(VaultRefused, match="larger than"):
        api_for(server, made).request("GET", "x")


def test_a_server_that_hangs_up_on_a_large_body_means_too_large(made: list[VaultApi]) -> None:
    """Cut off in the middle of megabytes: never applied, so it is no unknown outcome."""

    def refuse(server: RawServer) -> None:
        connection, _ = server.listener.accept()
        connection.recv(1000)
        connection.close()

    with raw_server() as server:
        thread = threading.Thread(target=refuse, args=(server,))
        thread.start()
        with pytest.raises(TooLarge):
            api_for(server, made).request("POST", "x", {"v": "x" * (20 << 20)})
        thread.join()


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1]", b'"text"'])
def test_what_is_no_vault_is_called_so(made: list[VaultApi], body: bytes) -> None:
    """HTML or other JSON under VAULT_ADDR is named as the wrong address."""
    with raw_server([answer(body)]) as server, pytest.raises(VaultRefused, match="is no vault"):
        api_for(server, made).request("GET", "x")


def test_a_redirect_is_not_followed(made: list[VaultApi]) -> None:
    """A standby's redirect could send the token elsewhere: it is told, and nothing is sent there."""
    step = answer(b"", "307 Temporary Redirect", "Location: http://127.0.0.1:1/v1/x\r\n")
    with raw_server([step]) as server, pytest.raises(VaultStandby, match="standby"):
        api_for(server, made).request("GET", "x", token=TOKEN)
    assert len(server.requests) == 1


def test_proxies_of_the_environment_are_not_obeyed(made: list[VaultApi], monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy and https_proxy do not put a third party between the token and Vault."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with raw_server([answer(b'{"a": 1}')]) as server:
        assert api_for(server, made).request("GET", "x", token=TOKEN) == {"a": 1}


def test_idle_connections_are_few(made: list[VaultApi]) -> None:
    """However many threads were at work, at most KEEP_COUNT connections are kept."""
    together = threading.Barrier(12)
    sockets: list[socket.socket] = []

    def serve_one() -> None:
        connection, _ = server.listener.accept()
        sockets.append(connection)
        connection.recv(65536)
        together.wait(10)
        answer()(connection)

    with raw_server() as server:
        api = api_for(server, made)
        threads = [threading.Thread(target=serve_one) for _ in range(12)]
        threads += [threading.Thread(target=api.request, args=("GET", "x")) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 0 < len(api._wire._idle) <= wire.KEEP_COUNT
        for connection in sockets:
            connection.close()
