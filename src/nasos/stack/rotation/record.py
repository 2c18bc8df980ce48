"""Each step of a rotation, on record twice: as an event of the ledger, and as a line of ``log/rotate.log``.

Rules: neither holds a value; the log is opened for each line, so that it may be put aside at any moment. A log that
cannot be written stops no rotation half-way: the ledger has the step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from nasos.ledger import Ledger, Outcome
from nasos.rotation.run import Tell
from nasos.stack.home import Home


def recorder(home: Home, actor: str = "rotator") -> Tell:
    """Records in the state directory of this stack."""
    ledger, log = Ledger(home.ledger, actor), home.log / "rotate.log"

    def tell(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        ledger.append(event, target, outcome, detail)
        _log(log, f"{event} {target} {outcome} {' '.join(f'{key}={value!r}' for key, value in detail.items())}")

    return tell


def _log(path: Path, text: str) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{stamp} {text}\n".encode())
        finally:
            os.close(fd)
