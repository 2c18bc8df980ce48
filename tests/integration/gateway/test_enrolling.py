"""Somebody enrols his second factor himself: what he shows for it, and what the link opens to nobody else."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from fixtures.edge import Answer
from fixtures.front_door import PHRASE, FrontDoor
from nasos.gateway.access import Role
from nasos.gateway.enrolments import Enrolments
from nasos.gateway.storage import Storage

COUNT, LOOK, CONFIRM = "/api/v1/count", "/auth/enrolment", "/auth/enrolment/confirm"
HOUR = timedelta(hours=1)


def offered(door: FrontDoor, name: str, *, ended: bool = False) -> str:
    """A link, as the operator's command makes it."""
    now = datetime.now(UTC) - (2 * HOUR if ended else timedelta(0))
    with closing(Storage.open(door.config.database)) as storage:
        return Enrolments(storage).offer(name, now, now + HOUR).reveal()


def look(door: FrontDoor, name: str, link: str, password: str = PHRASE) -> Answer:
    """Ask for the picture."""
    return door.post(LOOK, {"name": name, "password": password, "link": link})


def confirm(door: FrontDoor, name: str, link: str, code: str, password: str = PHRASE) -> Answer:
    """Show the first code."""
    return door.post(CONFIRM, {"name": name, "password": password, "link": link, "code": code})


def test_password_and_link_show_the_factor_and_its_first_code_makes_it_count(door: FrontDoor) -> None:
    """Before, the right code opens nothing; after, its holder is in, and comes in again as anybody does."""
    factor = door.add("nora", Role.TRADER)
    link = offered(door, "nora")
    code = door.code("nora", factor)
    assert door.try_in("nora", PHRASE, code).status == 401
    shown = look(door, "nora", link)
    picture = json.loads(shown.body)
    assert shown.status == 200
    assert shown.headers["cache-control"] == "no-store"
    assert parse_qs(urlsplit(picture["address"]).query)["secret"] == [factor.reveal()]
    assert picture["size"] >= 21
    assert picture["path"].startswith("M")
    done = confirm(door, "nora", link, code)
    assert (done.status, json.loads(done.body)["role"]) == (200, "trader")
    cookie = "; ".join(line.split(";")[0] for line in done.headers.get_all("set-cookie", []))
    assert door.edge.get(COUNT, Cookie=cookie).status == 200
    assert door.try_in("nora", PHRASE, door.code("nora", factor)).status == 200
    told = [(event["outcome"], event["detail"]["what"]) for event in door.events("gateway.enrol")]
    assert told[-2:] == [("ok", "shown"), ("ok", "enrolled")]
    written = door.written()
    assert link not in written
    assert factor.reveal() not in written


def test_a_link_works_once(door: FrontDoor) -> None:
    """Used, it neither shows nor enrols; the person himself still comes in."""
    factor, link = door.add("olga"), offered(door, "olga")
    assert confirm(door, "olga", link, door.code("olga", factor)).status == 200
    assert look(door, "olga", link).status == 401
    code = door.code("olga", factor)
    assert confirm(door, "olga", link, code).status == 401
    assert door.stranger().try_in("olga", PHRASE, code).status == 200


def test_a_wrong_code_enrols_nobody_and_uses_nothing_up(door: FrontDoor) -> None:
    """Typing errors happen: the right code after it does."""
    factor, link = door.add("paul"), offered(door, "paul")
    right = door.code("paul", factor)
    wrong = confirm(door, "paul", link, f"{(int(right) + 1) % 10**6:06d}")
    assert wrong.status == 401
    assert wrong.headers.get_all("set-cookie") is None
    assert confirm(door, "paul", link, right).status == 200


def test_every_other_link_and_person_gets_the_answer_of_a_wrong_login(door: FrontDoor) -> None:
    """Ended, another's, none, with a wrong password, for nobody: one answer, byte for byte, and no factor in it."""
    quinn = door.add("quinn")
    for name in ("rita", "stan"):
        door.add(name)
    ended, good = offered(door, "quinn", ended=True), offered(door, "stan")
    wrong = door.stranger().try_in("rita", "wrong words", "000000")
    answers = [
        look(door.stranger(), "quinn", ended), confirm(door.stranger(), "quinn", ended, door.code("quinn", quinn)),
        *(look(door.stranger(), name, good) for name in ("quinn", "rita", "nobody")),
        look(door.stranger(), "stan", ""), look(door.stranger(), "stan", good, "wrong words"),
    ]  # fmt: skip
    assert {(each.status, each.body) for each in answers} == {(401, wrong.body)}
    assert look(door.stranger(), "stan", good).status == 200


def test_a_link_opens_nothing_else(door: FrontDoor) -> None:
    """Not the bot as token or cookie, not the login as password or code, not a renewal."""
    door.add("sara")
    link = offered(door, "sara")
    for shown in ({"Authorization": f"Bearer {link}"}, {"Cookie": f"__Host-nasos={link}"}):
        assert door.edge.send("GET", COUNT, shown).status == 401
    assert door.post("/auth/refresh", Cookie=f"__Host-nasos-session={link}").status == 401
    for password, code in ((link, "000000"), (PHRASE, link)):
        assert door.stranger().try_in("sara", password, code).status == 401
    assert door.bot.received == []


def test_guesses_are_throttled_as_logins_are(door: FrontDoor) -> None:
    """After the free ones even the right link is not looked at; somebody at another address is heard."""
    door.add("tess")
    link = offered(door, "tess")
    for _ in range(5):
        look(door, "tess", link, "wrong words")
    early = [event["detail"].get("why") for event in door.events("gateway.login")]
    assert look(door, "tess", link).status == 401
    assert "too early" in early


def test_another_page_cannot_ask(door: FrontDoor) -> None:
    """The password and the link are his; the page has to be ours."""
    door.add("uwe")
    body = {"name": "uwe", "password": PHRASE, "link": offered(door, "uwe")}
    assert door.post(LOOK, body, Origin="https://evil.example").status == 403


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_the_page_is_a_file_that_is_only_read(door: FrontDoor, method: str) -> None:
    """With the security headers of every page, and nothing from elsewhere in it."""
    page = door.edge.get("/auth/enrol")
    assert page.status == 200
    assert "'unsafe" not in page.headers["content-security-policy"]
    assert b"//" not in page.body.replace(b"<!doctype html>", b"")
    assert door.edge.send(method, "/auth/enrol").status == 405


def test_a_removed_persons_link_is_nobodys(door: FrontDoor) -> None:
    """Withdrawn with him, the name begins anew."""
    door.add("vito")
    link = offered(door, "vito")
    with closing(Storage.open(door.config.database)) as storage:
        Enrolments(storage).withdraw("vito")
    assert look(door, "vito", link).status == 401
