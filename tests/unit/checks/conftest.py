"""The house that these tests break."""

from __future__ import annotations

from fixtures.house import house

__all__ = ["house"]
