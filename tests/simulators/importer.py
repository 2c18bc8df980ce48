"""An import, or its undo, in a process of its own that is killed at its N-th step.

``importer.py OPTIONS``: JSON with ``how`` (import | undo), ``die`` (the step to be killed at; 0: never), ``bot``,
``old``, ``desk``, ``vault`` (address, CA, RoleID file), ``server`` (port, CA), ``admin`` (name of a file with the
login). A step is each write to disk, Vault or PostgreSQL; the process is killed before it and after it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nasos import database
from nasos.bot.moving import importing, journal, originals
from nasos.bot.moving.importing import Ground
from nasos.bot.moving.journal import Desk
from nasos.bot.moving.plan import Wish
from nasos.errors import Error
from nasos.secret import Secret
from nasos.settings import AppRole, VaultConnection
from nasos.stack import postgres as pg
from nasos.stack.trade_database import TradeDatabase
from nasos.vault import VaultClient
from simulators.quick_converter import quick_converter

STEPS = 0
DIE = 0


def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, and the end of this process before or after it when its turn has come."""

    def stepped(*args: Any, **kwargs: Any) -> Any:
        tick()
        result = function(*args, **kwargs)
        tick()
        return result

    return stepped


def tick() -> None:
    """One more step."""
    global STEPS  # noqa: PLW0603  this process is one run
    STEPS += 1
    if STEPS == DIE:
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyVault:
    """A client whose every write may be the last."""

    def __init__(self, client: VaultClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return deadly(found) if name in ("write", "forget", "destroy", "delete") else found


class DeadlyDatabase(TradeDatabase):
    """The same for PostgreSQL."""

    def prepare(self) -> None:
        """Killed around it."""
        deadly(super().prepare)()

    def drop(self) -> None:
        """Killed around it."""
        deadly(super().drop)()


def main(options: dict[str, Any]) -> None:
    """One run."""
    global DIE  # noqa: PLW0603  as above
    DIE = options["die"]
    for module in (journal, originals):
        module.atomic_write = deadly(module.atomic_write)  # type: ignore[attr-defined]  # where they look it up
    journal.shutil.rmtree = deadly(journal.shutil.rmtree)  # type: ignore[attr-defined]
    old, bot = Path(options["old"]), options["bot"]
    address, ca_file, credential = options["vault"]
    connection = VaultConnection(address, Path(ca_file), AppRole(role_id="", secret_id_file=Path(credential)))
    client = VaultClient(connection, prefix="nasos")
    server = pg.Server(port=options["server"][0], ca_file=Path(options["server"][1]), data=old)
    admin = database.Login(*_login(Path(options["admin"])))

    def ready() -> None:
        pg.provision(server, admin, bot, pg.bot_login(client, bot))

    target = DeadlyDatabase(server, admin, bot, ready)
    vault: Any = DeadlyVault(client)
    ground = Ground(
        vault=vault,
        target=target,
        convert=deadly(quick_converter(server, admin, bot)),
        append=lambda *_event: None,
        say=lambda _text: None,
        here=old,
    )
    desk = Desk(Path(options["desk"]))
    if options["how"] == "undo":
        importing.undo(ground, desk, discard=False)
    else:
        wish = Wish(bot=bot, configs=(old / "user_data" / "config.json",), env=old / ".env")
        importing.apply(ground, desk, importing.look(ground, desk, wish))
    client.close()


def _login(path: Path) -> tuple[str, Secret]:
    name, _, password = path.read_text().partition("\n")
    return name, Secret(password)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except Error as error:
        sys.stderr.write(f"{type(error).__name__}: {error.message}\n")
        sys.exit(error.exit_code)
