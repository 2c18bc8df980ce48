"""Several bots behind one gateway, each under its own host name: what opens one opens no other."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl

import pytest

from fixtures.front_door import BY_ANOTHER_CA, KEY, MISNAMED, OTHER, OTHER_KEY, FrontDoor
from fixtures.streams import stream
from nasos.gateway.access import Role

COUNT = "/api/v1/count"


def signed_by(authorization: str, key: str) -> bool:
    """Whether freqtrade with this key would take the token."""
    head, body, signature = authorization.removeprefix("Bearer ").split(".")
    digest = hmac.digest(key.encode(), f"{head}.{body}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == signature


def test_each_name_leads_to_its_own_bot_with_a_token_of_its_own_key(door: FrontDoor) -> None:
    """One API token for both: each bot is asked once, with what the other one would refuse."""
    bearer = door.token(Role.VIEWER, "nasos", "other")
    for there in (door, door.at(OTHER)):
        assert there.edge.get(COUNT, Authorization=bearer).status == 200
    [own], [other] = door.bot.received, door.other.received
    for seen, key, foreign in ((own, KEY, OTHER_KEY), (other, OTHER_KEY, KEY)):
        assert signed_by(seen.headers["authorization"], key)
        assert not signed_by(seen.headers["authorization"], foreign)


def test_an_api_token_for_one_bot_is_nobodys_at_another(door: FrontDoor) -> None:
    """401 under the other's name, whatever the role; the other bot hears nothing."""
    own, other = door.token(Role.ADMIN, "nasos"), door.token(Role.ADMIN, "other")
    assert door.at(OTHER).edge.get(COUNT, Authorization=own).status == 401
    assert door.edge.get(COUNT, Authorization=other).status == 401
    assert door.bot.received == door.other.received == []
    assert door.at(OTHER).edge.get(COUNT, Authorization=other).status == 200


def test_a_session_at_one_bot_is_none_at_another(door: FrontDoor) -> None:
    """Its access token and its refresh token are refused under the other's name, also over a connection to its own."""
    cookie = door.come_in("zoe", door.add("zoe", Role.ADMIN))
    there = door.at(OTHER)
    named = {"Cookie": cookie, "Host": f"{OTHER}:{door.edge.port}"}
    assert there.edge.get(COUNT, Cookie=cookie).status == 401
    assert door.edge.send("GET", COUNT, named).status == 401
    access = dict(part.split("=", 1) for part in cookie.split("; "))["__Host-nasos"]
    assert there.edge.get(COUNT, Authorization=f"Bearer {access}").status == 401
    for renewing in ("/auth/refresh", "/api/v1/token/login", "/api/v1/token/refresh"):
        assert there.post(renewing, Cookie=cookie).status == 401
    assert door.other.received == []
    # Nothing was used up: where it belongs the session goes on.
    assert door.post("/auth/refresh", Cookie=cookie).status == 200
    [refused, *_] = [event for event in door.events("gateway.refresh") if event["actor"] == "zoe"]
    assert refused["detail"]["why"] == "a session of another bot"


def test_a_login_under_the_second_name_opens_the_second_bot(door: FrontDoor) -> None:
    """The same person, a session of its own."""
    factor = door.add("yan")
    there = door.at(OTHER)
    cookie = there.come_in("yan", factor)
    assert there.edge.get(COUNT, Cookie=cookie).status == 200
    assert len(door.other.received) == 1
    assert door.edge.get(COUNT, Cookie=cookie).status == 401


def test_streams_keep_to_their_bot_too(door: FrontDoor) -> None:
    """The second bot's stream opens for its token, minted by its key; the first one's token is refused there."""
    there, bearer = door.at(OTHER), door.token(Role.VIEWER, "other")
    door.until(lambda: there.edge.get(COUNT, Authorization=bearer).status == 200)  # its key is read
    door.other.received.clear()
    with stream(there.edge, Authorization=bearer) as line:
        assert line.status == 101
        assert line.answered("hello")
    [seen] = door.other.received
    assert signed_by(seen.target.partition("token=")[2], OTHER_KEY)
    with stream(there.edge, Authorization=door.token(Role.VIEWER, "nasos")) as line:
        assert line.status == 403
    assert len(door.other.received) == 1
    assert door.bot.received == []


def test_a_name_that_leads_nowhere_is_refused(door: FrontDoor) -> None:
    """Before a certificate is shown; asked for over a connection to another name it is 421."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        door.edge.connect("nowhere.localhost")
    bearer = door.token(Role.ADMIN, "nasos", "other")
    asked = {"Authorization": bearer, "Host": f"nowhere.localhost:{door.edge.port}"}
    assert door.edge.send("GET", COUNT, asked).status == 421
    assert door.bot.received == door.other.received == []


@pytest.mark.parametrize("host", [BY_ANOTHER_CA, MISNAMED])
def test_nobody_else_can_stand_in_for_a_bot(door: FrontDoor, host: str) -> None:
    """Another CA's certificate, or another name on it: neither request nor stream reaches it, nor any token of its."""
    there, bearer = door.at(host), door.token(Role.ADMIN, "other")
    assert there.edge.get(COUNT, Authorization=bearer).status == 503
    with stream(there.edge, Authorization=bearer) as line:
        assert line.status != 101
    assert door.other.received == []
