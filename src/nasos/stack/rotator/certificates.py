"""The rotator's look at certificates: renewed when that is due, by a process of its own.

Rules: looking is local and cheap. What is to be done is done before the rotator confines itself, by a process that ends
afterwards: it reads keys, runs nginx's own test and the program that writes the zone, and speaks to a CA, none of which
the rotator may do. A look that fails is said in the log and in the ledger, and keeps no secret from being rotated.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial

from nasos.bot.tether import end_with_parent, seal_memory
from nasos.errors import AlreadyRunning, Error
from nasos.ledger import Ledger, Outcome
from nasos.settings import child_environment
from nasos.stack.acme import maker
from nasos.stack.certificates import issue
from nasos.stack.edge_certificate import EdgeCertificate
from nasos.stack.edge_front import EdgeFront
from nasos.stack.embedded import Stack
from nasos.stack.rotator import origin
from nasos.stack.rotator.duties import Duties
from nasos.tls import State, standings

ACTOR = "rotator"


def look(stack: Stack, duties: Duties) -> None:
    """Have done what is to be done; what goes wrong is told by whoever does it."""
    try:
        wanted = _to_do(stack)
    except Error:
        wanted = True  # what cannot even be read is told there
    if wanted:
        # Its arguments hold no secret, and its output is the rotator's log.
        command = [sys.executable, "-m", "nasos.stack.rotator.certificates", duties.encode()]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=child_environment())


def _to_do(stack: Stack) -> bool:
    tls, now = stack.settings.tls, datetime.now(UTC)
    found = standings(stack.home.tls, tls, now=now)
    if any(each.state is not State.GOOD for each in found if each.issuer == "dev"):
        return True
    if tls.mode == "cloudflare":
        return origin.work_to_do(stack)
    return tls.mode == "acme" and _edge(stack).work_to_do()


def _edge(stack: Stack) -> EdgeCertificate:
    home, settings = stack.home, stack.settings
    front, make = EdgeFront(home, settings), maker(settings.tls.acme, _say)
    return EdgeCertificate(home, settings, make, front, partial(datetime.now, UTC), ACTOR)


def main(duties: Duties) -> None:
    """Renew what is due."""
    seal_memory()
    end_with_parent(os.getppid())
    stack = Stack.existing(duties.settings())
    try:
        for leaf in issue(stack.home, stack.settings, now=datetime.now(UTC), actor=ACTOR):
            if leaf.issued:
                _say(f"{leaf.service} issued ({leaf.reason}), until {leaf.not_after:%Y-%m-%d}")
    except Error as error:
        Ledger(stack.home.ledger, ACTOR).append("tls.issue", "all", Outcome.FAILED, {"why": error.message})
        _say(error.message)
    if stack.settings.tls.mode == "cloudflare":
        origin.renewed(stack, ACTOR, _say)
    if stack.settings.tls.mode == "acme":
        looked = _edge(stack).look(patient=True)
        if looked.chain and looked.issued:
            _say(f"edge issued by ACME ({looked.reason}), until {looked.chain.leaf.not_valid_after_utc:%Y-%m-%d}")


def _say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(Duties.decode(sys.argv[1]))
    except AlreadyRunning:
        pass
    except Error as error:
        _say(f"edge: {error.message}")
