"""`kill -9` of bootstrap, and of the server under it, at every step and anywhere else: the next run completes it."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess

import pytest

from fixtures import bootstrap_child
from fixtures.bootstrap_child import REFUSED
from fixtures.forking import forked
from fixtures.vault import BOTS, Server
from nasos.errors import BootstrapRefused, CredentialRejected, PermissionDenied, VaultError
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault import system
from nasos.vault.auth import AppRoleLogin
from nasos.vault.desired import MARKER
from nasos.vault.retry import PATIENT
from nasos.vault.roles import roles

NewServer = Callable[..., Server]


class Begun(Exception):
    """The server was begun again; the test goes on from there."""


def started(server: Server, mode: str, count: int) -> BaseProcess:
    """A bootstrap in a process of its own."""
    return forked(bootstrap_child.main, server.home, server.port, mode, count)


def run(server: Server, mode: str, count: int) -> int:
    """The exit code of one bootstrap, or minus the signal that ended it."""
    child = started(server, mode, count)
    child.join(120)
    code = child.exitcode
    assert code is not None
    assert code in (0, -signal.SIGKILL, REFUSED)
    return code


def begin_again(server: Server) -> None:
    """What `nasos up` does when a child was refused: allowed only because nothing was ever stored."""
    assert server.files.never_used()

    def stop(text: str) -> None:
        if text == "initialize the server":
            raise Begun

    with pytest.raises(Begun):
        server.bootstrap(progress=stop)


def root_tokens(server: Server) -> Iterator[Secret]:
    """The root token, while an answer is on disk."""
    record = server.files.load()
    if record and record.root_token:
        yield record.root_token


def assert_complete(server: Server, roots: list[Secret]) -> None:
    """Ready in every respect: nothing to do, marked, all roles log in, keys kept once, every root token dead."""
    system.wait_active(server.api)
    assert server.bootstrap().steps == ()
    assert server.files.recovery.exists()
    assert not server.files.answer.exists()
    for role in roles(BOTS):
        credential = server.connection(role.name).credential
        assert isinstance(credential, AppRole)
        token = PATIENT.call(AppRoleLogin(server.api, credential).obtain).token
        if role.name == "rotator":
            assert server.api.request("GET", MARKER, token=token)["data"]
    for root in roots:
        with pytest.raises((PermissionDenied, CredentialRejected)):
            server.api.request("GET", "auth/token/lookup-self", token=root)


def finish(server: Server, mode: str, count: Callable[[], int]) -> tuple[int, list[Secret]]:
    """Run killed bootstraps until one gets through; return how many it took, and the root tokens seen on the way."""
    roots: list[Secret] = []
    for attempt in range(1, 200):
        code = run(server, mode, count())
        roots += [token for token in root_tokens(server) if token not in roots]
        if code == REFUSED:
            begin_again(server)
        elif code == 0:
            assert_complete(server, roots)
            return attempt, roots
    raise AssertionError("bootstrap made no progress in 200 runs")


def test_killed_before_every_single_step(new_server: NewServer) -> None:
    """Each run gets one step further than the one before, and the last one is complete."""
    attempts, roots = finish(new_server(), "steps", lambda: 2)
    assert attempts > 2 * len(roles(BOTS))
    assert len(roots) == 1


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_killed_between_any_two_durable_moments(new_server: NewServer, seed: int) -> None:
    """Before and after each request and each file write, in random strides: nothing is left half-made."""
    stride = random.Random(seed)  # noqa: S311  a test's dice
    attempts, roots = finish(new_server(), "events", lambda: stride.randint(1, 9))
    assert attempts > 10
    assert roots


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_killed_around_the_init_answer(new_server: NewServer, count: int) -> None:
    """Before sys/init, after it, and before or after its answer is on disk."""
    server = new_server()
    assert run(server, "events", count) == -signal.SIGKILL
    lost = count in (4, 5)  # initialized, and the answer not on disk
    assert (server.files.never_used() and system.seal_status(server.api).initialized) is lost
    attempts, _ = finish(server, "events", lambda: 0)
    assert attempts == (2 if lost else 1)


def test_killed_at_random_times(new_server: NewServer) -> None:
    """From outside, at any instant of its life."""
    server, moment = new_server(), random.Random(4)  # noqa: S311  a test's dice
    roots: list[Secret] = []
    for _ in range(12):
        child = started(server, "steps", 0)
        child.join(moment.uniform(0.02, 0.4))
        child.kill()
        child.join()
        roots += [token for token in root_tokens(server) if token not in roots]
        if child.exitcode == REFUSED:
            begin_again(server)
    if not server.files.recovery.exists():
        finish(server, "steps", lambda: 0)
    else:
        server.bootstrap()
        assert_complete(server, roots)


def test_server_killed_under_bootstrap(new_server: NewServer) -> None:
    """`kill -9` of the server before every third step: bootstrap says so, and goes on after the restart."""
    server = new_server()
    roots: list[Secret] = []
    told: list[str] = []
    struck: set[str] = set()

    def kill_at_news(text: str) -> None:
        if text not in told:
            told.append(text)
        if len(told) % 3 == 1 and text == told[-1] and text not in struck:
            struck.add(text)
            roots.extend(token for token in root_tokens(server) if token not in roots)
            server.kill()

    for _ in range(80):
        try:
            server.bootstrap(progress=kill_at_news)
        except BootstrapRefused:
            raise
        except VaultError:
            server.start()
        else:
            break
    assert len(told) > 2 * len(roles(BOTS))
    if server.process is None:
        server.start()
        server.bootstrap()  # the one setting that OpenBao forgets at a restart
    assert_complete(server, roots)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))])
def test_server_killed_in_the_middle_of_init(new_server: NewServer, seed: int) -> None:
    """`kill -9` of the server while it initializes: a half-made server is begun again, none is lost for ever."""
    server, moment = new_server(), random.Random(seed)  # noqa: S311  a test's dice
    child = started(server, "steps", 0)
    child.join(moment.uniform(0.05, 2.0))
    server.kill()
    child.join()
    server.start()
    server.bootstrap()
    assert_complete(server, [])
