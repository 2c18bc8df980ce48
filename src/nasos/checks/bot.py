"""The bot: that it lives, that its door takes no password, that no secret hangs on its process, that it is confined."""

from __future__ import annotations

import base64
import http.client
import os
import platform
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nasos.bot import unix_sockets
from nasos.bot.api import connection
from nasos.bot.sandbox import TCP, supported
from nasos.checks.edge import SECONDS, get
from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Process, Target
from nasos.errors import Error
from nasos.finding import Severity
from nasos.secret import Redactor

FORBIDDEN: Final = re.compile(
    r"VAULT_TOKEN|VAULT_SECRET_ID|BAO_TOKEN|CLOUDFLARE_API_TOKEN|PGPASSWORD|FREQTRADE__.*"
    r"|.*(?:PASSWORD|PASSWD|_SECRET|SECRET_KEY|API_KEY|_TOKEN)"
)
"""Names of variables that hold secrets; the bot's are ``FREQTRADE__EXCHANGE__SECRET`` and its like."""

_LOGIN_IN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@")


@rule(
    "bot.api-reachable",
    title="The bot's API answers",
    severity=Severity.HIGH,
    why="a freqtrade whose API died may hold open trades that nobody watches",
    fix="./nasos restart bot",
    needs=("vault.reachable",),
)
def api_reachable(target: Target) -> Verdict:
    """Ask the bot itself, without the edge: over TLS, with a certificate that only the bot has."""
    if target.ports is None:
        return Skipped("there is no stack here")
    try:
        line = connection(target.ports.bot, target.ca_file, SECONDS)
        line.request("GET", "/api/v1/ping")
        answer = line.getresponse()
        body = answer.read(1024)
        line.close()
    except ssl.SSLError as error:
        refused = getattr(error, "verify_message", "").lower() or "it does not speak tls"
        return Failed(f"port {target.ports.bot}: {refused}")
    except (OSError, http.client.HTTPException) as error:
        return Failed(f"port {target.ports.bot}: {getattr(error, 'strerror', None) or 'no answer'}".lower())
    if answer.status != http.HTTPStatus.OK or b"pong" not in body:
        return Failed(f"port {target.ports.bot} answers {answer.status}, and not as freqtrade does")
    return Passed("ping, pong, over tls under its own name")


@rule(
    "bot.basic-auth-refused",
    title="The edge refuses passwords everywhere but at the login",
    severity=Severity.HIGH,
    why="freqtrade takes a password on every address and never slows a guesser down; 1,000 guesses took one second",
    fix="./nasos restart nginx",
    needs=("tls.edge-handshake", "bot.api-reachable"),
)
def basic_auth_refused(target: Target) -> Verdict:
    """Knock with a made-up password: the edge must answer itself, not pass it on to the bot."""
    guess = base64.b64encode(b"nobody:made-up").decode()
    status = get(target, "/api/v1/show_config", {"Authorization": f"Basic {guess}"}).status
    if status != http.HTTPStatus.FORBIDDEN:
        return Failed(f"a password reached the bot behind the edge, which answered {status}")
    return Passed("refused by the edge itself")


@rule(
    "bot.secrets-not-in-environ",
    title="No program of the stack carries a secret in its environment or command line",
    severity=Severity.CRITICAL,
    why="both can be read in /proc, are inherited by every child, and end in crash reports and process lists",
    fix="./nasos down && ./nasos up",
)
def secrets_not_in_environ(target: Target) -> Verdict:
    """Names of variables, and shapes of values; a process that lets nobody look into it has nothing to show."""
    if not target.processes:
        return Skipped("no program of the stack runs")
    found = [each for process in target.processes for each in exposed(process)]
    if found:
        return Failed("; ".join(found))
    return Passed(f"{len(target.processes)} processes")


@rule(
    "bot.sandbox",
    title="The bot reaches its own files only",
    severity=Severity.HIGH,
    why="strategy code runs inside the bot; unconfined, it reads and changes whatever the bot's user can",
    fix="./nasos restart bot",
)
def sandbox(target: Target) -> Verdict:
    """Landlock in the kernel, unix sockets that can be refused, and no new privileges for each bot, as on entering."""
    bots = [
        each for each in target.processes if "nasos.bot.entry" in _entries(Path("/proc") / str(each.pid) / "cmdline")
    ]
    if not bots:
        return Skipped("no bot of this stack runs")
    abi = supported()
    if not abi:
        return Failed(
            "this kernel has no landlock, or it is switched off", "boot Linux 5.13 or later with lsm=landlock,..."
        )
    if not unix_sockets.known():
        return Failed(
            f"unix sockets cannot be refused on {platform.machine()}: the bot may open Docker's and the supervisor's",
            "run the stack on x86_64 or aarch64",
        )
    outside = [str(each.pid) for each in bots if not _number(Path("/proc") / str(each.pid), "NoNewPrivs")]
    if outside:
        return Failed(f"started without its sandbox: pid {', '.join(outside)}")
    ports = "files and tcp ports" if abi >= TCP else "files; this kernel cannot limit tcp ports (Linux 6.7)"
    return Passed(f"landlock {abi}: {ports}")


def exposed(process: Process) -> Iterator[str]:
    """What stands in one process's environment or command line; names only, never a value."""
    place, shapes = Path("/proc") / str(process.pid), Redactor()
    where = f"{process.name} (pid {process.pid})"
    for entry in _entries(place / "environ"):
        name, _, value = entry.partition("=")
        if value and (FORBIDDEN.fullmatch(name) or _shown(value, shapes)):
            yield f"{name} in the environment of {where}"
    if any(_shown(argument, shapes) for argument in _entries(place / "cmdline")):
        yield f"a secret on the command line of {where}"


def _entries(path: Path) -> list[str]:
    """The NUL-separated texts of a file in /proc; none when the process is gone or has sealed its memory.

    Raises:
        Error: The process is another user's, so that nothing can be told.
    """
    try:
        return path.read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
    except PermissionError:
        # A sealed process refuses its own user too (PR_SET_DUMPABLE, proc(5)); its files belong to root then.
        if _number(path.parent, "Uid") == os.geteuid():
            return []
        raise Error(f"process {path.parent.name} is another user's", "run the check as root") from None


def _number(process: Path, name: str) -> int:
    """The first number of a line of /proc/PID/status; of ``Uid`` it is the real one."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _shown(text: str, shapes: Redactor) -> bool:
    return shapes.redact(text) != text or bool(_LOGIN_IN_URL.search(text))


RULES: Final = (api_reachable, basic_auth_refused, secrets_not_in_environ, sandbox)
