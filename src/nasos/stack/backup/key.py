"""The unseal key of a restore: where it is while the stack is built, and where it goes.

Rules: a key that came under a passphrase is in plain text on no disk, at no instant, and stays under it; another key
that lies where it goes is kept beside it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nasos.files import atomic_write, read_private
from nasos.settings import Settings
from nasos.stack.backup.staging import Staging
from nasos.stack.embedded import Stack
from nasos.stack.home import Home, Record
from nasos.stack.seal import memory
from nasos.stack.seal.keys import wrapped
from nasos.stack.seal.wrapping import Given
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users


@contextmanager
def room(settings: Settings, staging: Staging, record: Record, keys: Sequence[Given]) -> Iterator[Path]:
    """The key's directory while the stack is built.

    Raises:
        StackError: There is no place in memory for a protected key.
    """
    if not keys or keys[0].protected is None:
        yield staging.key_directory
        return
    final = Home(staging.real, staging.users).memory_key(settings, record).parent
    place = final.with_name(f"{final.name}.restore")
    memory.prepare(place, staging.users)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def place(settings: Settings, record: Record, key: Given, users: Users, stamp: str) -> None:
    """The key where the restored stack looks for it, as it was given."""
    home = Home(settings.home, users)
    memory.forget(Stack(settings, home, record, Supervisor(home)))  # of another time
    path, owner = home.prepare_key_directory(settings, record), users.uid("vault")
    target = path if key.protected is None else wrapped(path)
    for there, same in ((path, key.content), (wrapped(path), key.protected)):
        if not there.exists():
            continue
        if read_private(there, owner=owner) == same:
            return
        there.rename(there.with_name(f"{there.name}.before-{stamp}"))
    atomic_write(target, key.protected or key.content, owner=owner)
