"""Questions to Cloudflare's API, and changes.

Rules:

* The governor is asked before every request. A wait that Cloudflare asks for is waited, or, when it is longer than our
  patience, said; until it is over nothing goes out.
* What only reads is tried again. What changes something is sent once: it is repeated only when it certainly was not
  done (not sent, or refused for the rate); when its answer is lost, `ChangeUnknown` tells the caller to look.
* An answer that is not the API's (half a document, HTML of a proxy) is no answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeVar

import msgspec

from nasos.cloudflare import refusal
from nasos.cloudflare.answers import Envelope, Page, TokenState
from nasos.cloudflare.governor import Governor
from nasos.cloudflare.wire import API, Heard, NoAnswer, Wire
from nasos.errors import ApiTokenRefused, ChangeUnknown, CloudflareBusy, CloudflareError, CloudflareUnreachable
from nasos.secret import Redactor, Secret

VERIFY: Final = "/user/tokens/verify"
BACKOFF: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the tries of a read; 7.5 s and five tries in all."""
LISTS: Final = 3
"""Tries to read a list that changes meanwhile."""

T = TypeVar("T")


class Identified(Protocol):
    """What a list is made of."""

    @property
    def id(self) -> str:
        """Cloudflare's own name for it."""


Item = TypeVar("Item", bound=Identified)


