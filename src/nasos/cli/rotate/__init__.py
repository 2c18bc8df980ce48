"""``nasos rotate``: the flags of the user's document, and what stands behind them.

``flags`` is what the document names, ``units`` works on one secret by name, ``timetable`` on what is due, ``history``
looks back, ``inventory`` at everything, ``api`` and ``keys`` work on what a person makes at an exchange, ``doctor``
asks whether what is stored works, ``timer`` has systemd do it; ``context`` builds what all work with.
"""

from __future__ import annotations

from nasos.cli.rotate.api import api
from nasos.cli.rotate.doctor import doctor, rehearse
from nasos.cli.rotate.flags import rotate
from nasos.cli.rotate.history import history
from nasos.cli.rotate.inventory import inventory
from nasos.cli.rotate.keys import keys
from nasos.cli.rotate.timer import install_timer
from nasos.cli.rotate.timetable import due, schedule
from nasos.cli.rotate.units import list_, now, resume, rollback

__all__ = ["rotate"]

_TIMETABLE = (schedule, due, history, inventory, install_timer)
for _command in (now, rollback, resume, list_, *_TIMETABLE, api, keys, doctor, rehearse):
    rotate.add_command(_command)
