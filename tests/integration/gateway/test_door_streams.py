"""The bot's stream of messages through nginx and the gateway: who gets it, for how long, and what nobody sees of it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from fixtures.front_door import FrontDoor
from fixtures.streams import STREAM, stream
from nasos.gateway.access import Role
from nasos.gateway.api_tokens import ApiTokens, Scope
from nasos.gateway.streams import LOOKED_AT, POLICY
from nasos.vault import people


def refused(door: FrontDoor, query: str = "", **headers: str) -> int:
    """The status that came in place of a stream."""
    with stream(door.edge, query, **headers) as line:
        assert line.status != 101
        return line.status


def test_messages_pass_both_ways_for_cookie_bearer_and_token_in_the_address(door: FrontDoor) -> None:
    """Small and large; the bot sees a minted token of a minute, which neither client nor log ever sees."""
    cookie = door.come_in("ann-s", door.add("ann-s"))
    access = json.loads(door.post("/api/v1/token/login", Cookie=cookie).body)["access_token"]
    machine = door.token(Role.VIEWER)
    own = f"https://localhost:{door.edge.port}"
    shown = ""
    for query, headers in (
        ("", {"Cookie": cookie, "Origin": own}), (f"?token={access}", {}), ("", {"Authorization": machine}),
    ):  # fmt: skip
        with stream(door.edge, query, **headers) as line:
            assert line.answered(json.dumps({"type": "subscribe", "data": ["whitelist"]}))
            assert line.answered("x" * 50_000)
            shown += str(line.answer.headers)
    minted = [parse_qs(urlsplit(each.target).query)["token"][0] for each in door.bot.received if STREAM in each.target]
    assert len(minted) == 3
    written = shown + door.written()
    assert not [token for token in (*minted, access, machine.removeprefix("Bearer ")) if token in written]
    assert not [each for each in door.bot.received if "cookie" in each.headers or access in each.target]


def _revoked(door: FrontDoor, name: str, _cookie: str) -> None:
    door.end_sessions(name)


def _expired(door: FrontDoor, name: str, _cookie: str) -> None:
    """As time does it: a session that was not renewed for longer than it lives."""
    with contextlib.closing(sqlite3.connect(door.config.database)) as file, file:
        file.execute("UPDATE sessions SET renewed = renewed - 2 * 86400 WHERE user = ?", (name,))


def _promoted(door: FrontDoor, name: str, cookie: str) -> None:
    people.set_rights(*door.authority, name, people.Rights.TRADER)
    assert door.post("/auth/refresh", Cookie=cookie).status == 401


def _left(door: FrontDoor, _name: str, cookie: str) -> None:
    assert door.post("/auth/logout", Cookie=cookie).status == 200


@pytest.mark.parametrize("end", [_revoked, _expired, _promoted, _left])
def test_a_stream_ends_with_its_session(door: FrontDoor, end: Callable[[FrontDoor, str, str], None]) -> None:
    """Revoked by the operator, run out, ended by another role, or logged out in another tab; a colleague's goes on."""
    name = f"vic{end.__name__.replace('_', '-')}"
    cookie = door.come_in(name, door.add(name))
    with stream(door.edge, Authorization=door.token(Role.VIEWER)) as other, stream(door.edge, Cookie=cookie) as line:
        assert line.answered("still here")
        end(door, name, cookie)
        assert line.until_closed().code == POLICY
        assert other.answered("and I go on")
    assert refused(door, Cookie=cookie) == 403
    door.until(lambda: door.events("gateway.stream")[-1:] and door.events("gateway.stream")[-1]["actor"] == name)


@pytest.mark.parametrize("ending", ["revoked", "run out"])
def test_a_stream_ends_with_its_api_token(door: FrontDoor, ending: str) -> None:
    """Revoked by another process, or at the end that it was made with."""
    now = datetime.now(UTC)
    with contextlib.closing(ApiTokens.open(door.config.database)) as tokens:
        life = timedelta(seconds=4) if ending == "run out" else timedelta(days=1)
        name, scope = f"stream-{ending[:3]}", Scope(Role.VIEWER, ("nasos",))
        made, secret = tokens.create(name, scope, user="t", now=now, ends=now + life)
        with stream(door.edge, Authorization=f"Bearer {secret.reveal()}") as line:
            assert line.answered("here")
            if ending == "revoked":
                assert tokens.revoke(made.id, datetime.now(UTC))
            assert line.until_closed().code == POLICY
        assert refused(door, f"?token={secret.reveal()}") == 403
        assert secret.reveal() not in door.written()


def test_who_has_no_right_to_it_is_refused_before_the_bot_hears_of_it(door: FrontDoor) -> None:
    """Nobody, a token that counts nowhere, two at once, another bot's, another page with a good cookie."""
    cookie, mine = door.come_in("kim", door.add("kim")), door.token(Role.VIEWER).removeprefix("Bearer ")
    with contextlib.closing(ApiTokens.open(door.config.database)) as tokens:
        now = datetime.now(UTC)
        scope, ends = Scope(Role.ADMIN, ("another",)), now + timedelta(days=1)
        _, others = tokens.create("of-another-bot", scope, user="t", now=now, ends=ends)
    door.bot.received.clear()
    assert refused(door) == 403
    assert refused(door, Cookie="__Host-nasos=a.b.c") == 403
    assert refused(door, "?token=a.b.c") == 403
    assert refused(door, f"?token={mine}&token={mine}") == 403
    assert refused(door, f"?token={others.reveal()}") == 403
    for origin in ("https://evil.example", "null", f"http://localhost:{door.edge.port}"):
        assert refused(door, Cookie=cookie, Origin=origin) == 403
    assert refused(door, Cookie=cookie, Sec_Fetch_Site="cross-site") == 403
    assert door.bot.received == []
    with stream(door.edge, Cookie=cookie) as line:
        assert line.answered("the same cookie opens it from our own page")


def test_the_reader_is_looked_at_often_enough() -> None:
    """What is revoked ends within five seconds, with room for a slow machine."""
    assert LOOKED_AT <= 2
