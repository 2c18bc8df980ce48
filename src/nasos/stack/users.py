"""One uid per service when the stack is run as root; the operator's own uid otherwise.

Rules: root may run the stack, but no service runs as root; the users are ordinary system users without home, shell
or password, made with ``useradd`` once per machine and shared by all its stacks.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import StackError

SERVICES: Final = ("vault", "postgres", "nginx", "bot", "exchange", "alerts", "gateway", "companion")


class Owner(msgspec.Struct, frozen=True):
    """As whom a service's files are touched."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Users:
    """Who runs what."""

    separate: bool
    """Whether each service has a uid of its own (run as root)."""

    @classmethod
    def of_this_process(cls) -> Users:
        """Separate users for root, one for everybody else."""
        return cls(separate=os.geteuid() == 0)

    def name(self, service: str) -> str | None:
        """The system user of a service; None where it runs as the operator."""
        return f"nasos-{service}" if self.separate and service in SERVICES else None

    def uid(self, service: str) -> int | None:
        """The uid of a service; None where it runs as the operator."""
        name = self.name(service)
        return pwd.getpwnam(name).pw_uid if name else None

    def owner(self, service: str) -> Owner | None:
        """As whom a service's files are touched; None where it runs as the operator."""
        name = self.name(service)
        user = pwd.getpwnam(name) if name else None
        return Owner(user.pw_uid, user.pw_gid) if user else None

    def owners(self) -> dict[str, int]:
        """Service -> uid; empty where the operator runs everything, or no stack was ever started by root."""
        try:
            return {name: uid for name in SERVICES if (uid := self.uid(name)) is not None}
        except KeyError:
            return {}

    def key_directory(self) -> Path:
        """Parent of the unseal keys' directories."""
        if self.separate:
            return Path("/etc/nasos")
        config = os.path.expanduser("~/.config")  # noqa: PTH111  Path.home() raises where HOME is unset
        return Path(config) / "nasos"

    def memory_directory(self, session: Path | None) -> Path:
        """Parent of the directories of unseal keys in memory; ``session`` is the user's own place there, if he has one.

        Root has the system's: sudo may leave another user's session in the environment.
        """
        if self.separate:
            return Path("/run/nasos")
        return (session or Path(f"/run/user/{os.geteuid()}")) / "nasos"

    def ensure(self) -> list[str]:
        """Create the missing system users; return their names.

        Raises:
            StackError: ``useradd`` is missing or refuses.
        """
        # Here, with all that they bring along: `nasos run` passes this module on its way to the bot.
        import shutil
        import subprocess

        missing = [name for service in SERVICES if (name := self.name(service)) and not _exists(name)]
        program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if missing and not program:
            raise StackError(
                "run as root, but there is no useradd to make the services' users", "apt-get install passwd"
            )
        for name in missing:
            done = subprocess.run(
                [str(program), "--system", "--no-create-home", "--home-dir", "/nonexistent",
                 "--shell", "/usr/sbin/nologin", "--user-group", name],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode and not _exists(name):
                raise StackError(f"useradd {name} failed: {done.stderr.strip()}", f"useradd --system {name}")
        return missing

    def require_reach(self, paths: list[Path]) -> None:
        """Make sure that the services' users can get to ``paths``.

        Raises:
            StackError: A directory on the way is closed to others; names it and what to do.
        """
        if not self.separate:
            return
        for path in paths:
            for step in (path, *path.parents):
                if step.is_dir() and not step.stat().st_mode & 0o001:
                    raise StackError(
                        f"run as root, each service has a user of its own, and {step} is closed to them",
                        f"put it where others may pass, for example /opt or /srv, or run as an ordinary user "
                        f"(needed: {path})",
                    )


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
