"""The one retry policy: what is worth asking again, how often, and why.

Rules: only what certainly changed nothing is repeated; `OutcomeUnknown` never is. Waiting has a ceiling, so that a
caller with a value at hand (`cache.py`) or a person at a terminal hears the truth soon.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from nasos.errors import RateLimited, VaultError, VaultSealed, VaultStandby, VaultUnreachable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to go on asking."""

    delays: tuple[float, ...]
    """Seconds before each further try; each is spread by a quarter so that many clients do not march in step."""
    patience: Mapping[type[VaultError], int]
    """How many of the delays an error is worth; an error that is not listed is final."""
    ceiling: float
    """Seconds after which no further try begins, however slowly the errors came."""

    def call(self, ask: Callable[[], T]) -> T:
        """The result of ``ask``, or the last error."""
        started = time.monotonic()
        for attempt, delay in enumerate(self.delays):
            try:
                return ask()
            except VaultError as error:
                late = time.monotonic() - started + delay > self.ceiling
                if late or attempt >= self.patience.get(type(error), 0):
                    raise
            time.sleep(delay * random.uniform(0.75, 1.25))  # noqa: S311  spreading load is no cryptography
        return ask()


PATIENT: Final = Retry(
    # 0.1, 0.4, 1.2, 3.0 s elapsed. Measured with OpenBao 2.7: a killed server answers again after 0.13-0.28 s, a
    # cluster has a new leader after 1.5-2.7 s (performance_multiplier 1).
    delays=(0.1, 0.3, 0.8, 1.8),
    patience={
        VaultUnreachable: 4,
        VaultStandby: 4,
        RateLimited: 4,  # quotas are per second by default and OpenBao sends no Retry-After
        VaultSealed: 2,  # auto-unseal follows a start within 0.3 s; a person takes minutes
    },
    ceiling=4.0,
)

ONCE: Final = Retry(delays=(), patience={}, ceiling=0.0)
