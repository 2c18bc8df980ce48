"""What may follow a credential, and when two records are the same one. Pure but for the rotator that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from nasos.errors import RotationError
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Part

Candidate: TypeAlias = Callable[[Part, Fields], Fields]
"""Makes a candidate for a part, given what is current."""

_TURNS: Final = 4
"""More than a ring of three keys needs until none of it is left."""


def fresh(part: Part, current: Fields) -> Fields:
    """The `Candidate` of a rotation: a new value."""
    return part.rotator.create(current)


def made(part: Part, current: Fields, candidate: Candidate, *, clean: bool) -> Fields:
    """A candidate; a ``clean`` one holds no value of what it replaces, as a ring of keys does after one turn.

    Raises:
        RotationError: The rotator hands what leaked on and on.
    """
    found = candidate(part, current)
    for _ in range(_TURNS):
        changed = [name for name in {**current, **found} if current.get(name) != found.get(name)]
        old = [current[name] for name in changed if name in current]
        if not clean or not any(found[name] in old for name in changed if name in found):
            return found
        found = part.rotator.create(found)
    raise RotationError(f"each new {part.name} holds something of the one that leaked", "nasos secret set")


def differ(one: Fields, other: Fields, *, names: Iterable[str]) -> bool:
    """Whether two records are different credentials: in any of these fields."""
    return any(one.get(name) != other.get(name) for name in names)
