"""A process that ends with its parent and whose memory nobody of the same user reads."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from nasos.bot.child import Child
from nasos.errors import BotError
from simulators.launched import alive, eventually

TETHERED = """
import os, sys, time
from nasos.bot.tether import end_with_parent
end_with_parent(int(sys.argv[1]))
print("tethered", flush=True)
time.sleep(600)
"""
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_tethered_process_dies_with_its_parent() -> None:
    """However the parent dies."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, TETHERED], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    said = {parent.stdout.readline().strip() for _ in range(2)}
    assert "tethered" in said
    child = int(next(iter(said - {"tethered"})))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not alive(child))


def test_a_parent_that_is_already_gone_is_noticed() -> None:
    """The kernel sends nothing for a death that came before the request."""
    done = subprocess.run(
        [sys.executable, "-c", TETHERED, "1"], capture_output=True, text=True, check=False, timeout=30
    )
    assert "the process that started this one is gone" in done.stderr
    assert "tethered" not in done.stdout


FROM_A_THREAD = """
import os, subprocess, sys, threading, time
def start():
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
    print(child.pid, flush=True)
    if sys.argv[2] == "ends":
        time.sleep(1)
    else:
        time.sleep(600)
threading.Thread(target=start).start()
time.sleep(600)
"""


@pytest.mark.parametrize("thread", ["ends", "goes on"])
def test_the_tether_follows_the_thread_that_started(thread: str) -> None:
    """Why the bot is started from the main thread: with any other it ends when that one does, its parent or not."""
    parent = subprocess.Popen(
        [sys.executable, "-c", FROM_A_THREAD, TETHERED, thread], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    said = {parent.stdout.readline().strip() for _ in range(2)}
    child = int(next(iter(said - {"tethered"})))
    try:
        if thread == "ends":
            eventually(lambda: not alive(child))
            assert parent.poll() is None
        else:
            time.sleep(2)  # longer than the other thread lives
            assert alive(child)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_a_bot_is_not_started_from_another_thread() -> None:
    """The rule is kept by the code, not by whoever calls it."""
    refused: list[BotError] = []

    def start() -> None:
        try:
            Child(["/bin/true"], {}, outputs=(1, 2), handed=())
        except BotError as error:
            refused.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in refused[0].message


def test_sealed_memory_is_closed_to_the_same_user() -> None:
    """Another process of the same user may not open it, and without the seal it may."""
    assert reader_says(seal=True) == "PermissionError"
    assert reader_says(seal=False) == "open"


ORDINARY = """
import ctypes, os
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable again, as after an exec of an ordinary user
"""
TARGET = (
    "import time\nfrom nasos.bot.tether import seal_memory\n" + ORDINARY + "{}\nprint(1, flush=True)\ntime.sleep(600)"
)
READER = (
    ORDINARY
    + """
import sys
try:
    open(f"/proc/{sys.argv[1]}/environ").read()
except OSError as error:
    print(type(error).__name__)
else:
    print("open")
"""
)


def reader_says(*, seal: bool) -> str:
    """What an ordinary user's process gets when it looks into another one of the same user."""
    code = TARGET.format("seal_memory()" if seal else "")
    target = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert target.stdout
    target.stdout.readline()
    try:
        reader = [sys.executable, "-c", READER, str(target.pid)]
        return subprocess.run(reader, capture_output=True, text=True, check=True).stdout.strip()
    finally:
        target.kill()
        target.wait()
        target.stdout.close()
