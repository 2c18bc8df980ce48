"""The line between launcher and bot, both ends in one process: answers, refusals, nonsense, silence."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from nasos.bot.change import RELOADS, ways
from nasos.bot.orders import LONGEST, Document, Done, Line, Load, Message, Reply, Swap, pair
from nasos.bot.supply import Supply
from nasos.errors import BotError
from nasos.secret import Secret

VALUE = "planted-on-the-line-2C"


def refuse(_: Message) -> Message:
    """What an end says that answers nothing."""
    raise BotError("not today")


@contextmanager
def ends(launcher: Reply = refuse, bot: Reply = refuse) -> Iterator[tuple[Line, Line, socket.socket]]:
    """Launcher's end, bot's end, and the bot's socket itself."""
    ours, theirs = pair()
    lines = Line(ours, launcher), Line(theirs, bot)
    for line in lines:
        line.start()
    try:
        yield *lines, theirs
    finally:
        for line in lines:
            line.close()


def test_both_ends_ask_and_are_answered() -> None:
    """Also at the same time, and a secret arrives as one."""
    with ends(lambda _: Document(Secret(VALUE)), lambda _: Done()) as (launcher, bot, _):
        ordered = threading.Thread(target=lambda: launcher.ask(Swap({"password": Secret(VALUE)}), 30))
        ordered.start()
        answer = bot.ask(Load(), 30)
        ordered.join(30)
    assert isinstance(answer, Document)
    assert answer.json == Secret(VALUE)


def test_no_repr_shows_a_value() -> None:
    """Of none of the messages that carry one."""
    assert VALUE not in repr((Document(Secret(VALUE)), Swap({"password": Secret(VALUE)})))


def test_a_refusal_is_told_and_a_mistake_of_ours_too() -> None:
    """The reason of an ``Error``, the kind of any other exception; the line goes on."""

    def fail(_: Message) -> Message:
        raise ZeroDivisionError

    with ends(refuse, fail) as (launcher, bot, _):
        with pytest.raises(BotError, match="not today"):
            bot.ask(Load(), 30)
        with pytest.raises(BotError, match="unexpected ZeroDivisionError"):
            launcher.ask(Load(), 30)


@pytest.mark.parametrize(
    "packet", [b"x", b"[]", b'[1,false,{"type":"made-up"}]', b"[" * 5000, b"\xff\xfe", b'[9,true,{"type":"done"}]']
)
def test_nonsense_does_not_make_the_launcher_deaf(packet: bytes) -> None:
    """Whatever strategy code sends: the next question is answered."""
    with ends(lambda _: Done()) as (_, bot, raw):
        raw.send(packet)
        assert bot.ask(Load(), 30) == Done()


def test_a_silent_end_is_given_up() -> None:
    """After the seconds; at once when it lets its socket fill up, and when it hangs up."""
    ours, theirs = pair()
    line = Line(ours, refuse)
    line.start()

    def said(seconds: float) -> str:
        with pytest.raises(BotError) as caught:
            line.ask(Load(), seconds)
        return caught.value.message

    assert "does not answer" in said(0.05)
    assert any("order line is broken" in said(0.0) for _ in range(10_000))
    theirs.close()
    assert "order line is broken" in said(600)
    line.close()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next() -> None:
    """Questions are numbered."""
    may_answer = threading.Event()

    def late(question: Message) -> Message:
        if isinstance(question, Load):
            may_answer.wait(30)
            return Document(Secret(VALUE))
        return Done()

    with ends(late) as (_, bot, _):
        with pytest.raises(BotError, match="does not answer"):
            bot.ask(Load(), 0.05)
        may_answer.set()
        assert bot.ask(Swap({}), 30) == Done()


def test_what_does_not_fit_is_said() -> None:
    """Before anything is sent."""
    with ends() as (launcher, _, _), pytest.raises(BotError, match="bytes together"):
        launcher.ask(Document(Secret("x" * LONGEST)), 30)


@dataclass(frozen=True)
class Record:
    """A version of something."""

    version: int
    fields: dict[str, Secret] = field(default_factory=dict)


def test_the_state_to_come_back_to_is_given_once() -> None:
    """And only one that freqtrade knows; every load after the first is told."""
    told: list[int] = []
    supply = Supply({"discord": Record(1, {"webhook_url": Secret(VALUE)})}, None, loaded=told.append)

    def given() -> str:
        answer = supply.answer(Load())
        assert isinstance(answer, Document)
        return answer.json.reveal()

    supply.keep_state("stopped")
    assert '"initial_state": "stopped"' in given()
    assert "initial_state" not in given()
    supply.keep_state("reload_config")
    assert "initial_state" not in given()
    assert told == [2, 3]


def test_a_record_that_freqtrade_would_refuse_is_not_supplied() -> None:
    """The one before stays."""
    supply = Supply({"discord": Record(1, {"webhook_url": Secret(VALUE)})}, None)
    with pytest.raises(BotError, match="does not know"):
        supply.replace("discord", Record(2, {"webhook": Secret("x")}))
    assert supply.records["discord"].version == 1


def test_the_gentlest_way_comes_first() -> None:
    """A swap for the API's credentials, a reload for what was there before, a new process when neither is left."""
    assert list(ways("api", 1, known=True)) == ["swap", "reload", "restart"]
    assert list(ways("exchange", 1, known=True)) == ["reload", "restart"]
    assert list(ways("telegram", 1, known=False)) == ["restart"]
    assert list(ways("exchange", RELOADS, known=True)) == ["restart"]
