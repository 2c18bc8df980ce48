"""One-time codes: the RFC's own vectors, the clock's tolerance, and each code once."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nasos.errors import CredentialRejected
from nasos.gateway import second_factor
from nasos.gateway.spent import Spent
from nasos.gateway.storage import Storage
from nasos.secret import Secret

RFC = Secret(base64.b32encode(b"12345678901234567890").decode())
"""RFC 6238, appendix B."""


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_vectors_of_the_rfc(seconds: int, code: str) -> None:
    """The last six digits of what RFC 6238 lists for SHA-1, accepted at that very time."""
    step = seconds // second_factor.STEP
    assert second_factor.code(RFC, step) == code
    assert second_factor.accepted(RFC, code, datetime.fromtimestamp(seconds, UTC)) == step
    assert second_factor.accepted(RFC, f" {code[:3]} {code[3:]} ", datetime.fromtimestamp(seconds, UTC)) == step


@pytest.mark.parametrize(("off", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(off: int, counts: bool) -> None:  # noqa: FBT001  a table
    """The code before and the code after count; no others do."""
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    step = int(now.timestamp()) // second_factor.STEP + off
    assert (second_factor.accepted(RFC, second_factor.code(RFC, step), now) is not None) is counts


@pytest.mark.parametrize("typed", ["", "0", "28708", "2870822", "abcdef", "٢٨٧٠٨٢", "\ud800", "287082\0", "1e5"])
def test_what_is_no_code_is_none(typed: str) -> None:
    """Nothing, too little, too much, other digits: refused, without an exception."""
    assert second_factor.accepted(RFC, typed, datetime.fromtimestamp(59, UTC)) is None


def test_a_damaged_second_factor_lets_nobody_in() -> None:
    """What is no base32 is an error of ours, never an empty key."""
    with pytest.raises(CredentialRejected):
        second_factor.code(Secret("not base32!"), 1)


def test_a_code_is_good_once_also_after_a_restart(tmp_path: Path) -> None:
    """A step is taken once, none before it counts afterwards, and others' steps are their own."""
    path = tmp_path / "private" / "sessions.db"
    storage = Storage.open(path)
    spent = Spent(storage)
    assert spent.take("ann", 100)
    assert not spent.take("ann", 100)
    assert not spent.take("ann", 99)
    assert spent.take("bea", 100)
    storage.close()
    storage = Storage.open(path)
    again = Spent(storage)
    assert not again.take("ann", 100)
    assert again.take("ann", 101)
    storage.close()
