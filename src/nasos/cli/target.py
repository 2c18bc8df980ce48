"""What the checks look at, built from settings and from what runs; the checks themselves know neither."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nasos.checks import Ports, Process, Target
from nasos.cli.context import service_connection
from nasos.errors import SettingsError
from nasos.settings import Settings, VaultConnection
from nasos.stack.home import Home, Record
from nasos.stack.recorded import recorded_pid
from nasos.stack.users import SERVICES, Users

PROGRAMS: Final = ("vault", "postgres", "exchange", "bot", "nginx", "housekeeping", "supervisord")


def target(settings: Settings) -> Target:
    """The stack of these settings, as it is now."""
    home = Home(settings.home, Users.of_this_process())
    record = home.record()
    return Target(
        now=datetime.now(UTC),
        home=settings.home,
        project=settings.project,
        places=tuple(dict.fromkeys(place for place in (settings.project, Path.cwd()) if place)),
        ports=_ports(record) if record else None,
        vault=_vault(settings),
        key_file=home.key_path(settings, record) if record and settings.vault.seal == "static" else None,
        listen=settings.stack.listen,
        hosts=settings.tls.hosts,
        bot=settings.bot,
        cloudflare=settings.cloudflare,
        processes=tuple(_processes(home)) if record else (),
        owners=_owners(home),
    )


def _ports(record: Record) -> Ports:
    ports = record.ports
    return Ports(ports.https, ports.vault, ports.postgres, ports.bot, ports.exchange)


def _vault(settings: Settings) -> VaultConnection | None:
    try:
        return service_connection(settings, "checker")
    except SettingsError:
        return None


def _owners(home: Home) -> dict[str, int]:
    """Program -> uid, for the services' users that exist; empty when the operator runs everything."""
    try:
        return {name: uid for name in SERVICES if (uid := home.users.uid(name)) is not None}
    except KeyError:
        return {}  # no stack was ever started by root here


def _processes(home: Home) -> Iterator[Process]:
    """The programs that this stack recorded, and their children: workers, sessions, the bot under its launcher."""
    children = _children()
    for name in PROGRAMS:
        pid = recorded_pid(home, name)
        waiting = [pid] if pid is not None else []
        while waiting:
            current = waiting.pop()
            yield Process(name, current)
            if name != "supervisord":  # its children are the programs themselves
                waiting += children[current]


def _children() -> dict[int, list[int]]:
    """Parent -> children, of all processes that can be seen (proc_pid_stat(5), fields 1 and 4)."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except OSError:
            continue
        children[int(stat.rpartition(")")[2].split()[1])].append(int(path.parent.name))
    return children
