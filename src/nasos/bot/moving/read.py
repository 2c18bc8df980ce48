"""The operator's configuration files as they lie there, with everything odd about them.

Rules: what freqtrade accepts is accepted, and what it would refuse is refused with line and column, never with the
text around it (freqtrade prints 80 characters of it). Files are given weakest first: added files before the one that
adds them, later ones after earlier ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nasos.bot.configuration import comments, parse, without_comments
from nasos.errors import BotError, FileRefused

LARGEST: Final = 64 << 20
"""Bytes; a configuration with every pair of every exchange has less than one of them per thousand."""

_DEEPEST: Final = 5  # freqtrade's own limit for add_config_files
_TOKEN: Final = re.compile(r'"((?:\\.|[^"\\])*)"|[{}\[\],:]', re.DOTALL)

Load = Callable[[Path], bytes]
"""The content of a file, or of what it was before an import replaced it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One configuration file."""

    path: Path
    """As it was named."""
    place: Path
    """Where its bytes are, links followed: that is what gets replaced."""
    raw: bytes = field(repr=False)
    content: dict[str, object] = field(repr=False)
    comments: tuple[tuple[int, str], ...] = field(repr=False)
    """Line and text; may hold secrets themselves."""
    remarks: tuple[str, ...]
    """What the operator should know of it; no values."""
    marked: bool = False
    """It begins with a byte order mark, which freqtrade refuses."""


def sources(paths: Iterable[Path], load: Load) -> tuple[Source, ...]:
    """``paths`` and all that they add, weakest first.

    Raises:
        BotError: A file is missing, unreadable, no JSON object, or they add each other in a circle.
    """
    return tuple(source for path in paths for source in _with_added(path, load, _DEEPEST))


def _with_added(path: Path, load: Load, depth: int) -> Iterator[Source]:
    source = _source(path, load)
    names = source.content.get("add_config_files")
    for name in names if isinstance(names, list) else ():
        if depth == 0:
            raise BotError(f"{path} adds configuration files more than {_DEEPEST} deep", "is there a circle?")
        yield from _with_added(source.place.parent / str(name), load, depth - 1)
    yield source


def _source(path: Path, load: Load) -> Source:
    try:
        place = path.resolve(strict=True)
        raw = load(place)
    except FileNotFoundError:
        raise BotError(f"the configuration file {path} does not exist", "give its path") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = getattr(error, "strerror", None) or "its links lead nowhere"
        raise BotError(f"{path} cannot be read: {reason.lower()}", f'"ls -l {path}" may tell') from None
    if len(raw) > LARGEST:
        raise FileRefused(f"{path} is larger than {LARGEST >> 20} MB", "give the configuration, not the data")
    text = _decoded(raw, path)
    content = parse(text, str(path))
    found = tuple(comments(text))
    remarks = [f"{path} is a link to {place}: the file there is replaced, the link stays"] if path.is_symlink() else []
    marked = raw.startswith(b"\xef\xbb\xbf")
    if marked:
        remarks.append(f"{path} begins with a byte order mark, which freqtrade refuses; the clean file has none")
    remarks += [f"{path} {remark}" for remark in repeated(text)]
    return Source(path, place, raw, content, found, tuple(remarks), marked)


def _decoded(raw: bytes, path: Path) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BotError(f"{path} line {line} is not UTF-8", f"file {path}") from None
    # As Path.read_text: freqtrade reads with universal newlines, so a lone \r ends a // comment.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def repeated(text: str) -> Iterator[str]:
    """Keys that stand in one object twice, with their lines; the last one counts, for freqtrade as for us."""
    if not _has_repeated(text):
        return
    plain = without_comments(text)
    open_objects: list[dict[str, int] | None] = []
    key: tuple[str, int] | None = None
    line, counted = 1, 0
    for token in _TOKEN.finditer(plain):
        sign = token[0]
        line, counted = line + plain.count("\n", counted, token.start()), token.start()
        if sign in "{[":
            open_objects.append({} if sign == "{" else None)
        elif sign in "}]" and open_objects:
            open_objects.pop()
        elif sign == ":" and key and open_objects:
            seen = open_objects[-1]
            if seen is not None:
                first = seen.get(key[0])
                if first is not None:
                    yield f"lines {first} and {key[1]}: {key[0]!r} stands twice, the last one counts"
                seen[key[0]] = key[1]
        key = (json.loads(sign), line) if token[1] is not None else None


def _has_repeated(text: str) -> bool:
    found = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) < len(pairs)

    try:
        json.loads(without_comments(text), object_pairs_hook=look)
    except ValueError:
        return False
    return found
