"""Somebody guesses: how often he is listened to, on every path of a credential, and that its owner is let in."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from fixtures.front_door import DEADLINE, PHRASE, FrontDoor
from nasos.gateway import second_factor
from nasos.gateway.access import Role
from nasos.gateway.throttle import FREE
from nasos.secret import Secret
from nasos.vault import VaultClient

COUNT = "/api/v1/count"
FEW = range(FREE + 1, 2 * FREE + 5)
"""Guesses that are looked at when many come at once: the free ones, and one for each doubling of the time it takes."""


@dataclass(frozen=True)
class Behind:
    """The gateway as nginx speaks to it: without nginx's own limits, as a flood from many addresses meets it."""

    door: FrontDoor
    context: ssl.SSLContext

    def post(self, path: str, body: object, address: str, cookie: str = "") -> int:
        """The status of a request from an address."""
        line = http.client.HTTPSConnection(
            "127.0.0.1", self.door.config.port, context=self.context, timeout=2 * DEADLINE
        )
        with contextlib.closing(line):
            headers = {"Host": "localhost", "X-Real-IP": address, "Content-Type": "application/json", "Cookie": cookie}
            line.request("POST", path, json.dumps(body), headers)
            return line.getresponse().status

    def guess(self, name: str, address: str) -> int:
        """A wrong password."""
        return self.post("/auth/login", {"name": name, "password": "wrong words", "code": "000000"}, address)

    def asked(self, path: str) -> int:
        """How often Vault was asked about a password or a SecretID there: by Vault's own audit log."""
        lines = self.door.vault.server.audit_files[0].read_text().splitlines()
        entries = [json.loads(line) for line in lines if f'"{path}"' in line]
        return sum(entry["type"] == "request" and entry["request"]["path"] == path for entry in entries)

    def guesses(self, name: str) -> int:
        """How many passwords were tried in Vault for a name."""
        return self.asked(f"auth/nasos-people/login/{name}")


@pytest.fixture
def behind(door: FrontDoor) -> Behind:
    """nginx's place."""
    context = ssl.create_default_context(cafile=str(door.config.tls / "ca.pem"))
    context.load_cert_chain(door.config.tls / "nginx.pem", door.config.tls / "nginx.key")
    context.check_hostname = False  # by its address
    return Behind(door, context)


def test_guesses_at_the_same_time_are_counted_before_they_are_looked_at(behind: Behind) -> None:
    """Of twenty-four that arrive together, Vault is asked about as many as are free, and all get one answer."""
    behind.door.add("gus")
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: behind.guess("gus", "203.0.113.1"), range(24)))
    assert set(answers) == {401}
    assert behind.guesses("gus") in FEW


def test_a_name_that_nobody_has_counts_like_any_other(behind: Behind) -> None:
    """After guesses from many addresses a new one waits, whether there is such a person or not."""
    behind.door.add("hal")
    for name in ("hal", "hel"):
        for number in range(FREE + 4):
            assert behind.guess(name, f"198.51.{ord(name[1])}.{number}") == 401
        assert behind.guesses(name) == FREE + 1


def test_the_owner_with_a_living_session_comes_in_at_once(behind: Behind) -> None:
    """While his account is attacked from many addresses, and from the attacker's own address too."""
    door = behind.door
    factor = door.add("ida", Role.ADMIN)
    cookie = door.come_in("ida", factor)
    for number in range(FREE + 3):
        behind.guess("ida", f"198.51.100.{number}")
    for _ in range(FREE + 2):
        behind.guess("nobody-else", "198.51.100.0")
    typed = {"name": "ida", "password": PHRASE, "code": door.code("ida", factor)}
    assert behind.post("/auth/login", typed, "198.51.100.0", cookie) == 200


def test_the_owner_with_a_new_device_is_heard_a_little_later(behind: Behind) -> None:
    """His account is attacked: his first try comes too early and costs nothing, and he is let in soon."""
    factor = behind.door.add("ivo", Role.ADMIN)
    for number in range(FREE + 6):
        behind.guess("ivo", f"198.51.101.{number}")
    looked = behind.guesses("ivo")

    def heard() -> bool:
        code = second_factor.code(factor, int(time.time()) // second_factor.STEP)
        typed = {"name": "ivo", "password": PHRASE, "code": code}
        return behind.post("/auth/login", typed, "192.0.2.77") == 200

    assert not heard()
    assert behind.guesses("ivo") == looked
    behind.door.until(heard)


def test_a_programs_credential_is_counted_too(behind: Behind) -> None:
    """Wrong SecretIDs that arrive together are counted before they are looked at; the right one is heard afterwards."""
    door = behind.door
    with VaultClient(door.vault.root_connection, prefix="nasos") as client:
        client.write("gateway/machines/checker", {"role": "viewer"})
    kept = json.loads((door.vault.home / "credentials" / "checker.json").read_text())
    path, address = "auth/approle/login", "203.0.113.40"
    right = {"role_id": kept["role_id"], "secret_id": kept["secret_id"]}
    before = behind.asked(path)
    wrong = right | {"secret_id": Secret.random().reveal()}
    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(lambda _: behind.post("/auth/token", wrong, address), range(24))) == {401}
    assert behind.asked(path) - before in FEW
    door.until(lambda: behind.post("/auth/token", right, address) == 200)


@pytest.mark.parametrize(
    "path", ["/auth/login", "/auth/token", "/auth/refresh", "/api/v1/token/login", "/api/v1/token/refresh"]
)
def test_every_path_of_a_credential_is_limited_per_client(door: FrontDoor, path: str) -> None:
    """nginx says 429 and when to come back, in words; another client is served."""
    answers = [door.post(path) for _ in range(18)]
    limited = [answer for answer in answers if answer.status == 429]
    assert {answer.status for answer in answers} <= {400, 401, 429}
    assert limited
    assert limited[-1].headers["Retry-After"] == "10"
    assert "too many requests" in json.loads(limited[-1].body)["error"]
    assert door.stranger().post(path).status in (400, 401)


def test_guessing_api_tokens_is_limited_and_told(door: FrontDoor) -> None:
    """A flood on one connection: 401, then 429; the ledger says from where, once; a right token is served beside."""
    guess = door.token(Role.ADMIN)[:-1] + "x"
    one = f"GET {COUNT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {guess}\r\n"
    with door.edge.connect() as secure:
        secure.sendall((one + "\r\n").encode() * 149 + (one + "Connection: close\r\n\r\n").encode())
        told = b"".join(iter(lambda: secure.recv(65536), b""))
    assert told.count(b"HTTP/1.1 401") + told.count(b"HTTP/1.1 429") == 150
    assert told.count(b"HTTP/1.1 429") > 20
    assert told.count(b"Retry-After: 10") == told.count(b"HTTP/1.1 429")
    events = [each for each in door.events("gateway.denied") if each["detail"].get("client") == door.edge.source]
    assert [(event["outcome"], event["detail"]["why"]) for event in events] == [("refused", "no API token")]
    assert guess.removeprefix("Bearer ") not in door.written()
    assert door.stranger().edge.get(COUNT, Authorization=door.token(Role.VIEWER)).status == 200
