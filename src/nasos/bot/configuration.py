"""freqtrade's JSON with comments: reading and merging, the way freqtrade does it.

Rules: several files, the later one wins; ``add_config_files`` is relative to its file, and the file wins over what it
adds. Tables merge, everything else is replaced. An error names file, line and column and shows none of the content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from nasos.errors import BotError

_DEEPEST: Final = 5  # freqtrade's own limit for add_config_files
_NOT_JSON: Final = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING: Final = re.compile(r'("(?:\\.|[^"\\])*"|[\[{,]\s*,)|,(?=\s*[}\]])')
"""One comma after a value; ``{,}`` and ``[1,,]`` stay what they are, for freqtrade refuses them."""
_HALF: Final = re.compile(r"\\u[dD][89a-bA-B]..(?!\\u[dD][c-fC-F])|(?<!..)\\u[dD][c-fC-F]", re.DOTALL)


def merged(*layers: Mapping[str, object]) -> dict[str, object]:
    """The layers on top of each other; the last one wins."""
    result: dict[str, object] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            both = isinstance(value, Mapping) and isinstance(below, Mapping)
            result[key] = merged(below, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result


def read_files(paths: Iterable[Path]) -> dict[str, object]:
    """The merged configuration of ``paths``, added files included.

    Raises:
        BotError: A file is missing, unreadable or no JSON object, or files add each other in a circle.
    """
    return merged(*(_with_added(path, _DEEPEST) for path in paths))


def added(paths: Iterable[Path]) -> Iterator[Path]:
    """``paths`` and every file that they add.

    Raises:
        BotError: As `read_files`.
    """
    for path in paths:
        yield from _files(path, _DEEPEST)


def _files(path: Path, depth: int) -> Iterator[Path]:
    yield path
    names = read(path).get("add_config_files")
    for name in names if depth and isinstance(names, list) else ():
        yield from _files(path.resolve().parent / str(name), depth - 1)


def _with_added(path: Path, depth: int) -> dict[str, object]:
    content = read(path)
    names = content.get("add_config_files")
    if not isinstance(names, list) or not names:
        return content
    if depth == 0:
        raise BotError(f"{path} adds configuration files more than {_DEEPEST} deep", "is there a circle?")
    added = [_with_added(path.resolve().parent / str(name), depth - 1) for name in names]
    return merged(*added, content)


def read(path: Path) -> dict[str, object]:
    """One file.

    Raises:
        BotError: Missing, unreadable, or no JSON object; names the line and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BotError(f"the configuration file {path} does not exist", "give another one with -c") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BotError(f"{path} cannot be read: {type(error).__name__}", f'"ls -l {path}" may tell') from None
    return parse(text, str(path))


def parse(text: str, name: str) -> dict[str, object]:
    """JSON with comments and trailing commas; ``name`` is for the error.

    Raises:
        BotError: No JSON object; names the line and column.
    """
    try:
        try:
            content = json.loads(text)
        except ValueError:
            content = _lenient(text, name)
    except RecursionError:
        raise BotError(f"{name} nests deeper than freqtrade would follow", f"edit {name}") from None
    if not isinstance(content, dict):
        raise BotError(f"{name} holds no JSON object", "a freqtrade configuration starts with {")
    if "\\u" in text:
        _require_text(content, text, name)
    return content


def _require_text(content: Mapping[str, object], text: str, name: str) -> None:
    """Our JSON reader takes half a surrogate pair; freqtrade's refuses it, and Vault could not store it."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        half = _HALF.search(text)
        line = text.count("\n", 0, half.start()) + 1 if half else "?"
        raise BotError(f"{name} line {line} has half a surrogate pair", f"edit {name}") from None


def comments(text: str) -> Iterator[tuple[int, str]]:
    """Each comment with the line that it begins on."""
    line, counted = 1, 0
    for match in _NOT_JSON.finditer(text):
        if not match[1]:
            line, counted = line + text.count("\n", counted, match.start()), match.start()
            yield line, match[0]


def without_comments(text: str) -> str:
    """``text`` as plain JSON; every line and column stays where it was."""
    return _TRAILING.sub(_blank, _NOT_JSON.sub(_blank, text))


def _lenient(text: str, name: str) -> object:
    try:
        return json.loads(without_comments(text))
    except json.JSONDecodeError as error:
        where = f"{name} line {error.lineno} column {error.colno}"
        raise BotError(f"{where} is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", f"edit {name}") from None


def _blank(match: re.Match[str]) -> str:
    # Comments and trailing commas become white space of the same shape: line and column stay true.
    return match[1] or re.sub(r"[^\n]", " ", match[0])
