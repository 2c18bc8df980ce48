"""Which records a bot is started with after it ended with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nasos.bot.trial import Trials
from nasos.secret import Secret


@dataclass(frozen=True)
class Record:
    """A version of something."""

    version: int
    fields: Mapping[str, Secret] = field(default_factory=dict)


OLD, NEW, NEWER = Record(1), Record(2), Record(3)


def test_what_the_bot_ended_with_is_put_back_until_vault_holds_another() -> None:
    """Its version is skipped for every further start; the next version is not."""
    trials = Trials()
    assert trials.ended({"exchange": OLD}, {"exchange": NEW}, unasked=True, proven=False) == {"exchange": OLD}
    assert trials.in_use({"exchange": NEW}) == {"exchange": OLD}
    assert trials.in_use({"exchange": NEW}) == {"exchange": OLD}
    assert trials.in_use({"exchange": NEWER}) == {"exchange": NEWER}
    assert trials.in_use({"exchange": NEW}) == {"exchange": NEW}


def test_a_bot_that_was_stopped_proves_nothing_against_its_records() -> None:
    """Neither does one that ended with nothing on trial."""
    trials = Trials()
    assert not trials.ended({"exchange": OLD}, {"exchange": NEW}, unasked=False, proven=False)
    assert trials.in_use({"exchange": NEW}) == {"exchange": NEW}
    assert not Trials().ended({}, {"exchange": NEW}, unasked=True, proven=False)


def test_a_trial_goes_on_over_a_restart() -> None:
    """A bot that is started anew with the record and ends soon is put back; one that ran for a while is not."""
    soon, late = Trials(), Trials()
    for trials in (soon, late):
        assert not trials.ended({"telegram": OLD}, {"telegram": NEW}, unasked=False, proven=False)
    assert soon.ended({}, {"telegram": NEW}, unasked=True, proven=False) == {"telegram": OLD}
    assert not late.ended({}, {"telegram": NEW}, unasked=True, proven=True)


def test_a_refused_record_is_not_started_with() -> None:
    """And one that is gone from Vault is not brought back."""
    trials = Trials()
    trials.refuse("api", NEW, OLD)
    assert trials.in_use({"api": NEW, "exchange": NEW}) == {"api": OLD, "exchange": NEW}
    assert trials.in_use({"exchange": NEW}) == {"exchange": NEW}


def test_a_first_record_with_which_the_bot_ended_is_left_out() -> None:
    """There is none to go back to; a second version is tried again, and the others are as they were."""
    trials = Trials()
    held = {"exchange": OLD, "telegram": OLD}
    assert trials.ended({"telegram": None}, held, unasked=True, proven=False) == {"telegram": None}
    assert trials.in_use(held) == {"exchange": OLD}
    assert trials.in_use(held | {"telegram": NEW}) == {"exchange": OLD, "telegram": NEW}


def test_a_first_record_that_cannot_work_is_left_out() -> None:
    """A field that freqtrade does not know would end the launcher at the next start."""
    trials = Trials()
    trials.refuse("telegram", NEW, None)
    assert trials.in_use({"exchange": OLD, "telegram": NEW}) == {"exchange": OLD}
