"""The program that supervisord runs as an event listener: ``python -m nasos.stack.watcher`` with ``NASOS_HOME``.

Rules: two threads, one that takes supervisord's events and one that makes the rounds; neither waits for the other. It
ends with its supervisor. A clock that is set while it runs neither hurries an alert nor holds one back. Started by root
it stays root, because it reads the ledgers of two users; what speaks to the internet is a process of another user.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from nasos.bot.tether import seal_memory
from nasos.errors import Error
from nasos.ledger import Ledger, Outcome
from nasos.ledger.follow import Follower
from nasos.notify import deliver
from nasos.settings import load
from nasos.stack import clock
from nasos.stack.embedded import Stack
from nasos.stack.watcher import state
from nasos.stack.watcher.anchor import paths
from nasos.stack.watcher.listener import Change, listen
from nasos.stack.watcher.memory import InVault
from nasos.stack.watcher.rounds import Record, Watch

SECONDS = 1.0
"""Between two rounds; a round without news is two stat calls."""


def main() -> None:
    """Watch until a signal, or the end of the supervisor."""
    seal_memory()
    stack, ended = Stack.existing(load(files=False)), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=_listen, args=(stack, ended), daemon=True).start()
    directory = stack.home.run("watcher")
    known = state.load(directory)
    boot = clock.boot()
    steady = clock.Steady(clock.read(datetime.now(UTC), boot))
    watch = Watch(
        followers={name: Follower(path, known.places.get(name)) for name, path in paths(stack.home.root).items()},
        memory=InVault(stack.home.root, stack.vault("watcher")),
        send=functools.partial(deliver, user=stack.home.users.uid("alerts")),
        record=_recorder(stack, "watcher"),
        store=lambda changed: state.save(directory, changed),
        say=_say,
        state=known,
    )
    while not ended.is_set():
        try:
            watch.round(steady.at(clock.read(datetime.now(UTC), boot)))
            os.utime(directory / state.NAME)  # a sign of life; nothing is written for it
        except (Error, OSError) as error:
            _say(f"this round was not finished: {error}")
        ended.wait(SECONDS)


def _listen(stack: Stack, ended: threading.Event) -> None:
    record = _recorder(stack, "supervisord")

    def told(change: Change) -> None:
        record(change.event, change.program, change.outcome, change.detail)

    try:
        # Unbuffered: the interpreter aborts when it ends while a thread of ours waits inside a buffered reader.
        with open(0, "rb", buffering=0, closefd=False) as commands:
            listen(commands, sys.stdout.buffer, told)
    finally:
        ended.set()


def _recorder(stack: Stack, actor: str) -> Record:
    ledger = Ledger(stack.home.ledger, actor)

    def record(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        try:
            ledger.append(event, target, outcome, detail)
        except Error as error:
            _say(f"{event} {target} {outcome} could not be recorded: {error.message}")

    return record


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main()
    except Error as error:
        sys.exit(f"nasos: error: {error.message}")
