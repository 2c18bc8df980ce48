"""Wrong logins cannot be told apart by what the gateway does for them: held to Vault's own audit log."""

from __future__ import annotations

import json

import pytest

from fixtures.edge import Answer
from fixtures.front_door import PHRASE, FrontDoor
from nasos.gateway.throttle import FREE
from nasos.secret import Secret
from nasos.vault import people

ASKED_FOR = ("auth/nasos-people/", "kv/data/nasos/gateway/people/", "auth/token/revoke-self")
"""What a login asks of Vault; the keys that sign are read by the clock."""


def work(door: FrontDoor, name: str, password: str, code: str) -> tuple[Answer, list[str]]:
    """A login by a client of its own: its answer, and each request that Vault got for it, without the name."""
    log = door.vault.server.audit_files[0]
    begin = log.stat().st_size
    answer = door.try_in(name, password, code)
    with log.open("rb") as lines:
        lines.seek(begin)
        requests = [entry["request"] for entry in map(json.loads, lines) if entry["type"] == "request"]
    asked = [f"{each['operation']} {each['path']}" for each in requests if each["path"].startswith(ASKED_FOR)]
    return answer, [each.rpartition("/")[0] if "people/" in each else each for each in asked]


def shown(answer: Answer) -> tuple[int, bytes, list[str]]:
    """All that a client sees of it."""
    return answer.status, answer.body, sorted(f"{k}: {v}" for k, v in answer.headers.items() if k.lower() != "date")


@pytest.fixture
def bare(door: FrontDoor) -> str:
    """Somebody without a second factor."""
    people.add(*door.authority, "bare-one", Secret(PHRASE), rights=people.Rights.VIEWER, cidrs=None)
    return "bare-one"


def test_who_is_unknown_costs_what_a_wrong_password_costs(door: FrontDoor, bare: str) -> None:
    """A name or a password that nobody can have, a wrong one, no second factor: the same requests in the same order."""
    door.add("val")
    names, odd = ["val", "nobody", "Not A Name", "root", "", bare], ["", "x" * 900]
    tries = [(name, "wrong words here") for name in names] + [("yes", password) for password in odd]
    seen = [work(door.stranger(), name, password, "000000") for name, password in tries]
    answers, requests = [shown(answer) for answer, _ in seen], [asked for _, asked in seen]
    assert len(requests[0]) == 3
    assert requests == [requests[0]] * len(tries)
    assert answers == [answers[0]] * len(tries)


def test_only_a_right_password_costs_more_and_its_answer_is_the_same(door: FrontDoor) -> None:
    """The negative twin: the token that Vault gave for it has to be ended, and that is all."""
    door.add("wim")
    wrong, less = work(door.stranger(), "wim", "wrong words here", "000000")
    code, more = work(door.stranger(), "wim", PHRASE, "000000")
    assert more == [*less, "update auth/token/revoke-self"]
    assert shown(code) == shown(wrong)


def test_who_comes_too_early_is_not_looked_at_and_sees_the_same(door: FrontDoor) -> None:
    """Vault is not asked at all, for a name that is known and one that is not: a flood costs it nothing."""
    door.add("xia")
    for name in ("xia", "nobody-x"):
        client = door.stranger()
        seen = [work(client, name, "wrong words here", "000000") for _ in range(FREE + 2)]
        assert len({str(shown(answer)) for answer, _ in seen}) == 1
        assert seen[0][1]
        assert seen[-1][1] == []
