"""Ports: each one that is taken is named, with its holder."""

from __future__ import annotations

import os
import socket

import pytest

from fixtures.stack import free_base_port
from nasos.errors import PortTaken
from nasos.stack.ports import Ports, require_free
from nasos.stack.programs import ORDER


@pytest.mark.parametrize("name", ["https", "vault", "postgres", "bot", "exchange", "vault_cluster"])
def test_each_taken_port_is_named_with_its_holder(name: str) -> None:
    """Number, purpose and process of the one that is taken; all free is fine."""
    ports = Ports.following(free_base_port())
    require_free(ports, "127.0.0.1", ORDER)
    port: int = getattr(ports, name)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken) as caught:
        require_free(ports, "127.0.0.1", ORDER)
    assert f"port {port} ({name}) cannot be used" in caught.value.message
    assert f"by pid {os.getpid()} (" in caught.value.message
    assert f"--port {ports.https + 1000}" in str(caught.value.hint) or f"--port {ports.https - 1000}" in str(
        caught.value.hint
    )


def test_a_listener_on_all_addresses_counts() -> None:
    """0.0.0.0 takes 127.0.0.1 along."""
    ports = Ports.following(free_base_port())
    with socket.create_server(("0.0.0.0", ports.vault)), pytest.raises(PortTaken, match=r"\(vault\)"):  # noqa: S104
        require_free(ports, "127.0.0.1", ORDER)


def test_the_edge_is_looked_for_where_it_will_listen() -> None:
    """IPv6: a listener on ::1 is in the way of ::1 only."""
    ports = Ports.following(free_base_port())
    with socket.create_server(("::1", ports.https), family=socket.AF_INET6):
        require_free(ports, "127.0.0.1", ORDER)
        with pytest.raises(PortTaken, match=r"\(https\)"):
            require_free(ports, "::1", ORDER)


def test_an_address_that_this_machine_does_not_have_is_said_so() -> None:
    """The port is not blamed for it."""
    with pytest.raises(PortTaken, match="does not have that address"):
        require_free(Ports.following(free_base_port()), "192.0.2.1", ORDER)  # RFC 5737: nobody's


def test_a_program_that_is_not_wanted_needs_no_port() -> None:
    """Without the demo exchange its port may be anybody's."""
    ports = Ports.following(free_base_port())
    with socket.create_server(("127.0.0.1", ports.exchange)):
        require_free(ports, "127.0.0.1", [name for name in ORDER if name != "exchange"])
