"""Which way a request came in: asked for by a path that nobody else can know of, looked for in nginx's own log."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

PROOFS: Final = 10
"""Requests, a second apart, of which one has to come in as it should."""
LOOKS: Final = 20
"""At the log, which is written after the answer."""
TROUBLE: Final = {
    520: "the connection was closed", 521: "the connection was refused", 522: "no connection in time",
    523: "no way to this machine", 525: "no TLS", 526: "a certificate that it does not accept",
}  # fmt: skip
"""Cloudflare's own answers about an origin."""
_NEWEST: Final = 2000
"""Lines of the log that are looked at."""

Line = Mapping[str, object]
"""Of nginx's access log."""


class Flaw(NamedTuple):
    """Why a request does not count."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Witness:
    """Who reads the log."""

    log: Path
    sleep: Callable[[float], None]

    def until_seen(self, host: str, ask: Callable[[str], int | None], good: Callable[[Line], bool]) -> Flaw | None:
        """Ask until a request came in as it should: for a moment after a reload nginx's old workers still answer.

        ``ask`` asks for a path of ``host``, and says the status of the answer where it knows.
        """
        flaw = None
        for number in range(PROOFS):
            if number:
                self.sleep(1)
            flaw = self._flaw(host, ask, good)
            if flaw is None:
                break
        return flaw

    def _flaw(self, host: str, ask: Callable[[str], int | None], good: Callable[[Line], bool]) -> Flaw | None:
        path = f"/.well-known/nasos-{secrets.token_hex(8)}"
        status, line = ask(path), None
        for _ in range(LOOKS):
            line = self._line(path)
            if line is not None:
                break
            self.sleep(0.1)
        if line is None:
            said = f" (Cloudflare says {status}: {TROUBLE[status]})" if status in TROUBLE else ""
            return Flaw(
                f"did not reach nginx{said}", f"does the proxied record of {host} lead here, and is the port open?"
            )
        if not good(line):
            return Flaw(
                "came in without our client certificate", f"is {host} a proxied record? ./nasos cloudflare plan"
            )
        return None

    def _line(self, path: str) -> Line | None:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-_NEWEST:]
        except OSError:
            return None
        for line in reversed(lines):
            if path in line:
                try:
                    found = json.loads(line)
                except ValueError:
                    return None
                return found if isinstance(found, dict) else None
        return None


def trusted(line: Line) -> bool:
    """With a client certificate of a CA that nginx trusts."""
    return line.get("pulled") == "SUCCESS"


def let_in(line: Line) -> bool:
    """The same, and answered."""
    return trusted(line) and line.get("status") != 444
