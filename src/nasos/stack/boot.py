"""Start at boot: a systemd unit of this stack, a person's own or, as root, the system's.

Rules: the unit holds paths and no secret; it runs ``nasos up``, which goes on where things stand, and at the end
``nasos down``, so that the bot ends before its database. Hardened as far as the programs below allow: each of them
confines itself further. A machine without systemd is told so before anything is written.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nasos.errors import StackError
from nasos.files import atomic_write
from nasos.settings import Settings, child_environment
from nasos.stack.embedded import Stack
from nasos.stack.home import Home, require_spellable
from nasos.stack.seal.opening import protected
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users

RUNNING: Final = Path("/run/systemd/system")
"""Exists where systemd is what booted the machine (sd_booted(3))."""
LINGER: Final = Path("/var/lib/systemd/linger")
"""A file per user whose services start at boot, not at log-in (loginctl(1))."""

SHARED: Final = ("/tmp", "/var/tmp")  # noqa: S108  named, not used
"""What PrivateTmp= replaces (systemd.exec(5))."""

EVERYWHERE: Final = """\
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
"""
# These need a mount namespace of root's; a person's own service manager would refuse or ignore them.
AS_ROOT: Final = """\
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writable}
RuntimeDirectory=nasos
RuntimeDirectoryMode=0711
RuntimeDirectoryPreserve=yes
PrivateTmp={private}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_LEASE CAP_SETGID \\
 CAP_SETUID CAP_SYS_NICE CAP_SYS_PTRACE CAP_SYS_RESOURCE
"""
_UNIT: Final = """\
# Written by nasos up --at-boot; nasos up --no-at-boot removes it. It holds paths and no secret.
[Unit]
Description=nasos: secrets, TLS and supervision of the bot in {home}
Wants=network-online.target
After=network-online.target
RequiresMountsFor={mounts}

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory={place}
{environment}ExecStart={python} -m nasos up
ExecStop={python} -m nasos down
TimeoutStartSec=10min
TimeoutStopSec=3min
{hardening}
[Install]
WantedBy={target}
"""


@dataclass(frozen=True, slots=True)
class Boot:
    """Where the unit of one stack goes."""

    name: str
    path: Path
    as_root: bool

    @classmethod
    def of(cls, stack: Stack, end: str = ".service") -> Boot:
        """One unit per stack, and one for each other ``end``: the stack's id is in the name."""
        as_root, name = os.geteuid() == 0, f"nasos-{stack.record.id}{end}"
        own = Path(os.path.expanduser("~/.config/systemd/user"))  # noqa: PTH111  Path.home() raises without HOME
        return cls(name, (Path("/etc/systemd/system") if as_root else own) / name, as_root)

    def systemctl(self, *words: str) -> None:
        """Tell the service manager.

        Raises:
            StackError: It refuses.
        """
        command = ["systemctl", *([] if self.as_root else ["--user"]), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60,
            env=child_environment(("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")),
        )  # fmt: skip
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1].rstrip(".")
            raise StackError(f"systemd refused: {said[:1].lower()}{said[1:]}", " ".join(command))


def require_systemd(running: Path = RUNNING, *, otherwise: str = "") -> None:
    """Refuse where there is no systemd, before anything is done; ``otherwise`` is how to do without.

    Raises:
        StackError: Says how to do without.
    """
    if not running.is_dir() or shutil.which("systemctl") is None:
        raise StackError(
            "this machine does not run systemd, so nothing can be started at boot by it",
            otherwise or f"have your own init run at boot: {sys.executable} -m nasos up",
        )


def require_unattended(settings: Settings) -> None:
    """Refuse where each start needs a person's passphrase, before anything is done.

    Raises:
        StackError: Says how to do without.
    """
    home = Home(settings.home, Users.of_this_process())
    record = home.record()
    if record and protected(Stack(settings, home, record, Supervisor(home))):
        raise StackError(
            "the unseal key has a passphrase, and at boot there is nobody to give it",
            "./nasos vault seal-key unprotect, or let systemd keep the key: docs/vault.md",
        )


def install(stack: Stack, boot: Boot | None = None) -> list[str]:
    """Write and enable the unit; return what the operator still has to know.

    Raises:
        StackError: systemd refuses, or a path cannot stand in a unit.
    """
    boot = boot or Boot.of(stack)
    boot.path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(boot.path, render(stack, as_root=boot.as_root).encode(), 0o644)
    boot.systemctl("daemon-reload")
    boot.systemctl("enable", boot.name)
    said = [f"starts at boot: {boot.path}"]
    if not boot.as_root and not (LINGER / getpass.getuser()).exists():
        said.append(f"! only after you log in, until you type: sudo loginctl enable-linger {getpass.getuser()}")
    if stack.settings.vault.seal == "shamir":
        said.append('! with seal = "shamir" it waits for a person after each boot: ./nasos vault unseal, ./nasos up')
    return said


def remove(stack: Stack, boot: Boot | None = None) -> list[str]:
    """Disable and remove the unit; what runs is left alone.

    Raises:
        StackError: systemd refuses.
    """
    boot = boot or Boot.of(stack)
    if not boot.path.exists():
        return ["it was not started at boot"]
    boot.systemctl("disable", boot.name)
    boot.path.unlink()
    boot.systemctl("daemon-reload")
    return [f"does not start at boot any more: {boot.path} is removed"]


def render(stack: Stack, *, as_root: bool) -> str:
    """The unit's text.

    Raises:
        StackError: A path has a character that cannot stand in it.
    """
    settings, home = stack.settings, stack.home.root
    second = settings.housekeeping.second_audit_dir
    places = [home, *([Path(second)] if second else [])]
    if settings.vault.seal == "static":
        places.append(stack.home.key_path(settings, stack.record).parent)
    needed = (*places, Path(sys.executable), *([settings.project] if settings.project else []))
    for path in needed:
        require_spellable(path, "a path of the unit")
    listed = " ".join(quoted(path) for path in places)
    return _UNIT.format(
        home=home,
        mounts=listed,
        place=settings.project or home,
        environment="".join(f"Environment={quoted(each)}\n" for each in environment(settings)),
        python=quoted(Path(sys.executable)),
        hardening=hardening(listed, needed, as_root=as_root),
        target="multi-user.target" if as_root else "default.target",
    )


def hardening(writable: str, needed: Sequence[Path], *, as_root: bool) -> str:
    """What the unit is denied; ``needed`` are the paths without which it cannot start."""
    if not as_root:
        return EVERYWHERE
    # A directory of its own over /tmp would hide what is there from the stack (systemd: 203/EXEC, 226/NAMESPACE).
    if any(path.is_relative_to(shared) for path in needed for shared in SHARED):
        return EVERYWHERE + AS_ROOT.format(private="no", writable=f"{writable} /tmp")
    return EVERYWHERE + AS_ROOT.format(private="yes", writable=writable)


def environment(settings: Settings) -> list[str]:
    """Paths only: everything else is read from where it was read now."""
    found = [f"NASOS_HOME={settings.home}"]
    if settings.project:
        found.append(f"NASOS_PROJECT={settings.project}")
    if settings.key_dir:
        found.append(f"NASOS_KEY_DIR={settings.key_dir}")
    if settings.runtime_dir:
        found.append(f"NASOS_RUNTIME_DIR={settings.runtime_dir}")
    return found


def quoted(text: object) -> str:
    """A path or assignment as a unit takes it."""
    # No specifier and no escape can be in it: require_spellable let neither percent nor backslash nor quote pass.
    return f'"{text}"'
