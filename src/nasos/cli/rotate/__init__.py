"""``nasos rotate``: the flags of the user's document, and what stands behind them.

``flags`` is what the document names, ``units`` works on one secret by name, ``timetable`` on what
is due, ``history`` looks back; ``context`` builds what both work with.
"""

from __future__ import annotations

from nasos.cli.rotate.flags import rotate
from nasos.cli.rotate.history import history
from nasos.cli.rotate.timetable import due, schedule
from nasos.cli.rotate.units import list_, now, resume, rollback

__all__ = ["rotate"]

for _command in (now, rollback, resume, list_, schedule, due, history):
    rotate.add_command(_command)
