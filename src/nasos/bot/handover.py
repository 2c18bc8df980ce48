"""Secrets for any program: as anonymous files, or in its environment when asked.

Rules: the program replaces us (``execve``), so that nothing of ours stays in memory and signals and exit code are its
own; it gets a clean environment plus what was asked for; a file is sealed, private and gone with the program.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from nasos.errors import BotError, UsageError
from nasos.files import anonymous_file
from nasos.secret import Secret

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SEALED: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Wanted:
    """``VARIABLE=PATH[:FIELD]``: one secret, and the variable that tells the program of it."""

    variable: str
    path: str
    field: str

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Read one option value.

        Raises:
            UsageError: It is not of that form.
        """
        variable, equals, place = text.partition("=")
        path, _, field = place.partition(":")
        if not (equals and path and _VARIABLE.fullmatch(variable)):
            raise UsageError(f"{text!r} is not VARIABLE=PATH or VARIABLE=PATH:FIELD", "--file DB_PASSWORD_FILE=app/db")
        return cls(variable, path, field or "value")


Read = Callable[[str, str], Secret]
"""Path and field -> the secret."""


def by_file(wanted: Sequence[Wanted], read: Read) -> dict[str, str]:
    """Each secret in an anonymous file that the next program inherits; variable -> its path."""
    return {item.variable: _file(item.path, read(item.path, item.field)) for item in wanted}


def by_environment(wanted: Sequence[Wanted], read: Read) -> dict[str, str]:
    """Each secret itself: readable by everything that runs as the same user."""
    return {item.variable: read(item.path, item.field).reveal() for item in wanted}


def become(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by ``argv``.

    Raises:
        UsageError: There is no such program.
        BotError: It cannot be started.
    """
    program = shutil.which(argv[0], path=environment.get("PATH"))
    if program is None:
        raise UsageError(f"there is no program {argv[0]!r}", f"command -v {argv[0]}")
    # Python ignores these two, and an ignored signal stays ignored through exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program, tuple(argv), environment)  # noqa: S606  the operator's own program, without a shell
    except OSError as error:
        raise BotError(f"cannot start {program}: {(error.strerror or '').lower()}", f'"file {program}"') from None


def _file(name: str, value: Secret) -> str:
    written = anonymous_file(f"nasos-{name}"[:200], value.reveal().encode())
    fcntl.fcntl(written, fcntl.F_ADD_SEALS, _SEALED)
    fd = os.open(f"/proc/self/fd/{written}", os.O_RDONLY)
    os.close(written)
    os.set_inheritable(fd, True)
    return f"/proc/self/fd/{fd}"
