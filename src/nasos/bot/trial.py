"""Records with which the bot ended are put back to the ones before, until Vault holds others. No IO here.

Rules: a record is on trial from the moment when it is to come into use until the bot has shown that it works, or has
run with it for a while; a bot that ends unasked meanwhile is started with the records before. So it is when freqtrade
would refuse the record: a bot that ended for another reason must come back. A first record is left out then.
"""

from __future__ import annotations

from collections.abc import Mapping

from nasos.bot.records import Record, Records


class Trials:
    """Of one launcher."""

    def __init__(self) -> None:
        self._before: dict[str, Record | None] = {}
        self._refused: dict[str, tuple[int, Record | None]] = {}

    def ended(
        self, trial: Mapping[str, Record | None], records: Records, *, unasked: bool, proven: bool
    ) -> dict[str, Record | None]:
        """A run with ``records`` is over, ``trial`` was going on; what is put back, by name; None: left out.

        ``proven``: it ran for long enough that what it was started with is not to blame.
        """
        if proven:
            self._before.clear()
        self._before |= trial
        if not unasked or not self._before:
            return {}
        back = {name: self._before[name] for name in sorted(self._before.keys() & records.keys())}
        self._refused |= {name: (records[name].version, before) for name, before in back.items()}
        self._before.clear()
        return back

    def refuse(self, name: str, record: Record, before: Record | None) -> None:
        """``record`` cannot work: also a start goes on with the one before, or without any."""
        self._refused[name] = (record.version, before)

    def in_use(self, records: Records) -> Records:
        """What to start with when Vault holds ``records``."""
        self._refused = {
            name: it for name, it in self._refused.items() if name in records and records[name].version == it[0]
        }
        kept = {name: self._refused[name][1] if name in self._refused else record for name, record in records.items()}
        return {name: record for name, record in kept.items() if record is not None}