@dataclass(frozen=True, slots=True)
class Manner:
    """How long a client waits, and by which clock."""

    patience: float = 330.0
    """Seconds that one call may wait because Cloudflare asked; it blocks a user for 300 s at most (its policy)."""
    seconds: float = 30.0
    """For one answer."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Client:
    """Speaks to Cloudflare with one token."""

    def __init__(self, token: Secret, origin: str = API, manner: Manner | None = None) -> None:
        self._manner = manner or Manner()
        self._governor, self._redactor = Governor(), Redactor([token])
        self._wire = Wire(token, origin, self._manner.seconds, self._manner.clock)
        self.calls = 0
        """Requests that went out."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._wire.close()

    def verify(self) -> TokenState:
        """What Cloudflare says of the token.

        Raises:
            ApiTokenRefused: It does not count; or it is an account's own, which this question does not know.
        """
        return self.read(VERIFY, TokenState)

    def read(self, path: str, kind: type[T], **query: str | int) -> T:
        """What stands at ``path``."""
        return _decoded(self._asked("GET", path, query).result, kind)

    def permitted(self, path: str, **query: str | int) -> bool:
        """Whether the token may read what stands at ``path``, which need not be there.

        Raises:
            CloudflareUnreachable: There is no answer.
            CloudflareRefused: What it says tells neither.
        """
        heard = self._heard("GET", path, query)
        envelope = _enveloped(heard)
        if envelope is None:
            raise _foreign(f"status {heard.status}")
        codes = refusal.codes_of(envelope.errors or ())
        if heard.status in {401, 403} or refusal.TOKEN_CODES & set(codes):
            return False
        if (envelope.success and heard.status < 300) or refusal.NO_RULESET in codes:
            return True
        raise refusal.refused(heard.status, codes, self._redactor.redact(refusal.words_of(envelope.errors or ())))

    def change(self, method: str, path: str, kind: type[T], body: object = None, *, need: str = "") -> T:
        """Change something; ``need`` is the permission that it takes, where its path does not tell.

        Raises:
            ChangeUnknown: The answer was lost: look before doing it again.
            CloudflareRefused: Certainly not done.
        """
        envelope = self._asked(method, path, {}, body, need)
        try:
            return _decoded(envelope.result, kind)
        except CloudflareUnreachable:
            raise _lost(method, "its answer cannot be understood") from None

    def every(self, path: str, kind: type[Item], per_page: int, **query: str | int) -> tuple[Item, ...]:
        """All of a list, whole: read anew when it shifts between its pages.

        Raises:
            CloudflareUnreachable: It never was the same from the first page to the last.
        """
        for _ in range(LISTS):
            pages = self._pages(path, kind, per_page, query)
            items = tuple(item for page in pages for item in page.items)
            totals = {page.info.total_count for page in pages}
            if totals == {len(items)} and len({item.id for item in items}) == len(items):
                return items
        raise CloudflareUnreachable(
            "Cloudflare's list changes faster than it can be read; nothing was changed", "run the command again"
        )

    def _pages(self, path: str, kind: type[Item], per_page: int, query: Mapping[str, str | int]) -> list[Page[Item]]:
        pages: list[Page[Item]] = []
        count = 0
        while not pages or (pages[-1].items and count < pages[-1].info.total_count):
            envelope = self._asked("GET", path, {**query, "per_page": per_page, "page": len(pages) + 1})
            if envelope.result_info is None:
                raise _foreign("a list without result_info")
            items: tuple[Item, ...] = _decoded(envelope.result, tuple[kind, ...])  # type: ignore[valid-type]
            pages.append(Page(items, envelope.result_info))
            count += len(items)
        return pages

    def _asked(
        self, method: str, path: str, query: Mapping[str, str | int], body: object = None, need: str = ""
    ) -> Envelope:
        return self._envelope(method, path, self._heard(method, path, query, body), need)

    def _heard(self, method: str, path: str, query: Mapping[str, str | int], body: object = None) -> Heard:
        deadline = self._manner.clock() + self._manner.patience
        left, reads = list(BACKOFF), method == "GET"
        while True:
            self._await_turn(deadline)
            try:
                heard = self._sent(method, path, query, body)
                if heard.status != 429:
                    return heard
                self._governor.hold(self._manner.clock(), heard.patience())
                continue
            except NoAnswer as none:
                if none.sent and not reads:
                    raise _lost(method, none.why) from None
                if not left:
                    raise CloudflareUnreachable(none.why, none.hint) from None
            self._manner.sleep(left.pop(0))

    def _await_turn(self, deadline: float) -> None:
        now = self._manner.clock()
        wait = self._governor.wait(now)
        if 0 < wait > deadline - now:  # tries that took their time asked for no patience
            raise CloudflareBusy(
                f"Cloudflare asks for {wait:.0f} s of patience; nothing is sent before", "run the command again then"
            )
        if wait > 0:
            self._manner.sleep(wait)

    def _sent(self, method: str, path: str, query: Mapping[str, str | int], body: object) -> Heard:
        self._governor.spend(self._manner.clock())
        self.calls += 1
        heard = self._wire.send(method, path, query, body)
        told = heard.headers.get
        self._governor.heard(self._manner.clock(), told("ratelimit", ""), told("ratelimit-policy", ""))
        if heard.status >= 500:
            raise NoAnswer(f"Cloudflare cannot answer now ({heard.status})", sent=True, hint="try again later")
        return heard

    def _envelope(self, method: str, path: str, heard: Heard, need: str) -> Envelope:
        envelope = _enveloped(heard)
        if envelope is None:
            if method == "GET" or heard.status >= 300:
                raise _foreign(f"status {heard.status}")
            raise _lost(method, "its answer cannot be understood")
        if envelope.success and heard.status < 300:
            return envelope
        raise self._refusal(path, heard.status, envelope, need or refusal.needed(method, path))

    def _refusal(self, path: str, status: int, envelope: Envelope, need: str) -> CloudflareError:
        troubles = envelope.errors or ()
        codes, words = refusal.codes_of(troubles), self._redactor.redact(refusal.words_of(troubles))
        if status not in {401, 403} and not refusal.TOKEN_CODES & set(codes):
            return refusal.refused(status, codes, words)
        if path == VERIFY or refusal.MALFORMED & set(codes):
            return refusal.token_refused(codes or (status,), words, need)
        # The codes do not tell a wrong token from one that may too little: another question does.
        try:
            active = self.verify().status == "active"
        except ApiTokenRefused:
            active = False
        wrong = refusal.permission_missing if active else refusal.token_refused
        return wrong(codes or (status,), words, need)


def _enveloped(heard: Heard) -> Envelope | None:
    try:
        return msgspec.json.decode(heard.content, type=Envelope)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise _foreign("a result of another shape") from None


def _lost(method: str, why: str) -> ChangeUnknown:
    return ChangeUnknown(
        f"a change ({method}) could not be confirmed: {why}; it may have been made", "nasos cloudflare plan"
    )


def _foreign(what: str) -> CloudflareUnreachable:
    return CloudflareUnreachable(
        f"what answers for Cloudflare does not speak its language ({what})", "is there a proxy in between?"
    )
