"""Delivering: one process per message, fed through a pipe, killed when it takes too long.

Rules: apprise and its hundred services never run in a process that does other work, so nothing hangs, leaks memory or
logs a URL there; started by root the process is another user's; URLs pass through a pipe, never argv or environment.
The answer is per channel; a channel that did not answer in time was not reached. Never raises for a failed delivery.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from nasos.notify.notice import Notice
from nasos.secret import Secret
from nasos.settings import child_environment, child_identity

PATIENCE: Final = 30.0
"""Seconds for a message: loading apprise takes 1 s, 5 s on a busy two-core machine (measured); a receiver gets 8 s."""

PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")


@dataclass(frozen=True, slots=True)
class Channel:
    """Where alerts go."""

    name: str
    url: Secret
    """An apprise URL; it holds the token."""


class Delivery(msgspec.Struct, frozen=True):
    """How it went for one channel."""

    channel: str
    delivered: bool
    reason: str = ""
    """Why not; never a part of the URL."""


class Order(msgspec.Struct, frozen=True):
    """What the process is told, once, on its standard input."""

    title: str
    body: str
    urgency: str
    channels: dict[str, str]


def deliver(
    channels: Sequence[Channel], notice: Notice, *, patience: float = PATIENCE, user: int | None = None
) -> list[Delivery]:
    """Send ``notice`` through every channel, side by side; ``user`` is the uid to do it as (root only)."""
    if not channels:
        return []
    answers, silent = _run(_order(channels, notice), patience, user)
    return [answers.get(channel.name, Delivery(channel.name, delivered=False, reason=silent)) for channel in channels]


def _order(channels: Sequence[Channel], notice: Notice) -> bytes:
    urls = {channel.name: channel.url.reveal() for channel in channels}
    return msgspec.json.encode(Order(notice.title, notice.body, notice.urgency, urls))


def _run(order: bytes, patience: float, user: int | None) -> tuple[dict[str, Delivery], str]:
    """The answers that came, and why the others did not."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "nasos.notify.sender"], input=order, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=patience, check=False, cwd="/", env=child_environment(PROXIES),
            **child_identity(user),
        )  # fmt: skip
        return _answers(done.stdout), "the sender ended without an answer"
    except subprocess.TimeoutExpired as late:  # the process was killed; what it had said before counts
        return _answers(late.stdout or b""), f"no answer within {patience:.0f} s"
    except (OSError, KeyError) as error:
        return {}, f"the sender cannot be started: {type(error).__name__}"


def _answers(output: bytes) -> dict[str, Delivery]:
    answers = {}
    for line in output.splitlines():
        try:
            answer = msgspec.json.decode(line, type=Delivery)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        answers[answer.channel] = answer
    return answers
