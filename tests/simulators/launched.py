"""What tests of the launcher hold: planted secrets, a Vault in the hand, a launcher process and what it left behind."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from nasos.ledger import Event, read
from nasos.tls import issue_all

SIMULATORS = Path(__file__).resolve().parent
T = TypeVar("T")

API = {
    "username": "nasos",
    "password": "planted-api-password-7Q",
    "ws_token": "planted-websocket-token-3X",
}
JWT = {"jwt_secret_key": "planted-jwt-secret-key-with-more-than-32-characters"}
LOGIN = API | JWT
"""What freqtrade's section holds: both records."""
EXCHANGE = {"key": "planted-exchange-key-5R", "secret": "planted-exchange-secret-9W"}
DATABASE = {"username": "testbot_a", "password": "planted-database-password-2M", "role": "a"}
SECOND_LOGIN = {"username": "testbot_b", "password": "planted-second-password-6T", "role": "b"}
TOKEN = "planted-vault-token-8K"
PLANTED = [
    value for fields in (API, JWT, EXCHANGE, DATABASE) for value in fields.values() if value.startswith("planted")
]


def traces(text: bytes, values: Sequence[str] = (*PLANTED, TOKEN)) -> set[str]:
    """Which of ``values`` are in ``text``, plain or as base64, hexadecimal or URL-escaped."""
    return {value for value in values for form in _forms(value) if form in text}


def _forms(value: str) -> list[bytes]:
    raw = value.encode()
    # The last base64 characters depend on what follows; the ones before do not.
    return [raw, base64.b64encode(raw)[:-4], raw.hex().encode(), quote(value, safe="").encode()]


def eventually(look: Callable[[], T], seconds: float = 30) -> T:
    """What ``look`` gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


class HeldVault:
    """The records that a launcher under test reads; empty means that Vault does not answer."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("vault")
        self.records: dict[str, dict[str, Any]] = {}

    def put(self, name: str, fields: Mapping[str, str]) -> None:
        """Write the next version of a record."""
        version = self.records.get(name, {}).get("version", 0) + 1
        self.records[name] = {"version": version, "fields": dict(fields)}
        self.answer()

    def answer(self) -> None:
        """Be there."""
        content = json.dumps(self.records).encode()
        os.pwrite(self.fd, content.ljust(1 << 16), 0)

    def vanish(self) -> None:
        """Do not answer any more."""
        os.pwrite(self.fd, b" " * (1 << 16), 0)


@dataclass
class Launched:
    """One launcher process."""

    process: subprocess.Popen[bytes]
    home: Path
    report_file: Path
    out: Path
    error: Path
    pids: set[int] = field(default_factory=set)

    def reports(self) -> list[dict[str, Any]]:
        """What each start of the bot found."""
        lines = self.report_file.read_text().splitlines() if self.report_file.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        self.pids |= {report["pid"] for report in found}
        return found

    def first(self) -> dict[str, Any]:
        """The report of the first start, once it is there and the bot is ready."""
        eventually(lambda: b"ready" in self.out.read_bytes())
        return self.reports()[0]

    def events(self) -> list[Event]:
        """The ledger."""
        return list(read(self.home / "ledger" / "events.jsonl"))

    def stop(self, number: int = signal.SIGTERM, patience: float = 30) -> int:
        """Signal it; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(patience)


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Start:
    """Starts launchers, and kills what is left of them."""

    def __init__(self, directory: Path, vault: HeldVault, python: Path) -> None:
        self._directory = directory
        self._vault = vault
        self._python = python
        self._launched: list[Launched] = []
        self.home = directory / "home"
        """State directory of the launchers."""
        self.home.mkdir(mode=0o700, parents=True)
        (self.home / "tls").mkdir()
        issue_all(self.home / "tls", ["localhost"], now=datetime.now(UTC))
        (self.home / "base.json").write_text('{"max_open_trades": 3, // mine\n}')

    def __call__(
        self, act: str = "hang", subcommand: str = "trade", wrapper: tuple[str, ...] = (), **options: Any
    ) -> Launched:
        """Start one; ``options`` are those of ``simulators/launcher.py``."""
        report = self._directory / f"report-{len(self._launched)}"
        words = ["-c", str(self.home / "base.json"), "--report", str(report), "--act", act]
        defaults = {"home": str(self.home), "python": str(self._python), "vault": self._vault.fd}
        options = {**defaults, "words": ["freqtrade", subcommand, *words], **options}
        out, error = (self._directory / f"{name}-{len(self._launched)}" for name in ("out", "error"))
        with out.open("wb") as stdout, error.open("wb") as stderr:
            process = subprocess.Popen(
                [*wrapper, sys.executable, str(SIMULATORS / "launcher.py"), json.dumps(options)],
                stdout=stdout, stderr=stderr, pass_fds=[self._vault.fd],
                env={**os.environ, "VAULT_TOKEN": TOKEN, "SOMETHING_OF_MINE": "1"},
            )  # fmt: skip
        self._launched.append(Launched(process, self.home, report, out, error))
        return self._launched[-1]

    def end(self) -> None:
        """Kill launchers and bots."""
        for one in self._launched:
            one.reports()
            one.process.kill()
            one.process.wait()
            for pid in filter(alive, one.pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
