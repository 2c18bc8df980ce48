"""Search for secret values where none may be: files, environments, command lines; raw and in four disguises."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20


@dataclass(frozen=True)
class Hit:
    """One place where a secret was found; names it, never shows it."""

    where: str
    secret: str
    disguise: str


def disguises(value: bytes) -> dict[str, bytes]:
    """How a secret may look after it has passed through something."""
    text = value.decode("utf-8", "surrogateescape")
    forms = {
        "raw": value,
        "base64": base64.b64encode(value).rstrip(b"="),
        "base64url": base64.urlsafe_b64encode(value).rstrip(b"="),
        "hex": value.hex().encode(),
        "url": urllib.parse.quote(text, safe="", errors="surrogateescape").encode(),
        "json": json.dumps(text)[1:-1].encode(),
    }
    # base64 of a longer text around it has another alignment; the inner part is the same for two of three offsets.
    for offset in (1, 2):
        shifted = base64.b64encode(b"\0" * offset + value)
        forms[f"base64+{offset}"] = shifted[4:-4]
    return {name: form for name, form in forms.items() if len(form) >= 8}


class Canary:
    """Knows the secrets; searches."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._needles = [
            (name, disguise, form) for name, value in secrets.items() for disguise, form in disguises(value).items()
        ]
        self._longest = max(len(form) for _, _, form in self._needles)

    def in_bytes(self, content: bytes, where: str) -> Iterator[Hit]:
        """Hits in one piece of memory."""
        for name, disguise, form in self._needles:
            if form in content:
                yield Hit(where, name, disguise)

    def in_file(self, path: Path) -> Iterator[Hit]:
        """Hits in a file, read in overlapping chunks."""
        seen: set[tuple[str, str]] = set()
        try:
            with path.open("rb") as file:
                carry = b""
                while chunk := file.read(CHUNK):
                    for hit in self.in_bytes(carry + chunk, str(path)):
                        if (hit.secret, hit.disguise) not in seen:
                            seen.add((hit.secret, hit.disguise))
                            yield hit
                    carry = chunk[-self._longest :]
        except (FileNotFoundError, OSError):
            return

    def in_tree(self, root: Path, skip: Iterable[str] = ()) -> Iterator[Hit]:
        """Hits in all regular files below ``root``, except in directories named in ``skip``."""
        for directory, names, files in os.walk(root):
            names[:] = [name for name in names if name not in skip]
            for name in files:
                path = Path(directory) / name
                if path.is_file() and not path.is_symlink():
                    yield from self.in_file(path)

    def in_processes(self) -> Iterator[Hit]:
        """Hits in the environment and command line of every process that we may look at, but our own."""
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) == os.getpid():
                continue
            for kind in ("environ", "cmdline"):
                try:
                    content = (process / kind).read_bytes()
                except OSError:
                    continue
                yield from self.in_bytes(content, f"{process}/{kind}")
