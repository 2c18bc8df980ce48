"""One look, then the end: ``python -m nasos.stack.rotator DUTIES``, started by ``loop.sh``.

Rules: it confines itself before it reads a credential, and dies with the loop that waits for it. What cannot be done
now is said and kept for ``nasos status``. A look that could not be taken at all ends with `AGAIN`, and the loop starts
the next one after 30 s instead of five minutes: a Vault that is away or sealed is asked no more often than that, and
is well again soon after it is back. A look that came to its end, but not with every secret, is repeated that soon
once, and then in its turn: each try is on record. ``/proc`` as a whole is given to it: whether the bot lives, and
whether another rotator does, is read there. Where ``[rotation.secrets]`` names a program of the user's own there is no
sandbox: nobody knows what that program needs.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from nasos.bot.sandbox import Confinement, enter
from nasos.bot.tether import end_with_parent, seal_memory
from nasos.errors import Error
from nasos.ledger import named
from nasos.rotation.history import OPEN, history
from nasos.stack import clock
from nasos.stack.embedded import Stack
from nasos.stack.rotator import certificates, state
from nasos.stack.rotator.duties import Duties
from nasos.vault.bootstrap import Files

ACTOR = "rotator"
AGAIN = os.EX_TEMPFAIL
"""Exit code of a look that is to be repeated soon."""


def confinement(stack: Stack) -> Confinement:
    """What it reads, and what it writes."""
    home, own = stack.home, stack.settings.rotation.secrets.values()
    authorities = [str(Path(each.ca_file).expanduser()) for each in own if each.ca_file]
    config = Path(stack.settings.project or "/", stack.settings.bot.config or "")
    lock = Files.below(home.root).lock  # held by whoever replaces a credential
    # The exchange is asked about a key whose replacement was left open.
    ports = (stack.ports.vault, stack.ports.postgres, stack.ports.bot, stack.ports.exchange, 443)
    return Confinement(
        read=(
            "/proc",
            *authorities,
            *([str(config)] if stack.settings.bot.config else []),
            *map(str, (home.record_path, home.tls, home.run("bot"))),
        ),
        write=tuple(map(str, (home.ledger.parent, home.log, home.run("rotator"), home.credentials, lock))),
        bind=(),
        connect=(*ports, *(each.port for each in own if each.port)),
    )


def confined(stack: Stack) -> int:
    """Enter the sandbox, where no program of the user's own has to be run; the ABI that does it, else 0."""
    if any(each.rotator == "command" for each in stack.settings.rotation.secrets.values()):
        return 0
    return enter(confinement(stack))


def main(duties: Duties) -> int:
    """Look, and do what is to be done; the exit code says when to look again."""
    seal_memory()
    end_with_parent(os.getppid())
    stack = Stack.existing(duties.settings())
    certificates.look(stack, duties)
    abi = confined(stack)
    directory = stack.home.run("rotator")
    before, now = state.read(directory), datetime.now(UTC)
    after = before
    if after is None or state.has_to_ask(after, now, duties.digest, left_open=_left_open(stack, now)):
        after = _asked(stack, before)
    looked = datetime.now(UTC)
    moment = clock.read(looked, clock.boot())
    state.write(directory, structs.replace(after, looked=looked, moment=moment, confined=abi, duties=duties.digest))
    return AGAIN if soon(before, after) else os.EX_OK


def soon(before: state.State | None, after: state.State) -> bool:
    """Whether the next look is to be in 30 s: this one was none, or it is the first one with an error."""
    if not after.error:
        return False
    was_none = before is not None and after.asked == before.asked  # nobody was asked
    return was_none or before is None or not before.error


def _left_open(stack: Stack, now: datetime) -> bool:
    """Whether the ledger knows of a young rotation without an end: somebody was killed, or is at work.

    An older one was looked at since: it had no journal, or it is an error that is kept.
    """
    found = history(named(stack.home.ledger, "rotation.", recent=True))
    begun = [datetime.fromisoformat(past.began) for past in found if past.outcome == OPEN and past.began]
    return any(abs(now - moment) < state.ASK_AGAIN for moment in begun)


def _asked(stack: Stack, before: state.State | None) -> state.State:
    from nasos.stack.rotation import engine
    from nasos.stack.rotation.due import Look
    from nasos.stack.rotation.record import recorder

    now = datetime.now(UTC)
    try:
        with stack.vault("rotator") as vault:
            rotating = engine(stack, vault, recorder(stack.home, ACTOR), wait=0.0)
            looked = Look(rotating, stack.settings.rotation, stack.home.ledger, ACTOR).all()
    except Error as error:
        _say(error.message)
        return structs.replace(before or state.State(looked=now), error=error.message)
    for result in looked.results:
        _say(f"{result.unit} {result.end}" + f": {result.failure}" * bool(result.failure))
    for failed in looked.errors:
        _say(failed.message)
    coming = min(((line.next, line.name) for line in looked.lines if line.next and line.policy.automatic), default=None)
    return state.State(
        looked=now,
        asked=now,
        next=coming[0] if coming else None,
        name=coming[1] if coming else "",
        secrets=len(looked.lines),
        overdue=tuple(line.name for line in looked.overdue),
        error="; ".join(failed.message for failed in looked.errors),
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(Duties.decode(sys.argv[1])))
    except Error as error:
        sys.exit(f"nasos: error: {error.message}")
