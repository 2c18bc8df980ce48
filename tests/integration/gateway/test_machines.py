"""Programs with an AppRole at the front door: whose credential opens it, and whose does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.edge import Answer
from fixtures.front_door import OTHER, FrontDoor
from nasos.gateway.sessions import Sessions
from nasos.vault import VaultClient

COUNT = "/api/v1/count"


class Machine:
    """An AppRole of Vault's, as an administrator makes it."""

    def __init__(self, door: FrontDoor, name: str, role: str | None, **settings: object) -> None:
        self.door, self.path = door, f"auth/approle/role/nasos-{name}"
        policies = {"token_policies": [], "token_no_default_policy": False, "token_ttl": 60}
        self._ask("POST", "", {**policies, **settings})
        self.role_id = str(self._ask("GET", "/role-id")["role_id"])
        self.secret_id = str(self._ask("POST", "/secret-id", {})["secret_id"])
        if role:
            with VaultClient(door.vault.root_connection, prefix="nasos") as client:
                client.write(f"gateway/machines/{name}", {"role": role})

    def come_in(self, door: FrontDoor, **changes: str) -> Answer:
        """`POST /auth/token`."""
        return door.post("/auth/token", {"role_id": self.role_id, "secret_id": self.secret_id, **changes})

    def remove(self) -> None:
        """Others share the server."""
        self._ask("DELETE", "")

    def _ask(self, method: str, what: str, body: dict[str, object] | None = None) -> Any:
        token = self.door.vault.root_token
        return self.door.vault.api.request(method, f"{self.path}{what}", body, token=token).get("data")


@pytest.fixture(scope="module")
def machine(front_door: FrontDoor) -> Iterator[Machine]:
    """One that may look."""
    made = Machine(front_door, "screen", "viewer")
    yield made
    made.remove()


def test_a_right_credential_opens_what_its_role_may(door: FrontDoor, machine: Machine) -> None:
    """A token of minutes for this bot; it reads and does not trade; no cookie comes with it."""
    answer = machine.come_in(door)
    given = json.loads(answer.body)
    assert (answer.status, given["token_type"], given["expires_in"]) == (200, "Bearer", 300)
    assert answer.headers.get_all("set-cookie") is None
    bearer = f"Bearer {given['access_token']}"
    assert door.edge.get(COUNT, Authorization=bearer).status == 200
    assert door.post("/api/v1/stopbuy", Authorization=bearer).status == 403
    assert door.at(OTHER).edge.get(COUNT, Authorization=bearer).status == 401
    assert json.loads(door.edge.get("/auth/me", Authorization=bearer).body)["name"] == "approle/screen"
    written = door.written()
    assert given["access_token"] not in written
    assert machine.secret_id not in written


def test_every_wrong_credential_gets_the_same_answer(door: FrontDoor, machine: Machine) -> None:
    """SecretID of nobody, RoleID of nobody, none at all, another role's SecretID: one answer, no token."""
    another = Machine(door, "another", "admin")
    wrong = [{"secret_id": "00000000-0000-0000-0000-000000000000"}, {"role_id": "nobody"}, {"role_id": ""},
             {"secret_id": ""}, {"secret_id": another.secret_id}]  # fmt: skip
    answers = [machine.come_in(door.stranger(), **each) for each in wrong]
    another.remove()
    assert {(each.status, each.body) for each in answers} == {(401, answers[0].body)}
    assert b"access_token" not in answers[0].body


@pytest.mark.parametrize("role", [None, "emperor"])
def test_an_approle_without_a_role_here_stays_outside(door: FrontDoor, role: str | None) -> None:
    """Vault knows it; the front door does not, or knows no such role."""
    stranger = Machine(door, f"unknown-{role}".lower(), role)
    assert stranger.come_in(door).status == 401
    stranger.remove()
    [told] = [each for each in door.events("gateway.token") if each["target"] == f"unknown-{role}".lower()]
    assert told["outcome"] == "refused"


def test_a_credential_for_another_network_is_refused(door: FrontDoor) -> None:
    """Bound to addresses, Vault refuses it here; the same AppRole bound to this machine is let in."""
    for name, network, status in (("far", "192.0.2.0/24", 401), ("near", "127.0.0.1/32", 200)):
        bound = Machine(door, name, "viewer", secret_id_bound_cidrs=[network], token_bound_cidrs=[network])
        assert bound.come_in(door.stranger()).status == status
        bound.remove()


def test_who_is_revoked_is_outside_at_the_next_request(door: FrontDoor, machine: Machine) -> None:
    """Its session ends like a person's."""
    bearer = f"Bearer {json.loads(machine.come_in(door).body)['access_token']}"
    assert door.edge.get(COUNT, Authorization=bearer).status == 200
    with closing(Sessions.open(door.config.database)) as sessions:
        assert sessions.end_all("approle/screen", "revoked", datetime.now(UTC))
    assert door.edge.get(COUNT, Authorization=bearer).status == 401
