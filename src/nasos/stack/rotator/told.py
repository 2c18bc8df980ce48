"""A running rotator is told of other settings, by whoever changed what they say.

Rules: only the rotator is started anew; what else would start in another way now waits for ``nasos up``. A rotation
that it has begun is finished first.
"""

from __future__ import annotations

from nasos.settings import Settings
from nasos.stack.home import Home
from nasos.stack.programs import programs
from nasos.stack.supervisor import Supervisor

NAME = "rotator"


def anew(home: Home, settings: Settings) -> bool:
    """Start it with these settings, where it runs with others; whether that was done.

    Raises:
        StackError: supervisord refuses.
    """
    record, supervisor = home.record(), Supervisor(home)
    if record is None or not supervisor.running():
        return False
    known = supervisor.states()
    if NAME not in known:
        return False
    learned = supervisor.learn([each for each in programs(home, settings, record.ports) if each.name in known])
    if NAME not in learned.stale:
        return False
    supervisor.renew(NAME)
    supervisor.launch(NAME)
    return True
