"""The front door's fixtures."""

from fixtures.front_door import door, front_door

__all__ = ["door", "front_door"]
