"""A value that cannot be printed, and the filter that catches what slipped past.

Invariants:

* ``repr`` is ``Secret(...)``; ``str``, ``format``, pickling and JSON refuse.
* Equality takes constant time; a ``Secret`` is equal to a ``Secret`` only.
* ``reveal()`` is the one way out; where it may stand is listed in ARCHITECTURE.md and kept by a test.

CPython cannot promise that a ``str`` is wiped from memory; this class guards against printing, not against
reading the process (ARCHITECTURE.md, honest limits).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    import logging

REDACTED: Final = "[redacted]"

# Shorter values would redact ordinary words; a secret this short is refused where we generate them.
MIN_REDACTED_LENGTH: Final = 6

# Shapes that are secret whoever issued them: Vault and OpenBao tokens, JWTs, PEM private keys, tokens in URLs.
_SHAPES: Final = re.compile(
    r"\b(?:hv[sbr]|s|b|r)\.[A-Za-z0-9_-]{24,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"  # also when cut off
    r"|\bnasosr?_[0-9A-Za-z]{49}\b"  # the gateway's own
    r"|(?<=[?&]token=)[^&\s\"']+"
    r"|(?<!\d)\d{8,10}:AA[A-Za-z0-9_-]{33}"  # Telegram, also as /bot<token>/ in a URL
)


class Secret:
    """A string that no printing, logging or serializing shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            del value  # a traceback with locals would show it
            raise TypeError("a Secret holds a str")
        object.__setattr__(self, "_value", value)

    @classmethod
    def random(cls, nbytes: int = 32) -> Secret:
        """A fresh URL-safe value with ``nbytes`` bytes of entropy from the kernel.

        It never parses as a number or a boolean: freqtrade's environment parser would turn such a value
        into an int or a float and lose it (freqtrade issues 8100, 8101).
        """
        import secrets

        return cls("k" + secrets.token_urlsafe(nbytes))

    def reveal(self) -> str:
        """The value itself. The only way out."""
        return self._value  # type: ignore[attr-defined, no-any-return]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret is immutable")

    def __repr__(self) -> str:
        return "Secret(...)"

    def __str__(self) -> NoReturn:
        raise TypeError("a Secret refuses str(); use reveal() where it may stand")

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError("a Secret refuses formatting; use reveal() where it may stand")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret refuses pickling and copying into other processes")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret refuses to hand out its state")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # surrogatepass: a UnicodeEncodeError would carry the value.
        mine, theirs = (secret.reveal().encode("utf-8", "surrogatepass") for secret in (self, other))
        import hmac

        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash would be a fast oracle for short values

    def __bool__(self) -> bool:
        return bool(self.reveal())


class Redactor:
    """Replaces known secret values and secret-shaped text by ``[redacted]``."""

    def __init__(self, known: Iterable[Secret] = ()) -> None:
        self._values: tuple[str, ...] = ()
        self.learn(known)

    def learn(self, known: Iterable[Secret]) -> None:
        """Add values; longer ones are replaced first so that a prefix cannot unmask the rest."""
        values = set(self._values)
        for secret in known:
            # A multi-line value (a PEM key) is printed line by line: learn its lines too.
            parts = {secret.reveal(), *secret.reveal().splitlines()}
            values |= {part for part in parts if len(part) >= MIN_REDACTED_LENGTH}
        self._values = tuple(sorted(values, key=len, reverse=True))

    def redact(self, text: str) -> str:
        """``text`` without any known value or secret shape."""
        for value in self._values:
            text = text.replace(value, REDACTED)
        return _SHAPES.sub(REDACTED, text)


class RedactionFilter:
    """A filter for logging handlers: renders the record, redacts it, and drops the raw arguments."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact in place; never drops a record."""
        try:
            rendered = record.getMessage()
        except Exception:  # noqa: BLE001  an argument's own __str__ may raise anything; the record is kept
            rendered = f"{record.msg!r} (arguments left out: they do not fit the message)"
        if record.exc_info:
            import logging

            rendered += f"\n{logging.Formatter().formatException(record.exc_info)}"
        elif record.exc_text:  # rendered by another handler or on the far side of a queue
            rendered += f"\n{record.exc_text}"
        if record.stack_info:
            rendered += f"\n{record.stack_info}"
        record.exc_info = record.exc_text = record.stack_info = None
        record.msg = self._redactor.redact(rendered)
        record.args = None
        return True
