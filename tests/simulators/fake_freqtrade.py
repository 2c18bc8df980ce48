"""Stands where the bot's interpreter stands: called like it, tethered like it, and then as bad as the test wants.

``fake_freqtrade.py -I -u -m nasos.bot.entry LAUNCHER ORDERS SANDBOX trade -c ... --act WHAT [--report FILE]``
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nasos.bot.credential import read
from nasos.bot.orders import Document, Done, Line, Load
from nasos.bot.tether import end_with_parent


def main(arguments: list[str]) -> int:
    """Report what arrived, then act."""
    launcher, orders, _, *words = arguments[arguments.index("nasos.bot.entry") + 1 :]
    end_with_parent(int(launcher))
    options = dict(itertools.pairwise(words))
    line = Line(socket.socket(fileno=int(orders)), lambda _: Done())
    line.start()
    content = load(line)
    if "--report" in options:
        report(Path(options["--report"]), words, content)
    return act(options.get("--act", "hang"), content)


def load(line: Line) -> dict[str, Any]:
    """As the load hook does."""
    answer = line.ask(Load(), 30)
    assert isinstance(answer, Document)
    content: dict[str, Any] = json.loads(answer.json.reveal())
    return content


def report(path: Path, words: list[str], content: dict[str, Any]) -> None:
    """Add one JSON line about this process; secrets as SHA-256 only, because the file is on disk."""
    url = content.get("db_url")
    login = read(int(parse_qs(urlsplit(url).query)["credfd"][0]), 20) if url else None
    line = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "words": words,
        "environ": dict(os.environ),
        "cmdline": Path("/proc/self/cmdline").read_text(),
        "fds": {entry.name: str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.exists()},
        "document": {
            f"{section}.{field}": digest(str(value))
            for section, fields in content.items()
            if isinstance(fields, dict)
            for field, value in fields.items()
        },
        "db_url": url,
        "login": [login.version, login.username, digest(login.password.reveal())] if login else None,
        "writable": can_write(url),
    }
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def can_write(url: str | None) -> bool:
    """Whether this process could change what it was handed, by any of the ways a program has."""
    if not url:
        return False
    fd = int(parse_qs(urlsplit(url).query)["credfd"][0])
    try:
        os.pwrite(fd, b"x", 0)
    except OSError:
        pass
    else:
        return True
    try:
        os.fchmod(fd, 0o600)
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
        os.pwrite(again, b"x", 0)
    except OSError:
        return False
    return True


def digest(text: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def act(what: str, content: dict[str, dict[str, str]]) -> int:
    """Behave."""
    name, _, value = what.partition(":")
    match name:
        case "exit":
            return int(value)
        case "kill":
            os.kill(os.getpid(), int(value))
        case "blab":
            api = content["api_server"]
            sys.stdout.write(f"password is {api['password']}\n")
            sys.stderr.write(f"GET /ws?token={api['ws_token']} and half a line {api['jwt_secret_key']}")
            return 0
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "family":
            subprocess.Popen(["sleep", "600"])
        case _:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
