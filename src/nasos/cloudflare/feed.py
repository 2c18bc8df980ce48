"""Where containers and their labels come from.

Rules: a look is the truth, and whole; a hint says only that it is worth looking now. A look that fails, or that shows
nothing at all, raises: an engine that lost its data, or a file that is being written, is not a machine without
containers, and nobody's records are removed for it.
"""

from __future__ import annotations

from typing import Protocol

from nasos.cloudflare.labels import Container
from nasos.cloudflare.stop import Stop


class Feed(Protocol):
    """The Docker Engine (`engine`), or a compose file (`compose_file`)."""

    @property
    def name(self) -> str:
        """What is looked at, for people."""

    def look(self) -> tuple[Container, ...]:
        """All containers whose labels count now.

        Raises:
            ContainersUnknown: That cannot be told.
        """

    def hinted(self, seconds: float, stop: Stop) -> bool:
        """Wait for a hint, this long at most.

        Raises:
            Stopped: The program is to end.
        """

    def close(self) -> None:
        """End what is open."""
