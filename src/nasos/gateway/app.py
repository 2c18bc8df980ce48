"""The gateway's addresses, as an ASGI application: logging in and out, FreqUI's login, and what nginx asks.

Rules: what is asked for every request of the bot (`decision`) and the stream of messages (`streams`) are bare ASGI;
the rest is Litestar, which describes itself (OpenAPI). Vault and SQLite are asked in threads, logins in a few of their
own: a flood of logins keeps nobody waiting who is logged in. No answer says more than its receiver may know.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin

from nasos import __version__
from nasos.errors import Error, LoginFailed, SessionRefused, TokenRefused
from nasos.gateway import cookies
from nasos.gateway.config import Bot, Config
from nasos.gateway.decision import PATH, Decision, headers_of
from nasos.gateway.door import Client, Door
from nasos.gateway.passes import ACCESS_SECONDS, Passes, until
from nasos.gateway.sessions import Opened
from nasos.gateway.streams import STREAM, Streams
from nasos.gateway.tokens import jwks
from nasos.gateway.vaulted import Vaulted
from nasos.secret import Secret

LOGINS_AT_ONCE: Final = 8
"""Threads that wait for Vault and for the floor of a login's time."""
LARGEST_BODY: Final = 8192
Text = Annotated[str, msgspec.Meta(max_length=1024)]
T = TypeVar("T")

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


class Who(msgspec.Struct):
    """Who is logged in."""

    name: str
    role: str
    expires_in: int
    """Seconds; then the session is to be renewed."""


class Access(msgspec.Struct):
    """A token for programs."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105  the scheme's name


class FreqUiTokens(msgspec.Struct):
    """What freqtrade's own login answers with."""

    access_token: str
    refresh_token: str


class Problem(msgspec.Struct):
    """Why not, for people."""

    error: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers work with."""

    config: Config
    vault: Vaulted
    door: Door
    passes: Passes
    logins: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LOGINS_AT_ONCE, "login"))

    async def slowly(self, work: Callable[[], T]) -> T:
        """In one of the few threads of logins."""
        return await asyncio.get_running_loop().run_in_executor(self.logins, work)


def _parts(state: State) -> Parts:
    parts: Parts = state.parts
    return parts


Asked = Request[Any, Any, State]

_CLOSED: Final = {503: ResponseSpec(Problem, description="nobody can be let in at the moment")}
_OPEN: Final = {400: ResponseSpec(Problem, description="the request cannot be understood"), **_CLOSED}
_KNOWN: Final = {401: ResponseSpec(Problem, description="who asks is not, or no more, let in"), **_OPEN}
_OWN: Final = {403: ResponseSpec(Problem, description="another page asked"), **_KNOWN}
_TYPED: Final = {413: ResponseSpec(Problem, description="the request is too large"), **_OWN}


@post("/auth/login", status_code=200, responses=_TYPED)
async def log_in(data: LoginRequest, request: Asked, state: State) -> Response[Who]:
    """Log in with name, password and one-time code; the session is kept in cookies."""
    parts, headers = _parts(state), _own(request)
    bot, client = _bot(parts, headers), _client(parts, headers, await _known(parts, headers))
    work = partial(parts.door.log_in, data.name, Secret(data.password), data.code, client)
    return await _welcome(parts, bot, await parts.slowly(work))


@post("/auth/refresh", status_code=200, responses=_OWN)
async def refresh(request: Asked, state: State) -> Response[Who]:
    """Go on with the session of the cookie; its refresh token is used up and replaced."""
    parts, headers = _parts(state), _own(request)
    bot = _bot(parts, headers)
    return await _welcome(parts, bot, await _gone_on(parts, headers))


@post("/auth/logout", status_code=200, responses=_OWN)
async def log_out(request: Asked, state: State) -> Response[None]:
    """End this session."""
    return await _ended(_parts(state), _own(request), everywhere=False)


@post("/auth/logout-everywhere", status_code=200, responses=_OWN)
async def log_out_everywhere(request: Asked, state: State) -> Response[None]:
    """End all sessions of this person."""
    return await _ended(_parts(state), _own(request), everywhere=True)


@get("/auth/me", responses=_KNOWN)
async def me(request: Asked, state: State) -> Who:
    """Who is logged in, and as what."""
    parts, headers = _parts(state), headers_of(request.scope)
    held = await asyncio.to_thread(parts.passes.of, headers, _bot(parts, headers))
    return Who(held.user, str(held.role), until(held.ends))


@post("/auth/token", status_code=200, responses=_TYPED)
async def token(data: MachineRequest, request: Asked, state: State) -> Access:
    """An access token for a program that has an AppRole with a role here."""
    parts, headers = _parts(state), _own(request)
    bot = _bot(parts, headers)
    work = partial(parts.door.machine, data.role_id, Secret(data.secret_id), _client(parts, headers))
    opened = await parts.slowly(work)
    return Access((await asyncio.to_thread(parts.passes.access, opened, bot)).reveal(), ACCESS_SECONDS)


@get("/.well-known/jwks.json", responses=_OPEN)
async def keys(state: State) -> dict[str, Sequence[Mapping[str, str]]]:
    """The public keys that access tokens are verified by (RFC 7517)."""
    ring = await asyncio.to_thread(_parts(state).vault.ring)
    return dict(jwks(ring, datetime.now(UTC)))


@get("/auth/health", include_in_schema=False)
async def health(state: State) -> dict[str, int]:
    """An audited read of Vault, and the keys that sign."""
    vault = _parts(state).vault
    await asyncio.to_thread(vault.ring)
    return {"version": await asyncio.to_thread(vault.proven)}


@post("/api/v1/token/login", status_code=200, responses=_OWN)
async def freqtrades_login(request: Asked, state: State) -> Response[FreqUiTokens]:
    """FreqUI's login: who is logged in here gets an access token; what was typed there is not looked at."""
    return await _for_frequi(_parts(state), _own(request))


