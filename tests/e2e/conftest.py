"""The order of the walk: first what a newcomer sees, then the bad days, and the canary grep after all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

ORDER = ("test_walk", "test_docs", "test_page", "test_bad_days", "test_side_by_side", "test_imported_bot_trades_on",
         "test_canary")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort this directory's tests by stack, then by `ORDER`; leave the others where they are."""
    here = Path(__file__).parent
    mine = [item for item in items if item.path.parent == here]
    rest = [item for item in items if item.path.parent != here]

    def place(item: pytest.Item) -> tuple[str, int]:
        walker = getattr(item, "callspec", None)
        stem = item.path.stem
        return (
            str(walker.params.get("stack", "")) if walker else "",
            ORDER.index(stem) if stem in ORDER else len(ORDER),
        )

    items[:] = rest + sorted(mine, key=place)
