"""The project's pages as their readers use them: code blocks with the words that stand above them, links, commands.

A block of `sh` is run by tests/e2e/test_docs.py, one script with `set -eu`, unless a comment stands right above it:
``<!-- not run: why -->``, or ``<!-- exits 0 or 1: why -->`` (then each line is a command of its own).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
PAGES = tuple(
    str(path.relative_to(PROJECT))
    for pattern in ("*.md", "docs/*.md", "config/*/*.md")
    for path in sorted(PROJECT.glob(pattern))
)

_FENCE = re.compile(r"^ *```(.*)$")
_MARK = re.compile(r"<!-- (not run|exits [0-9](?: or [0-9])*): (.+) -->")
_ENDS = set("();<>|&")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str
    mark: str
    """`not run`, `exits 0 or 1` ... or nothing."""
    reason: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.page}:{self.line}"

    @property
    def codes(self) -> set[int]:
        """Exit codes that its commands may have."""
        return {int(code) for code in re.findall(r"\d", self.mark)} or {0}


def read(page: str) -> str:
    """The text of a page."""
    return (PROJECT / page).read_text()


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, inside, start, above = [], None, 0, ""
    lines: list[str] = []
    for number, line in enumerate(read(page).splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is None and fence:
            inside, start, lines = fence[1].strip(), number, []
        elif fence:
            mark = _MARK.fullmatch(above.strip())
            found.append(
                Block(
                    page, start, inside or "", "\n".join(lines) + "\n", mark[1] if mark else "", mark[2] if mark else ""
                )
            )
            inside, above = None, ""
        elif inside is not None:
            lines.append(line)
        else:
            above = line
    assert inside is None, f"{page}:{start}: a block without end"
    return found


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```", "", read(page), flags=re.MULTILINE | re.DOTALL)


def links(page: str) -> list[str]:
    """Targets of the links of a page, in order."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def headings(page: str) -> list[tuple[int, str]]:
    """Level and text of each heading."""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose(page), re.MULTILINE)]


def anchor(heading: str) -> str:
    """The fragment that a heading can be linked by."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands(page: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of ours that a page names, in blocks and in `code` of the text: (as it stands there, its words)."""
    for block in blocks(page):
        for line in block.text.splitlines() if block.language in ("sh", "console", "") else ():
            yield from _in(line)
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        yield from _in(code)


def _in(line: str) -> Iterator[tuple[str, list[str]]]:
    reader = shlex.shlex(line, posix=True, punctuation_chars="".join(_ENDS))
    reader.whitespace_split = True
    try:
        words = list(reader)
    except ValueError:  # an apostrophe: a sentence, not a command
        return
    begin = True
    for at, word in enumerate(words):
        # A bare "nasos" is also a bot's name; it is the command where one begins.
        if (
            word == "./nasos"
            or (word == "nasos" and begin)
            or re.fullmatch(r"(\./)?(scripts|config)/[\w/-]+\.sh", word)
        ):
            end = next((index for index, each in enumerate(words[at:], at) if _ENDS & set(each[:1])), len(words))
            yield line.strip(), [word.removeprefix("./"), *words[at + 1 : end]]
        begin = word == "$" or bool(_ENDS & set(word[:1]))


@dataclass(frozen=True)
class ListedFile:
    """A row of the table "What is on disk" in docs/stack.md."""

    pattern: str
    mode: int
    owner: str


def listed_files() -> list[ListedFile]:
    """The files of the state directory that hold a secret, as docs/stack.md lists them."""
    table = read("docs/stack.md").split("## What is on disk")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) \| ([\w-]+) \|", table, re.MULTILINE)
    return [ListedFile(pattern, int(mode, 8), owner) for pattern, mode, owner in rows]


def shape(value: object) -> object:
    """Keys and kinds of a document; null and an empty list say nothing about theirs."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


def differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Where two shapes differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected.keys() | found.keys():
            if key not in expected or key not in found:
                yield f"{where}.{key} is {'not documented' if key in found else 'not there'}"
            else:
                yield from differences(expected[key], found[key], f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if expected and found:
            yield from differences(expected[0], found[0], f"{where}[]")
    elif expected != found and "NoneType" not in (expected, found) and {expected, found} != {"int", "float"}:
        yield f"{where} is {found}, documented as {expected}"


def examples() -> dict[str, Any]:
    """The first example of each section of docs/json.md, by command."""
    found = {}
    for part in read("docs/json.md").split("\n## `")[1:]:
        example = re.search(r"```json\n(.*?)```", part, re.DOTALL)
        if example:
            found[part.split(" --json`")[0]] = json.loads(example[1])
    return found
