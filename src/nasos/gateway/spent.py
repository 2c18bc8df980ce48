"""Which one-time codes were used: the newest step of each person, beside the sessions.

Rules: a step counts once, also for two who come at the same instant and after a restart: taking it is one statement.
"""

from __future__ import annotations

from nasos.gateway.storage import Storage


class Spent:
    """The newest used step of each person; safe for many threads."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def take(self, name: str, step: int) -> bool:
        """Use a step up; False: it, or a later one, was used before.

        Raises:
            GatewayError: It cannot be kept; then it must not count either.
        """
        with self._storage.change() as rows:
            taken = rows.execute(
                "INSERT INTO spent_codes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET step = excluded.step "
                "WHERE excluded.step > spent_codes.step",
                (name, step),
            )
            return taken.rowcount == 1
