"""A second server over the data of the stopped first one: for work that the serving one must never allow.

Rules: it listens on a port of the moment that no other program knows; it dies with us (PR_SET_PDEATHSIG), also by
``kill -9``, so that what its configuration allows ends at that instant; that configuration is in a file of its own,
which the serving server never reads. Raft's own lock keeps two servers from one data directory.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nasos.bot.tether import end_with_parent
from nasos.errors import ProgramFailed, VaultUnreachable
from nasos.files import PRIVATE, atomic_write
from nasos.settings import child_environment
from nasos.stack.binaries import find
from nasos.stack.log import Log, reason
from nasos.vault import system
from nasos.vault.client import VaultApi
from nasos.vault.server import ServerConfig, render_config

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where such a server keeps its configuration and its words, and as whom it runs."""

    directory: Path
    """Of Vault: ``aside.hcl`` stands there while the server runs."""
    log: Path
    """What it says; made when missing."""
    ca_file: Path
    user: str | None = None
    owner: int | None = None


@contextmanager
def aside(place: Place, config: ServerConfig) -> Iterator[VaultApi]:
    """The server with ``config``, answering (sealed or not); ended, and waited for, afterwards.

    Raises:
        ProgramFailed: It ended or did not answer.
        FileRefused: Its configuration cannot be written.
    """
    config = replace(config, port=_free_port(), cluster_port=0)
    path = place.directory / "aside.hcl"
    atomic_write(path, render_config(config).encode(), owner=place.owner)
    api = VaultApi(f"https://127.0.0.1:{config.port}", place.ca_file)
    said = Log(place.log)
    process = _started(place, path)
    try:
        _wait_answering(api, process, said)
        yield api
    finally:
        api.close()
        _end(process)
        path.unlink(missing_ok=True)


def _started(place: Place, path: Path) -> subprocess.Popen[bytes]:
    parent = os.getpid()
    with os.fdopen(os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE), "ab") as log:
        return subprocess.Popen(
            [str(find("bao")), "server", f"-config={path}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", umask=0o077,
            env=child_environment() | {"HOME": str(place.directory)},
            user=place.user, group=place.user, extra_groups=[] if place.user else None,
            # After the change of user, which would clear it (prctl(2)); safe: this process has one thread.
            preexec_fn=lambda: end_with_parent(parent),  # noqa: PLW1509  see above
        )  # fmt: skip


def _wait_answering(api: VaultApi, process: subprocess.Popen[bytes], said: Log) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(VaultUnreachable):
            system.wait_answering(api, 0.1)
            return
        if process.poll() is not None or time.monotonic() > deadline:
            why = reason(said.new().splitlines()) or "it does not answer"
            raise ProgramFailed(f"vault did not start on its own: {why}", f"tail {said.path}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
