"""The gateway's own listener, judged as the others are (tests/integration/tls/test_listeners.py)."""

from __future__ import annotations

import pytest

from fixtures.front_door import FrontDoor
from fixtures.listeners import Listener, issues


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_the_gateways_listener_is_as_mozilla_wants_it(front_door: FrontDoor) -> None:
    """Asked with nginx's certificate: no protocol, cipher, group or weakness beyond intermediate 6.0."""
    tls = front_door.config.tls
    client = tls / "nginx.pem", tls / "nginx.key"
    found = issues(Listener(front_door.config.port, "gateway.localhost", tls / "ca.pem", client=client))
    assert found == {}
