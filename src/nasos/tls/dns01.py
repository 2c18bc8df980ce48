"""Challenges put into the DNS (RFC 8555 8.4) by whoever can write the zone.

Rules:

* A solver only adds and removes one TXT value under one name; both may come twice, and for several values of one name
  at the same time.
* A program of the user's gets ``present`` or ``cleanup`` and the name as its last two arguments and the value on
  standard input; its environment is a clean one. It runs in a process group of its own, which is ended with it.
* The credential of the DNS is the program's own business: it never passes through here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from nasos.errors import TlsError
from nasos.files import anonymous_file
from nasos.secret import Redactor
from nasos.settings import child_environment

_SHOWN: Final = 200
"""Characters of what a program said."""


@dataclass(frozen=True, slots=True)
class Record:
    """One TXT record of a challenge; public by its nature."""

    name: str
    """``_acme-challenge.<host>``, without a dot at the end."""
    value: str


class Solver(Protocol):
    """Who can write the zone."""

    def present(self, record: Record) -> None:
        """Add the value.

        Raises:
            TlsError: It could not.
        """
        ...

    def cleanup(self, record: Record) -> None:
        """Remove this value and no other; one that is not there is removed already.

        Raises:
            TlsError: It could not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """A `Solver` by a program of the user's."""

    program: Sequence[str]
    """Absolute path and arguments."""
    seconds: float = 120.0
    """Patience with one call."""

    def present(self, record: Record) -> None:
        """See `Solver.present`."""
        self._run("present", record)

    def cleanup(self, record: Record) -> None:
        """See `Solver.cleanup`."""
        self._run("cleanup", record)

    def _run(self, step: str, record: Record) -> None:
        # In memory, and not through a pipe: whatever it leaves running cannot hold us up by keeping one open.
        given, said = anonymous_file("value", f"{record.value}\n".encode()), os.memfd_create("said")
        try:
            code = self._ended([*self.program, step, record.name], given, said)
            if code:
                raise TlsError(
                    f"{self.program[0]} {step} failed for {record.name}: {_told(code, os.pread(said, 1 << 16, 0))}",
                    f"echo value | {' '.join(self.program)} {step} {record.name}",
                )
        finally:
            os.close(given)
            os.close(said)

    def _ended(self, command: Sequence[str], given: int, said: int) -> int:
        try:
            process = subprocess.Popen(
                command, stdin=given, stdout=said, stderr=said,
                env=child_environment(), cwd="/", umask=0o077, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise TlsError(
                f"{command[0]} cannot be started: {reason}", "program under [tls.acme] in nasos.toml names it"
            ) from None
        try:
            return process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            raise TlsError(f"{command[0]} {command[-2]} took longer than {self.seconds:.0f} s") from None
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what it left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _told(code: int, said: bytes) -> str:
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return f"{Redactor().redact(lines[-1])[:_SHOWN]} ({ended})" if lines else ended
