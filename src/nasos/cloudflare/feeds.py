"""Which feed a setting means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nasos.cloudflare.compose_file import ComposeFile
from nasos.cloudflare.engine import Engine
from nasos.cloudflare.feed import Feed
from nasos.errors import SettingsError

EXAMPLE = 'containers = "unix:///var/run/docker.sock" under [cloudflare] in nasos.toml, or a compose file'


def feed_of(where: str | None, project: Path | None, opened: Callable[[], int] | None = None) -> Feed:
    """The Engine at a unix socket, or a compose file; a relative path counts from the project.

    ``opened`` gives a descriptor of that file to who may not open it himself.

    Raises:
        SettingsError: Nobody said, or it is neither.
    """
    if not where:
        raise SettingsError("nobody says where containers are to be looked for", EXAMPLE)
    if where.startswith("unix://"):
        path = Path(where.removeprefix("unix://"))
        if not path.is_absolute():
            raise SettingsError(f"{where} names no absolute path", EXAMPLE)
        return Engine(path)
    if "://" in where:
        raise SettingsError(
            f"{where} is no unix socket: an Engine that listens on a network is everybody's there", EXAMPLE
        )
    return ComposeFile((project or Path.cwd()) / Path(where).expanduser(), opened=opened)
