"""What launcher and bot say to each other, over a socket pair that only the two of them have.

Rules:

* Both ends may ask, and every question gets one answer or none in time; an answer that comes too late is dropped.
* One message is one packet (``SOCK_SEQPACKET``): nothing is ever half a frame. What cannot be understood is dropped.
* Neither end waits for the other to read: a peer that lets the socket fill up is unreachable, not an obstacle.
* Values travel as `Secret` on both sides of the wire; no ``repr`` shows one.

The bot's end is in the hands of strategy code too (one process), so the launcher answers it only with what that
process holds anyway: the records of this one bot. docs/run.md says so.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from nasos.errors import BotError, Error
from nasos.secret import Secret

LONGEST: Final = 128 << 10
"""Bytes of one packet; the kernel's default socket buffer holds 208 KiB (net.core.wmem_default)."""


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Bot: I load my configuration, give me its secret part."""


class Certify(msgspec.Struct, frozen=True, tag="certify"):
    """Bot: my API is about to listen, give me its certificate."""


class Swap(msgspec.Struct, frozen=True, tag="swap"):
    """Launcher: from now on the API takes these, and nothing of before."""

    api: dict[str, Secret]
    """Fields of the records ``api`` and ``jwt``."""


class Document(msgspec.Struct, frozen=True, tag="document"):
    """Launcher: the secret part of the configuration."""

    json: Secret


class Certificate(msgspec.Struct, frozen=True, tag="certificate"):
    """Launcher: certificate chain and key of the API. As an answer, or as an order when they were renewed."""

    pem: Secret


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It was done."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It was not."""

    reason: str


Message: TypeAlias = Load | Certify | Swap | Document | Certificate | Done | Refused
Reply: TypeAlias = Callable[[Message], Message]
"""Answers a question of the other end; an ``Error`` becomes ``Refused``."""


class _Frame(msgspec.Struct, frozen=True, array_like=True):
    number: int
    answer: bool
    body: Message


def _encode_hook(value: Any) -> str:  # noqa: ANN401  msgspec's own signature
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _decode_hook(kind: type, value: Any) -> Any:  # noqa: ANN401  msgspec's own signature
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_encode_hook)
_DECODER: Final = msgspec.json.Decoder(_Frame, dec_hook=_decode_hook)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, neither inheritable."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Line:
    """One end, and the thread that answers what the other end asks."""

    def __init__(self, end: socket.socket, reply: Reply) -> None:
        self._end = end
        self._reply = reply
        self._asking = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: queue.SimpleQueue[tuple[int, Message]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="orders", daemon=True)

    def start(self) -> None:
        """Listen, in a thread of its own until the other end is gone."""
        self._thread.start()

    def close(self) -> None:
        """Hang up; the descriptor is closed once the thread has let go of it."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(2)
        self._end.close()

    def ask(self, question: Message, seconds: float) -> Message:
        """The other end's answer.

        Raises:
            BotError: It refuses, is gone, or says nothing in time.
        """
        with self._asking:
            number = next(self._numbers)
            self._send(_Frame(number, answer=False, body=question))
            answer = self._answer_to(number, seconds)
        if isinstance(answer, Refused):
            raise BotError(answer.reason)
        return answer

    def _answer_to(self, number: int, seconds: float) -> Message:
        import time

        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0 and not self._closed.is_set():
            with contextlib.suppress(queue.Empty):
                found, answer = self._answers.get(timeout=min(remaining, 1.0))
                if found == number:
                    return answer
        raise BotError("the other end of the bot's order line does not answer", "nasos restart bot")

    def _send(self, frame: _Frame) -> None:
        packet = _ENCODER.encode(frame)
        if len(packet) > LONGEST:
            raise BotError(f"the bot's records are {len(packet)} bytes together, {LONGEST} fit", "nasos secret list")
        try:
            self._end.send(packet, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise BotError(f"the bot's order line is broken: {reason}", "nasos restart bot") from None

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while packet := self._end.recv(LONGEST + 1):
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    self._take(_DECODER.decode(packet))
        self._closed.set()

    def _take(self, frame: _Frame) -> None:
        if frame.answer:
            self._answers.put((frame.number, frame.body))
            return
        try:
            body = self._reply(frame.body)
        except Error as error:
            body = Refused(error.message)
        except Exception as error:  # noqa: BLE001  a mistake of ours must not make the line deaf
            body = Refused(f"unexpected {type(error).__name__}")
        with contextlib.suppress(BotError):  # whoever asked does not listen any more
            self._send(_Frame(frame.number, answer=True, body=body))
