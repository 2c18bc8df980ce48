"""Which tests share a worker, and in which order the workers take them up.

Rules: a file stays whole, its fixtures are made once; so does each walk of the e2e tests, in its own order: first what
a newcomer sees, then the bad days, and the canary grep after all of it. The longest first: nobody waits for them at
the end.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

HERE: Final = Path(__file__).parent
WALK: Final = ("test_walk", "test_docs", "test_page", "test_bad_days", "test_side_by_side",
               "test_imported_bot_trades_on", "test_canary")  # fmt: skip
LONGEST_FIRST: Final = ("e2e", "integration", "crash", "property", "contract", "unit")


def group(nodeid: str) -> str:
    """The name of what has to stay on one worker: a walk, or a file."""
    path, _, test = nodeid.partition("::")
    walker = re.search(r"[\[-](root|ordinary)[\]-]", test) if path.startswith("tests/e2e/") else None
    return f"walk as {walker[1]}" if walker else path


def place(item: pytest.Item) -> tuple[int, bool, str, int]:
    """Where it stands among the others; what compares equal stays as it was."""
    kind, name = item.path.relative_to(HERE).parts[0], item.path.stem
    walk = group(item.nodeid)
    alone = not walk.startswith("walk")
    return (
        LONGEST_FIRST.index(kind) if kind in LONGEST_FIRST else len(LONGEST_FIRST),
        alone,
        "" if alone else walk,
        WALK.index(name) if name in WALK and not alone else len(WALK),
    )


class Lanes(LoadScopeScheduling):  # type: ignore[misc]  # its library is untyped
    """Hands out whole groups in the order in which they stand."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


class FailuresAtOnce:
    """Names each failure when it happens: of a run that is cut off, nobody sees the summary."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Where it failed, under the dots."""
        if report.failed:
            reason = str(report.longrepr).strip().splitlines()[-1:]
            self._reporter.write_line("")
            self._reporter.write_line(f"{report.when} failed: {report.nodeid} {' '.join(reason)}")
