"""The real rounds as a process of their own, without a supervisor: DUTIES and the pids of the writers as arguments."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from datetime import UTC, datetime

import msgspec

from nasos.ledger import Ledger, Outcome
from nasos.stack import clock
from nasos.stack.housekeeping import state
from nasos.stack.housekeeping.duties import Duties
from nasos.stack.housekeeping.rounds import Rounds


def main(duties: Duties, pids: dict[str, int]) -> None:
    """Rounds until somebody kills us."""

    def tell(program: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[program], number)

    ledger, boot = Ledger(duties.home / "ledger" / "events.jsonl", "housekeeping"), clock.boot()
    known = state.read(duties.disks[0]) or state.State(moment=clock.read(datetime.now(UTC), boot), confined=0)

    def record(target: str, outcome: Outcome, detail: dict[str, str]) -> None:
        ledger.append("host.disk", target, outcome, detail)

    rounds = Rounds(duties, known, tell, record, print)
    while True:
        rounds.round(clock.read(datetime.now(UTC), boot))
        state.write(duties.disks[0], rounds.state)
        time.sleep(duties.seconds)


if __name__ == "__main__":
    main(Duties.decode(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=dict[str, int]))
