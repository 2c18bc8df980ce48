"""What the launcher needs of Vault, as values and callables: the command line brings the client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from nasos.secret import Secret


class Record(Protocol):
    """One Vault record: its fields, and the KV version that they are."""

    @property
    def fields(self) -> Mapping[str, Secret]:
        """Field name -> value."""
        ...

    @property
    def version(self) -> int:
        """KV v2 version."""
        ...


Records = Mapping[str, Record]
"""Name below ``bots/<bot>/`` (``api``, ``db``, ``exchange``) -> record."""

ReadAll = Callable[[], Records]
"""Every record of the bot, fresh from Vault."""

ReadOne = Callable[[str], Record]
"""One record by its name below ``bots/<bot>/``, fresh from Vault."""
