"""What an exit of the bot means, when it is started again, and when that is given up. No IO here.

Rules:

* freqtrade exits 0 on a configuration error (measured on 2026.9), so an exit that nobody asked for is a failure
  whatever its code.
* Each failure waits longer than the one before; a bot that ran for a while starts with a clean slate.
* A bot that fails at once, again and again, will not heal by itself: the launcher ends with exit code 3 and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from nasos.errors import EXIT_FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Numbers of the rules above."""

    first_delay: float = 1.0
    """Seconds before the first restart; doubles with each further failure."""
    longest_delay: float = 60.0
    """Seconds that no delay exceeds: an exchange's outage should not cost more than a minute after it."""
    quick: float = 60.0
    """Seconds of running below which an exit counts as a failed start: freqtrade under load needs up to 15 s to
    answer, and its own retries towards an unreachable exchange take a little longer."""
    patience: int = 5
    """Failed starts in a row until the launcher gives up (about 15 s of waiting between them)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One run of the bot is over."""

    status: int
    """As ``os.waitstatus_to_exitcode`` says it: an exit code, or minus the signal that killed it."""
    seconds: float
    asked: bool
    """Whether we told it to stop."""
    anew: bool = False
    """Whether we told it to stop in order to start it again at once."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The launcher is done and exits with ``code``."""

    code: int


@dataclass(frozen=True, slots=True)
class Again:
    """Start the bot again after ``delay`` seconds; ``failures`` failed starts in a row so far."""

    delay: float
    failures: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """``failures`` failed starts in a row: a person has to look."""

    failures: int
    code: int = EXIT_FAILED


def decide(ended: Ended, failures: int, policy: RestartPolicy) -> Leave | Again | GiveUp:
    """What to do after ``ended``, with ``failures`` failed starts in a row before it."""
    if ended.asked:
        return Leave(exit_code(ended.status))
    if ended.anew:
        return Again(0.0, failures)
    failures = failures + 1 if ended.seconds < policy.quick else 1
    if failures >= policy.patience:
        return GiveUp(failures)
    return Again(min(policy.longest_delay, policy.first_delay * 2 ** (failures - 1)), failures)


def exit_code(status: int) -> int:
    """The shell's convention: 128 + N for a process that signal N killed."""
    return 128 - status if status < 0 else status


def explain(status: int) -> str:
    """``status`` in words."""
    if status < 0:
        return f"killed by signal {-status}"
    if status == 0:
        return "exit 0, which freqtrade also says of a configuration that it refuses"
    return f"exit {status}"
