"""What the checks look at, built from settings and from what runs; the checks themselves know neither."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Final

from nasos.checks import Housekeeping, Origin, Ports, Process, Target, Watcher
from nasos.cli.cloudflare.looks import front_of
from nasos.cli.context import service_connection
from nasos.cli.rotate.inventory import taken
from nasos.cloudflare.standing import proven
from nasos.errors import SettingsError, TlsError
from nasos.settings import Settings, VaultConnection
from nasos.stack import clock
from nasos.stack.binaries import flaws
from nasos.stack.home import Home, Record
from nasos.stack.housekeeping import state
from nasos.stack.housekeeping.duties import audit_files
from nasos.stack.origin.memory import Stage, recall
from nasos.stack.recorded import recorded_pid
from nasos.stack.users import Users
from nasos.stack.watcher import state as watching
from nasos.stack.watcher.report import silent_seconds

PROGRAMS: Final = (
    "vault", "postgres", "exchange", "bot", "gateway", "nginx", "housekeeping", "watcher", "rotator", "companion",
    "supervisord",
)  # fmt: skip
MOUNTS: Final = Path("/proc/self/mounts")
LASTING: Final = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs")
"""File systems that keep what is written, and on which a log may grow."""


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
        memory_key=home.memory_key(settings, record) if record and settings.vault.seal == "static" else None,
        listen=settings.stack.listen,
        hosts=settings.tls.hosts,
        tls=settings.tls,
        bot=settings.bot,
        gateway=settings.gateway,
        rotation=settings.rotation,
        cloudflare=settings.cloudflare,
        processes=tuple(_processes(home)) if record else (),
        owners=home.users.owners(),
        writes=_writes(home, settings) if record else (),
        ballast_bytes=settings.housekeeping.ballast_mb << 20,
        housekeeping=_housekeeping(home),
        watcher=_watcher(home),
        binaries=flaws if record else None,
        inventory=cache(partial(taken, settings)) if record else None,
        origin=_origin(home) if settings.tls.mode == "cloudflare" else None,
        front=front_of(settings),
        companion=partial(proven, home.run("companion"), strict=True) if settings.cloudflare.table.containers else None,
        other_disks=other_disks(settings.home) if record else (),
    )


def _ports(record: Record) -> Ports:
    ports = record.ports
    return Ports(ports.https, ports.vault, ports.postgres, ports.bot, ports.exchange, ports.gateway)


def _vault(settings: Settings) -> VaultConnection | None:
    try:
        return service_connection(settings, "checker")
    except SettingsError:
        return None


def _writes(home: Home, settings: Settings) -> tuple[Path, ...]:
    audit = [path.parent for path in audit_files(home, settings)]
    return (*audit, home.ledger.parent, home.root / "vault" / "data", home.root / "postgres")


def _housekeeping(home: Home) -> Housekeeping | None:
    known = state.read(home.run("housekeeping"))
    if known is None:
        return None
    age = clock.passed(known.moment, clock.read(datetime.now(UTC), clock.boot()))
    troubles = tuple(f"{each.what}: {each.message}" for each in known.troubles)
    return Housekeeping(age, troubles, bool(known.confined), known.jump)


def _watcher(home: Home) -> Watcher | None:
    directory = home.run("watcher")
    try:
        age = silent_seconds(directory)
    except OSError:
        return None
    known = watching.load(directory)
    return Watcher(age, known.channels or 0, known.failing)


def _origin(home: Home) -> Origin:
    try:
        known = recall(home)
    except TlsError:
        return Origin()  # damaged: nothing of it can be counted on
    return Origin(required=known.stage is Stage.REQUIRED, fetched=known.fetched, pulls_end=known.pulls_end)


def other_disks(home: Path, mounts: Path = MOUNTS) -> tuple[Path, ...]:
    """Where file systems are mounted, writable and lasting, on another device than the state directory's (fstab(5))."""
    found = []
    own = next(path for path in (home, *home.parents) if path.exists()).stat().st_dev
    for line in mounts.read_text().splitlines():
        source, place, kind, options = line.split()[:4]
        path = Path(place.encode("latin-1", "backslashreplace").decode("unicode_escape"))
        lasting = kind in LASTING and source.startswith("/dev/") and not source.startswith("/dev/loop")
        boots = path.is_relative_to("/boot") or path.is_relative_to("/efi")
        if lasting and not boots and "rw" in options.split(",") and _is_directory_elsewhere(path, own):
            found.append(path)
    return tuple(found)


def _is_directory_elsewhere(path: Path, device: int) -> bool:
    try:
        return path.is_dir() and path.stat().st_dev != device
    except OSError:
        return False  # behind a directory of somebody else's: no place for this user's logs


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
