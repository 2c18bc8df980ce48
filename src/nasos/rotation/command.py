"""A rotator that is the user's own program: one call per step, secrets on its standard input.

Rules:

* The step is the last argument: ``create``, ``set``, ``test``, ``revoke``. One JSON object of records (objects of
  strings) comes on standard input, so that no value is in an argument or in the environment, which is a clean one.
* Exit 0 is yes; 1 is no (``set``, ``test``: not this candidate; ``revoke``: it still works); anything else, a
  signal or too long a time is "could not tell", and the step is done again later: every step may come twice.
* A program's word is held against its own test: what it says it ended must be refused by ``test`` afterwards.
* It runs in a process group of its own, which is ended with it. What it prints on standard error is shown without
  values.
"""

from __future__ import annotations

import base64
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from nasos.errors import CandidateRejected, RotationError, UsageError
from nasos.files import anonymous_file
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Fence
from nasos.secret import MIN_REDACTED_LENGTH, Redactor, Secret
from nasos.settings import child_environment
from nasos.vault.names import field_values

YES: Final = 0
NO: Final = 1
_SHOWN: Final = 300  # characters of what it said
_MOST: Final = 1 << 20  # bytes of what it printed


@dataclass(frozen=True, slots=True)
class Command:
    """A `Rotator` by an external program."""

    program: Sequence[str]
    """Absolute path and arguments."""
    name: str
    """The secret's, for the program and for people."""
    current: Callable[[], Fields]
    """What is stored now."""
    seconds: float = 60.0
    """Patience with one step."""

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`; the program prints the candidate as a JSON object of strings."""
        code, printed, said = self._run("create", current=current)
        if code != YES:
            raise RotationError(f"{self._label('create')} made no candidate: {said}", self._hint)
        candidate = self._parsed(printed)
        if dict(candidate) == dict(current):
            raise RotationError(f"{self._label('create')} printed what is stored already", self._hint)
        return candidate

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`: the record as it was; a target that takes no value of before says no to it."""
        return dict(old)

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`."""
        fence()
        self._agreed("set", candidate=candidate, current=self.current())

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`."""
        self._agreed("test", candidate=candidate)
        return f"{self.program[0]} says that it works"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`: its own test, which must change nothing."""
        return self._works(fields)

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: ``create`` and ``test``, which change nothing by their contract."""
        candidate = self.create(current)
        if not self._works(current):
            raise CandidateRejected(f"{self._label('test')} refuses what is stored")
        if self._works(candidate):
            raise CandidateRejected(
                f"{self._label('test')} accepts what nobody has set: a rotation would prove nothing"
            )
        return (
            f"{self.program[0]} makes a candidate, takes what is stored and refuses what was not set; "
            "set and revoke cannot be tried without doing them"
        )

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`: not told."""
        return 0

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`: asked for only where ``old`` still works, and tested afterwards."""
        if self._works(old):
            if not self._works(kept):
                raise RotationError(f"{self._label('test')} refuses what is current: nothing is ended", self._hint)
            fence()
            code, _, said = self._run("revoke", old=old, kept=kept)
            if code != YES:
                raise RotationError(f"{self._label('revoke')} did not end it: {said}", self._hint)
            if self._works(old):
                raise RotationError(f"{self._label('revoke')} says it is ended, and test still accepts it", self._hint)
        return f"{self.program[0]} refuses the old one"

    def _agreed(self, step: str, **records: Fields) -> None:
        code, _, said = self._run(step, **records)
        if code == NO:
            raise CandidateRejected(f"{self._label(step)} says no: {said}")
        if code != YES:
            raise RotationError(f"{self._label(step)} could not tell: {said}", self._hint)

    def _works(self, fields: Fields) -> bool:
        try:
            self._agreed("test", candidate=fields)
        except CandidateRejected:
            return False
        return True

    def _run(self, step: str, **records: Fields) -> tuple[int, bytes, str]:
        """Exit code (minus the signal, where one ended it), what it printed, and what it said without values."""
        given = msgspec.json.encode({"step": step, "name": self.name, **_revealed(records)})
        # In memory, and not through pipes: whatever it leaves running cannot hold us up by keeping one open.
        stdin, printed, said = anonymous_file("given", given), os.memfd_create("printed"), os.memfd_create("said")
        try:
            code = self._ended([*self.program, step], stdin, printed, said)
            output, errors = (os.pread(fd, _MOST, 0) for fd in (printed, said))
        finally:
            for fd in (stdin, printed, said):
                os.close(fd)
        known = [value for record in records.values() for value in record.values()]
        if step == "create":
            known += _texts(output)
        return code, output, _told(code, errors.decode(errors="replace"), known)

    def _ended(self, command: Sequence[str], stdin: int, stdout: int, stderr: int) -> int:
        try:
            process = subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=stderr,
                env=child_environment(), cwd="/", umask=0o077, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise RotationError(f"{self.program[0]} cannot be started: {reason}", self._hint) from None
        descriptor = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(self.seconds * 1000):
                raise RotationError(f"{self._label(command[-1])} took longer than {self.seconds:.0f} s", self._hint)
        finally:
            os.close(descriptor)
            # Before it is waited for: until then its number, which is the group's, can be nobody else's.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return process.returncode

    def _parsed(self, printed: bytes) -> Fields:
        try:
            made = {name: Secret(value) for name, value in msgspec.json.decode(printed, type=dict[str, str]).items()}
            return field_values(made)
        except msgspec.MsgspecError:
            raise RotationError(f"{self._label('create')} printed no JSON object of strings", self._hint) from None
        except UsageError as error:
            raise RotationError(f"{self._label('create')} printed an impossible record: {error.message}") from None

    def _label(self, step: str) -> str:
        return f"{self.program[0]} {step}"

    @property
    def _hint(self) -> str:
        return f"[rotation.secrets] of nasos.toml names the program of {self.name}; then: nasos rotate resume"


def _revealed(records: Mapping[str, Fields]) -> dict[str, dict[str, str]]:
    return {name: {key: value.reveal() for key, value in record.items()} for name, record in records.items()}


def _texts(printed: bytes) -> list[Secret]:
    """What it may repeat on standard error: the values that it made, as far as they can be told."""
    try:
        return [Secret(value) for value in msgspec.json.decode(printed, type=dict[str, str]).values()]
    except msgspec.MsgspecError:
        return [Secret(line.strip()) for line in printed.decode(errors="replace").splitlines()]


def _told(code: int, said: str, known: Sequence[Secret]) -> str:
    """The last line that it said, without values, also as they are often written."""
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    values = [value.reveal() for value in known if value]
    if any(len(value) < MIN_REDACTED_LENGTH and value in said for value in values):
        return f"{ended}; what it said holds a value too short to be masked"
    written = [Secret(form(value)) for value in values for form in _FORMS]
    lines = [line.strip() for line in Redactor([*known, *written]).redact(said).splitlines() if line.strip()]
    return f"{lines[-1][:_SHOWN]} ({ended})" if lines else ended


_FORMS: Final[tuple[Callable[[str], str], ...]] = (
    lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    lambda value: value.encode().hex(),
    lambda value: quote(value, safe=""),
    lambda value: msgspec.json.encode(value).decode()[1:-1],
)
