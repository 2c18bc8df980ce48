"""Every line passes the redactor, whole."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.bot.output import Line, RedactedOutput
from nasos.secret import Redactor, Secret

VALUE = "planted-value-1234"


def lines(chunks: list[bytes]) -> bytes:
    """What comes out of ``chunks``."""
    line = Line(Redactor([Secret(VALUE)]))
    return b"".join(line.feed(chunk) for chunk in chunks) + line.end()


@given(st.binary(max_size=40), st.binary(max_size=40), st.lists(st.integers(0, 120), max_size=6))
def test_a_secret_is_cut_out_wherever_the_pieces_fall(before: bytes, after: bytes, cuts: list[int]) -> None:
    """Pipes split writes anywhere; the rest arrives unchanged."""
    text = before + VALUE.encode() + after + b"\nnext line\n"
    edges = [0, *sorted(cuts), len(text)]
    out = lines([text[a:b] for a, b in itertools.pairwise(edges)])
    assert VALUE.encode() not in out
    assert out == lines([text])


@pytest.mark.parametrize("size", [1 << 10, 1 << 16])
def test_what_is_no_line_any_more_is_left_out(size: int) -> None:
    """A split could fall into a secret; the next line is there again."""
    chunks = [b"x" * size] * ((1 << 21) // size)
    assert lines([*chunks, VALUE.encode(), b"\nafter\n"]) == b"[a line of more than 1 MiB was left out]\nafter\n"


def test_a_closed_output_does_not_stop_the_bot() -> None:
    """Everything is drained although nobody reads."""
    read, write = os.pipe()
    os.close(read)
    output = RedactedOutput(Redactor(), (write, write))
    child = os.dup(output.stdout)
    output.start()
    for _ in range(64):
        os.write(child, b"line\n" * 4096)
    os.close(child)
    output.finish()
    os.close(write)
