"""Our reader of configuration files against freqtrade's own, on whatever people write.

Where both read a file, they read the same; what freqtrade refuses is refused by us, or stands in `LENIENT`.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fixtures.demo_exchange import BOT_BIN
from nasos.bot import configuration
from nasos.bot.moving.read import sources
from nasos.errors import Error
from nasos.settings import child_environment

PARSER = Path(__file__).parents[3] / "simulators" / "freqtrades_parser.py"

Oracle = Callable[[bytes], str]


@pytest.fixture(scope="module")
def freqtrade() -> Iterator[Oracle]:
    """Freqtrade's reader, one process for all questions."""
    with subprocess.Popen(
        [str(BOT_BIN / "python"), "-W", "ignore", str(PARSER)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environment(),
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout

        def ask(content: bytes) -> str:
            assert process.stdin
            assert process.stdout
            process.stdin.write(base64.b64encode(content).decode() + "\n")
            process.stdin.flush()
            return process.stdout.readline().rstrip("\n")

        yield ask
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a configuration lies."""
    return tmp_path_factory.mktemp("oracle") / "config.json"


def ours(file: Path, content: bytes) -> tuple[str, str]:
    """What the import's reader says, and what the launcher's does."""
    file.write_bytes(content)
    return _said(lambda: sources([file], Path.read_bytes)[-1].content), _said(lambda: configuration.read(file))


def _said(read: Callable[[], object]) -> str:
    try:
        return "= " + ascii(read())
    except Error as refused:
        return f"! {refused.message}" if refused.hint else "refused without a word on what to do"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SIGNS = ["{", "}", "[", "]", ",", ":", '"a"', '"b"', '"', "\\", "1", "-", "0", ".5", "1e5", "true", "null", " ", "\n",
         "\r", "\t", "//", "/*", "*/", "/", "*", "#", "'", '"\\u0041"', '"/*"', '"//"', "NaN", "é", "\x00", "\x0c",
         "\u2028", "\ufeff"]  # fmt: skip
FILLER = st.sampled_from(["", " ", "\n", "\r\n", "\t", "// c\n", "/* c */", "/* , } */", '// "\n', "/**/", "/***/"])


@st.composite
def decorated(draw: st.DrawFn) -> bytes:
    """An object as people write it: comments, white space and commas too many between the tokens."""
    text = json.dumps(draw(st.dictionaries(st.text(max_size=3), JSON, max_size=3)), ensure_ascii=draw(st.booleans()))
    pieces = [draw(FILLER)]
    inside = escaped = False
    for sign in text:
        if not inside and sign in "}]" and draw(st.booleans()):
            pieces += [",", draw(FILLER)]
        pieces.append(sign)
        inside = inside != (sign == '"' and not escaped)
        escaped = inside and sign == "\\" and not escaped
        if not inside and sign in '{}[],:"':
            pieces.append(draw(FILLER))
    return "".join(pieces).encode("utf-8", "surrogatepass")


def agree(freqtrade: Oracle, file: Path, content: bytes) -> None:
    """Both read the same, or we do not read it."""
    theirs, mine = freqtrade(content), ours(file, content)
    for said in mine:
        if said.startswith("= "):
            assert said == theirs, content


settled = settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settled
@given(content=decorated())
def test_what_people_write_is_read_as_freqtrade_reads_it(freqtrade: Oracle, file: Path, content: bytes) -> None:
    """Comments, white space, trailing commas, any text and number: the same value, or a refusal."""
    agree(freqtrade, file, content)


@settled
@given(content=st.lists(st.sampled_from(SIGNS), max_size=14).map(lambda signs: ("{" + "".join(signs) + "}").encode()))
@example(content=b'{"a": 1 /* x }')
def test_no_soup_of_signs_is_read_as_something_else(freqtrade: Oracle, file: Path, content: bytes) -> None:
    """Whatever stands there: we read what freqtrade reads, or nothing."""
    agree(freqtrade, file, content)


def big() -> bytes:
    """More than five megabytes with a comment on each line."""
    pairs = "".join(f'  "COIN{number}/USDT", // pair {number}\n' for number in range(170_000))
    return f'{{"exchange": {{"pair_whitelist": [\n{pairs}]}}}}'.encode()


READ = {
    "comments": b'// a\n{"a": 1, /* b */ "c": "//"}//',
    "trailing commas": b'{"a": [1, 2,], "b": {"c": 1,},}',
    "a key that stands twice": b'{"a": 1, "b": 2, "a": {"c": 3, "c": 4}}',
    "a lone carriage return ends a comment": b'{"a": 1, // x\r"b": 2}',
    "escapes": rb'{"\u0061\/": "\ud83d\ude00\u0000\b"}',
    "five megabytes": big(),
    "not a number": b'{"a": NaN, "b": [Infinity, -Infinity]}',
    "large numbers": b'{"a": 123456789012345678901234567890, "b": -0, "c": -0.0, "d": 1e308, "e": 5e-324}',
    "nested a hundred deep": b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}",
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_what_freqtrade_reads_we_read(freqtrade: Oracle, file: Path, content: bytes) -> None:
    """Nobody is refused whose bot would start."""
    theirs = freqtrade(content)
    assert theirs.startswith("= "), theirs
    assert ours(file, content) == (theirs, theirs)


REFUSED = {
    "nothing": b"",
    "a comment that never ends": b'{"a": 1} /* x',
    "a comma too many": b'{"a": 1,,}',
    "a comma alone": b"{,}",
    "no UTF-8": b'{"a": "\xff"}',
    "half a surrogate pair": rb'{"a": "\ud800"}',
    "a control sign in a text": b'{"a": "x\ny"}',
    "two documents": b"{} {}",
    "single quotes": b"{'a': 1}",
    "a shell's comment": b'{"a": 1} # x',
    "nested without an end": b'{"a": ' + b"[" * 200_000,
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_freqtrade_refuses_we_refuse(freqtrade: Oracle, file: Path, content: bytes) -> None:
    """With a hint, and without the text."""
    assert freqtrade(content).startswith("! ")
    assert all(said.startswith("! ") for said in ours(file, content))


LENIENT = {
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', "= {'a': 1}"),
}
"""What freqtrade refuses and we read, with what we read; the import writes it back without that."""


@pytest.mark.parametrize(("content", "value"), LENIENT.values(), ids=LENIENT)
def test_what_we_read_and_freqtrade_does_not(freqtrade: Oracle, file: Path, content: bytes, value: str) -> None:
    """Few, known, and unambiguous."""
    assert freqtrade(content).startswith("! ")
    assert ours(file, content) == (value, value)