@post("/api/v1/token/refresh", status_code=200, responses=_OWN)
async def freqtrades_refresh(request: Asked, state: State) -> Response[FreqUiTokens]:
    """The same: the cookie decides."""
    return await _for_frequi(_parts(state), _own(request))


async def _for_frequi(parts: Parts, headers: Mapping[str, str]) -> Response[FreqUiTokens]:
    bot = _bot(parts, headers)
    cookie = {"cookie": headers.get("cookie", "")}
    try:
        held = await asyncio.to_thread(parts.passes.of, cookie, bot)
        issue = partial(parts.passes.issue, held.user, held.role, held.sid, bot)
        access, more = await asyncio.to_thread(issue), []
    except TokenRefused:
        opened = await _gone_on(parts, headers)
        access = await asyncio.to_thread(parts.passes.access, opened, bot)
        more = _cookies(opened, access)
    return Response(FreqUiTokens(access.reveal(), HELD), cookies=more)


async def _gone_on(parts: Parts, headers: Mapping[str, str]) -> Opened:
    held = cookies.read(headers.get("cookie", ""), cookies.REFRESH)
    if held is None:
        raise SessionRefused("no session")
    return await asyncio.to_thread(parts.door.go_on, held, _client(parts, headers))


async def _ended(parts: Parts, headers: Mapping[str, str], *, everywhere: bool) -> Response[None]:
    held = await asyncio.to_thread(parts.passes.of, headers, _bot(parts, headers))
    if held.by == "api-token":
        raise TokenRefused("an API token has no session")
    await asyncio.to_thread(
        partial(parts.door.end, held.sid, held.user, _client(parts, headers), everywhere=everywhere)
    )
    return Response(None, cookies=[_cookie(cookies.ACCESS, None, 0), _cookie(cookies.REFRESH, None, 0)])


async def _welcome(parts: Parts, bot: Bot, opened: Opened) -> Response[Who]:
    access = await asyncio.to_thread(parts.passes.access, opened, bot)
    return Response(Who(opened.user, str(opened.role), ACCESS_SECONDS), cookies=_cookies(opened, access))


def _cookies(opened: Opened, access: Secret) -> list[Cookie]:
    return [
        _cookie(cookies.ACCESS, access, ACCESS_SECONDS),
        _cookie(cookies.REFRESH, opened.refresh, until(opened.ends)),
    ]


def _cookie(name: str, value: Secret | None, seconds: int) -> Cookie:
    text = value.reveal() if value else ""
    return Cookie(name, value=text, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict")


def _bot(parts: Parts, headers: Mapping[str, str]) -> Bot:
    bot = parts.config.bot(headers.get("host", ""))
    if bot is None:
        raise TokenRefused("no bot of this name")
    return bot


def _own(request: Asked) -> dict[str, str]:
    """The headers of a request that changes something."""
    headers = headers_of(request.scope)
    if not cookies.own_origin(headers):
        raise HTTPException("asked for by another page", status_code=403)
    return headers


def _client(parts: Parts, headers: Mapping[str, str], known: str | None = None) -> Client:
    address, program = headers.get("x-real-ip", "unknown"), headers.get("user-agent", "")[:120]
    return Client(address, program, known, _bot(parts, headers).name)


async def _known(parts: Parts, headers: Mapping[str, str]) -> str | None:
    """Whose living session comes along with a login."""
    try:
        held = await asyncio.to_thread(parts.passes.of, {"cookie": headers.get("cookie", "")}, _bot(parts, headers))
    except Error:
        return None
    return held.user


def _refused(_request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """One answer for each kind of trouble; what it was exactly is in the ledger."""
    headers: Mapping[str, str] = {}
    match error:
        case LoginFailed():
            status, text = 401, "name, password or code is not right"
        case TokenRefused() | SessionRefused():
            status, text = 401, "log in first"
        case HTTPException() if error.status_code < 500:
            status, text, headers = error.status_code, "the request cannot be understood", error.headers or {}
        case _:
            status, text = 503, "nobody can be let in at the moment"
            sys.stderr.write(f"nasos: error: {error.message if isinstance(error, Error) else type(error).__name__}\n")
    allowed = {name: value for name, value in headers.items() if name.lower() == "allow"}  # RFC 9110, 15.5.6
    return Response(Problem(text), status_code=status, media_type="application/json", headers=allowed)


HANDLERS: Final = (
    log_in, refresh, log_out, log_out_everywhere, me, token, keys, health, freqtrades_login, freqtrades_refresh,
)  # fmt: skip


def application(parts: Parts, decision: Decision, streams: Streams) -> Callable[..., Awaitable[None]]:
    """The whole gateway."""
    described = OpenAPIConfig(
        title="nasos gateway", version=__version__, path="/auth/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
    )  # fmt: skip
    site = Litestar(
        HANDLERS, state=State({"parts": parts}), openapi_config=described, logging_config=None, debug=False,
        exception_handlers={Exception: _refused}, request_max_body_size=LARGEST_BODY,
    )  # fmt: skip

    async def serve(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  as ASGI has it
        if scope["type"] == "http" and scope["path"] == PATH:
            await decision(scope, send)
        elif scope["type"] == "websocket" and scope["path"] == STREAM:
            await streams(scope, receive, send)
        elif scope["type"] != "websocket":
            await site(scope, receive, send)

    return serve
