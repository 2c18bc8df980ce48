"""OpenBao is killed again and again while secrets are stored: what was acknowledged is there."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from fixtures.vault import Server
from nasos import VaultClient
from nasos.errors import OutcomeUnknown, VaultError
from nasos.vault import system

WRITES = 1000
WRITERS = 4
KILLS = 20


class Writer(threading.Thread):
    """Stores its share of the secrets, each in one call, and keeps what it was told."""

    def __init__(self, client: VaultClient, numbers: range, back: threading.Event) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.back = back
        self.numbers = numbers
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.refused: list[int] = []
        self.broken: list[BaseException] = []

    def run(self) -> None:
        """Store all."""
        try:
            for number in self.numbers:
                self.store(number)
        except BaseException as error:  # noqa: BLE001  the test's own thread: the main thread asserts that there is none
            self.broken.append(error)

    def store(self, number: int) -> None:
        """Store one."""
        try:
            self.client.store_secret(f"k{number}", f"value {number}")
        except OutcomeUnknown:
            self.unknown.append(number)
            self.back.wait(60)  # a slow restart must not use up all the numbers
        except VaultError:
            self.refused.append(number)
            self.back.wait(60)
        else:
            self.acknowledged.append(number)


# CPython 3.11's wrap_socket() leaves its socket to the garbage collector when the peer is reset under it.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_every_acknowledged_secret_survives_kill_9(new_server: Callable[..., Server]) -> None:
    """1,000 writes by four threads, twenty kills: acknowledged is there, refused is not, unknown is either."""
    server = new_server()
    server.bootstrap()
    client = VaultClient(server.connection("app"))
    share = WRITES // WRITERS
    back = threading.Event()
    back.set()
    writers = [Writer(client, range(turn * share, (turn + 1) * share), back) for turn in range(WRITERS)]
    for writer in writers:
        writer.start()
    kills = 0
    while any(writer.is_alive() for writer in writers):
        done = sum(len(each) for writer in writers for each in (writer.acknowledged, writer.unknown, writer.refused))
        due = kills < KILLS and done >= (kills + random.random()) * WRITES / (KILLS + 2)  # noqa: S311  no secret
        if not due:
            writers[0].join(0.001)
            continue
        back.clear()
        server.kill()
        server.start()
        system.wait_active(server.api, 30)
        back.set()
        kills += 1
    assert [writer.broken for writer in writers] == [[]] * WRITERS
    acknowledged = {number for writer in writers for number in writer.acknowledged}
    unknown = {number for writer in writers for number in writer.unknown}
    refused = {number for writer in writers for number in writer.refused}
    stored = {int(name[1:]) for name in client.list()}
    assert kills == KILLS
    assert len(acknowledged | unknown | refused) == WRITES
    assert acknowledged - stored == set()
    assert refused & stored == set()
    wrong = [number for number in acknowledged if client.get_secret(f"k{number}") != f"value {number}"]
    assert wrong == []
    assert len(acknowledged) > WRITES / 2
    client.close()
