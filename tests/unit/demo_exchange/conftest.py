"""One demo exchange for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.demo_exchange import running_exchange


@pytest.fixture(scope="module")
def exchange() -> Iterator[int]:
    """The port of a running demo exchange."""
    with running_exchange() as port:
        yield port
