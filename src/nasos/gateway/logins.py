"""The addresses of people and programs: logging in, going on, logging out, and FreqUI's own login.

Rules: what FreqUI types is not looked at, its session decides. No answer says more than its receiver may know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State

from nasos.errors import TokenRefused
from nasos.gateway import cookies
from nasos.gateway.asking import (
    KNOWN,
    OWN,
    TYPED,
    Asked,
    Parts,
    Text,
    Who,
    bot_of,
    client_of,
    cookie,
    cookies_of,
    gone_on,
    known,
    own,
    parts_of,
    welcome,
)
from nasos.gateway.decision import headers_of
from nasos.gateway.passes import ACCESS_SECONDS, until
from nasos.secret import Secret

HELD: Final = "held-in-a-cookie"
"""What FreqUI gets in place of a refresh token: the cookie decides, and no script can read that."""


class LoginRequest(msgspec.Struct):
    """Name, password and one-time code."""

    name: Text
    password: Text
    code: Text = ""


class MachineRequest(msgspec.Struct):
    """An AppRole's credential."""

    role_id: Text
    secret_id: Text


class Access(msgspec.Struct):
    """A token for programs."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105  the scheme's name


class FreqUiTokens(msgspec.Struct):
    """What freqtrade's own login answers with."""

    access_token: str
    refresh_token: str


@post("/auth/login", status_code=200, responses=TYPED)
async def log_in(data: LoginRequest, request: Asked, state: State) -> Response[Who]:
    """Log in with name, password and one-time code; the session is kept in cookies."""
    parts, headers = parts_of(state), own(request)
    bot, client = bot_of(parts, headers), client_of(parts, headers, await known(parts, headers))
    work = partial(parts.door.log_in, data.name, Secret(data.password), data.code, client)
    return await welcome(parts, bot, await parts.slowly(work))


@post("/auth/refresh", status_code=200, responses=OWN)
async def refresh(request: Asked, state: State) -> Response[Who]:
    """Go on with the session of the cookie; its refresh token is used up and replaced."""
    parts, headers = parts_of(state), own(request)
    bot = bot_of(parts, headers)
    return await welcome(parts, bot, await gone_on(parts, headers))


@post("/auth/logout", status_code=200, responses=OWN)
async def log_out(request: Asked, state: State) -> Response[None]:
    """End this session."""
    return await _ended(parts_of(state), own(request), everywhere=False)


@post("/auth/logout-everywhere", status_code=200, responses=OWN)
async def log_out_everywhere(request: Asked, state: State) -> Response[None]:
    """End all sessions of this person."""
    return await _ended(parts_of(state), own(request), everywhere=True)


@get("/auth/me", responses=KNOWN)
async def me(request: Asked, state: State) -> Who:
    """Who is logged in, and as what."""
    parts, headers = parts_of(state), headers_of(request.scope)
    held = await asyncio.to_thread(parts.passes.of, headers, bot_of(parts, headers))
    return Who(held.user, str(held.role), until(held.ends))


@post("/auth/token", status_code=200, responses=TYPED)
async def token(data: MachineRequest, request: Asked, state: State) -> Access:
    """An access token for a program that has an AppRole with a role here."""
    parts, headers = parts_of(state), own(request)
    bot = bot_of(parts, headers)
    work = partial(parts.door.machine, data.role_id, Secret(data.secret_id), client_of(parts, headers))
    opened = await parts.slowly(work)
    return Access((await asyncio.to_thread(parts.passes.access, opened, bot)).reveal(), ACCESS_SECONDS)


@post("/api/v1/token/login", status_code=200, responses=OWN)
async def freqtrades_login(request: Asked, state: State) -> Response[FreqUiTokens]:
    """FreqUI's login: who is logged in here gets an access token; what was typed there is not looked at."""
    return await _for_frequi(parts_of(state), own(request))


@post("/api/v1/token/refresh", status_code=200, responses=OWN)
async def freqtrades_refresh(request: Asked, state: State) -> Response[FreqUiTokens]:
    """The same: the cookie decides."""
    return await _for_frequi(parts_of(state), own(request))


async def _for_frequi(parts: Parts, headers: Mapping[str, str]) -> Response[FreqUiTokens]:
    bot = bot_of(parts, headers)
    cookie = {"cookie": headers.get("cookie", "")}
    try:
        held = await asyncio.to_thread(parts.passes.of, cookie, bot)
        issue = partial(parts.passes.issue, held.user, held.role, held.sid, bot)
        access, more = await asyncio.to_thread(issue), []
    except TokenRefused:
        opened = await gone_on(parts, headers)
        access = await asyncio.to_thread(parts.passes.access, opened, bot)
        more = cookies_of(opened, access)
    return Response(FreqUiTokens(access.reveal(), HELD), cookies=more)


async def _ended(parts: Parts, headers: Mapping[str, str], *, everywhere: bool) -> Response[None]:
    held = await asyncio.to_thread(parts.passes.of, headers, bot_of(parts, headers))
    if held.by == "api-token":
        raise TokenRefused("an API token has no session")
    await asyncio.to_thread(
        partial(parts.door.end, held.sid, held.user, client_of(parts, headers), everywhere=everywhere)
    )
    return Response(None, cookies=[cookie(cookies.ACCESS, None, 0), cookie(cookies.REFRESH, None, 0)])
