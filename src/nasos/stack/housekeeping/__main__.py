"""The program that supervisord runs: ``python -m nasos.stack.housekeeping DUTIES``.

Rules: it confines itself before its first look, ends with its supervisor, and never ends for a trouble of the moment.
The parent is looked at in each round: the kernel forgets a parent-death signal when the user changes (prctl(2)).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import UTC, datetime

from nasos.bot.sandbox import Confinement, enter
from nasos.errors import Error
from nasos.ledger import Ledger, Outcome
from nasos.stack import clock
from nasos.stack.home import Home
from nasos.stack.housekeeping import state
from nasos.stack.housekeeping.duties import Duties
from nasos.stack.housekeeping.rotate import Tell
from nasos.stack.housekeeping.rounds import Record, Rounds
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users

NICE = 10


def confinement(duties: Duties) -> Confinement:
    """Log directories, our own and the ledger's: there is no key and no credential in them."""
    places = [*duties.disks, *(log.path.parent for log in duties.logs)]
    return Confinement(write=tuple(dict.fromkeys(map(str, places))), bind=(), connect=())


def main(duties: Duties) -> None:
    """Round after round, until a signal ends it."""
    parent = os.getppid()
    os.nice(NICE)
    if os.geteuid() == 0:
        os.setgroups([])  # a service whose user we take must not get ours with it
    boot, ended = clock.boot(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    confined = enter(confinement(duties))
    directory = duties.disks[0]
    moment = clock.read(datetime.now(UTC), boot)
    known = state.read(directory) or state.State(moment=moment, confined=confined)
    known.confined = confined
    home = Home(duties.home, Users.of_this_process())
    rounds = Rounds(duties, known, _teller(Supervisor(home)), _recorder(Ledger(home.ledger, "housekeeping")), _say)
    while True:
        rounds.round(clock.read(datetime.now(UTC), boot))
        state.write(directory, rounds.state)
        if ended.wait(duties.seconds) or os.getppid() != parent:
            return


def _teller(supervisor: Supervisor) -> Tell:
    def tell(program: str, number: int) -> None:
        if program in supervisor.states():
            supervisor.signal(program, number)

    return tell


def _recorder(ledger: Ledger) -> Record:
    def record(target: str, outcome: Outcome, detail: dict[str, str]) -> None:
        ledger.append("host.disk", target, outcome, detail)

    return record


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(Duties.decode(sys.argv[1]))
    except Error as error:
        sys.exit(f"nasos: error: {error.message}")
