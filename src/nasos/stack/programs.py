"""What runs, and with which command line.

Start order is the order of ``ORDER``: each program needs those before it. Stop order is its own list: nothing new
comes in, then the bot ends with its database and Vault still there.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from nasos.settings import Settings
from nasos.stack.companion.duties import Duties as Following
from nasos.stack.edge import front_door
from nasos.stack.home import Home
from nasos.stack.housekeeping.duties import duties
from nasos.stack.ports import Ports
from nasos.stack.program import Program
from nasos.stack.rotator.duties import SECONDS, Duties
from nasos.stack.verified import command

ORDER: Final = ("vault", "exchange", "postgres", "bot", "gateway", "nginx", "housekeeping", "watcher", "rotator",
                "companion")  # fmt: skip
STOP_ORDER: Final = (
    "companion", "rotator", "nginx", "gateway", "bot", "exchange", "postgres", "vault", "housekeeping", "watcher",
)  # fmt: skip


def programs(home: Home, settings: Settings, ports: Ports) -> list[Program]:
    """All programs of this stack, in start order."""
    known = {
        "vault": _vault(home),
        "postgres": _postgres(home),
        "exchange": _exchange(home, ports),
        "bot": _bot(home, settings),
        "gateway": _gateway(home, settings, ports),
        "nginx": _nginx(home),
        "housekeeping": _housekeeping(home, settings),
        "watcher": _watcher(home),
        "rotator": _rotator(home, settings),
        "companion": _companion(home, settings, ports),
    }
    return [_at_home(known[name], home.run(name)) for name in ORDER if name in wanted(settings)]


def _at_home(program: Program, directory: Path) -> Program:
    """The operator's home is not the service's: libpq, Go and Python would look there for keys and configuration."""
    return replace(program, environment={"HOME": str(directory), **program.environment})


def wanted(settings: Settings) -> tuple[str, ...]:
    """Names of the programs that this configuration needs."""
    asked = {
        "exchange": settings.bot.exchange == "demo",
        "rotator": settings.rotation.service,
        "companion": bool(settings.cloudflare.table.containers),
    }
    return tuple(name for name in ORDER if asked.get(name, True))


def _vault(home: Home) -> Program:
    return Program(
        "vault",
        command("bao", "server", f"-config={home.root / 'vault' / 'config.hcl'}"),
        user=home.users.name("vault"),
        stop_seconds=30,
        reload_signal=signal.SIGHUP,
        # The Go runtime would start with a quarter of the memory that it never needs here.
        environment={"GOMEMLIMIT": "256MiB"},
    )


def _postgres(home: Home) -> Program:
    return Program(
        "postgres",
        command("postgres", "-D", str(home.root / "postgres" / "data")),
        user=home.users.name("postgres"),
        # INT is the fast shutdown: sessions are ended, nothing is lost (PostgreSQL docs, server shutdown).
        stop_signal="INT",
        stop_seconds=30,
        reload_signal=signal.SIGHUP,
    )


def _exchange(home: Home, ports: Ports) -> Program:
    return Program(
        "exchange",
        [sys.executable, "-m", "nasos.stack.demo_exchange", "--port", str(ports.exchange)],
        user=home.users.name("exchange"),
    )


def _bot(home: Home, settings: Settings) -> Program:
    name, directory = settings.bot.name, home.bot(settings.bot.name)
    freqtrade = ["freqtrade", "trade", "--userdir", str(directory / "user_data"), "-c", str(directory / "base.json")]
    # Isolated: the operator's nasos.toml may lie where supervisord is not, and his .env is nobody else's to read.
    options = ["--isolated", "--python", str(settings.bot_python()), "--die-with-parent", "--bot", name]
    return Program(
        "bot",
        [sys.executable, "-m", "nasos", "run", *options, "--", *freqtrade],
        user=home.users.name("bot"),
        # freqtrade ends within 1.5 s, 3 s under load (measured); an order in flight may take longer.
        stop_seconds=40,
        environment={"NASOS_HOME": str(home.root)},
    )


def bot_of(pid: int) -> str | None:
    """The name of the bot that a running launcher was started for; None when it has ended."""
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        return words[words.index("--bot") + 1]
    except (OSError, ValueError):
        return None


def _gateway(home: Home, settings: Settings, ports: Ports) -> Program:
    return Program(
        "gateway",
        [sys.executable, "-m", "nasos.gateway", front_door(home, settings, ports).encode()],
        user=home.users.name("gateway"),
    )


def _nginx(home: Home) -> Program:
    directory = home.root / "nginx"
    nginx = command("nginx", "-p", f"{directory}/", "-c", str(directory / "nginx.conf"))
    return Program(
        "nginx",
        [sys.executable, "-m", "nasos.stack.keeper", *nginx, "-e", str(directory / "error.log")],
        user=home.users.name("nginx"),
        # TERM is the fast shutdown; a graceful one would wait for every open websocket.
        reload_signal=signal.SIGHUP,
    )


def _housekeeping(home: Home, settings: Settings) -> Program:
    return Program(
        "housekeeping",
        [sys.executable, "-m", "nasos.stack.housekeeping", duties(home, settings).encode()],
    )


def _watcher(home: Home) -> Program:
    # No user of its own: it reads the ledgers of two. What it sends out, another user sends.
    return Program(
        "watcher",
        [sys.executable, "-m", "nasos.stack.watcher"],
        listener=True,
        environment={"NASOS_HOME": str(home.root)},
    )


def _rotator(home: Home, settings: Settings) -> Program:
    # No user of its own: it records in the operator's ledger. What waits is a shell, what looks is confined.
    record = home.record()
    told = Duties.of(settings, settings.key_dir or (home.users.key_directory() / record.id if record else None))
    loop, look = Path(__file__).parent / "rotator" / "loop.sh", "nasos.stack.rotator"
    return Program(
        "rotator",
        ["/bin/sh", str(loop), str(SECONDS), sys.executable, "-m", look, told.encode()],
        # A rotation that was begun is finished; killed it would be resumed.
        stop_seconds=90,
    )


def _companion(home: Home, settings: Settings, ports: Ports) -> Program:
    return Program(
        "companion",
        [sys.executable, "-m", "nasos.stack.companion", Following.of(home, settings, ports).encode()],
        user=home.users.name("companion"),
        # A question to Cloudflare that is under way comes to its end.
        stop_seconds=15,
    )
