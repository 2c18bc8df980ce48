"""Which freqtrade the hooks know, and what to say of another.

Rules: judged by what is there, not by the version's name alone, so that a release that changed nothing of it still
works; what is missing is named.
"""

from __future__ import annotations

from typing import Final

from nasos.errors import BotError

KNOWN: Final = "2026.9"
"""The freqtrade release that the hooks were tried with."""


def unfamiliar(what: str, consequence: str = "secrets could not be kept from strategies") -> BotError:
    """The refusal: ``what`` is not there, so ``consequence``."""
    from freqtrade import __version__

    return BotError(
        f"freqtrade {__version__} has no {what} as {KNOWN} has it, so {consequence}",
        f"install freqtrade {KNOWN} in the bot's environment",
    )
