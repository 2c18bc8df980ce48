"""What all addresses share: who asks, for which bot, and how a session goes back.

Rules: Vault and SQLite are asked in threads, logins in a few of their own: a flood of logins keeps nobody waiting who
is logged in. What changes something is asked for by our own page, or by no page at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie, State
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec

from nasos.errors import Error, SessionRefused, TokenRefused
from nasos.gateway import cookies
from nasos.gateway.config import Bot, Config
from nasos.gateway.decision import headers_of
from nasos.gateway.door import Client, Door
from nasos.gateway.newcomers import Newcomers
from nasos.gateway.passes import ACCESS_SECONDS, Passes, until
from nasos.gateway.sessions import Opened
from nasos.gateway.vaulted import Vaulted
from nasos.secret import Secret

LOGINS_AT_ONCE: Final = 8
"""Threads that wait for Vault and for the floor of a login's time."""
Text = Annotated[str, msgspec.Meta(max_length=1024)]
T = TypeVar("T")


class Who(msgspec.Struct):
    """Who is logged in."""

    name: str
    role: str
    expires_in: int
    """Seconds; then the session is to be renewed."""


class Problem(msgspec.Struct):
    """Why not, for people."""

    error: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers work with."""

    config: Config
    vault: Vaulted
    door: Door
    newcomers: Newcomers
    passes: Passes
    logins: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LOGINS_AT_ONCE, "login"))

    async def slowly(self, work: Callable[[], T]) -> T:
        """In one of the few threads of logins."""
        return await asyncio.get_running_loop().run_in_executor(self.logins, work)


def parts_of(state: State) -> Parts:
    """What `application` was given."""
    parts: Parts = state.parts
    return parts


Asked = Request[Any, Any, State]

CLOSED: Final = {503: ResponseSpec(Problem, description="nobody can be let in at the moment")}
OPEN: Final = {400: ResponseSpec(Problem, description="the request cannot be understood"), **CLOSED}
KNOWN: Final = {401: ResponseSpec(Problem, description="who asks is not, or no more, let in"), **OPEN}
OWN: Final = {403: ResponseSpec(Problem, description="another page asked"), **KNOWN}
TYPED: Final = {413: ResponseSpec(Problem, description="the request is too large"), **OWN}


async def gone_on(parts: Parts, headers: Mapping[str, str]) -> Opened:
    """The session of the refresh cookie, renewed."""
    held = cookies.read(headers.get("cookie", ""), cookies.REFRESH)
    if held is None:
        raise SessionRefused("no session")
    return await asyncio.to_thread(parts.door.go_on, held, client_of(parts, headers))


async def welcome(parts: Parts, bot: Bot, opened: Opened) -> Response[Who]:
    """A session that began or goes on, in its cookies."""
    access = await asyncio.to_thread(parts.passes.access, opened, bot)
    return Response(Who(opened.user, str(opened.role), ACCESS_SECONDS), cookies=cookies_of(opened, access))


def cookies_of(opened: Opened, access: Secret) -> list[Cookie]:
    """Both cookies of a session."""
    return [
        cookie(cookies.ACCESS, access, ACCESS_SECONDS),
        cookie(cookies.REFRESH, opened.refresh, until(opened.ends)),
    ]


def cookie(name: str, value: Secret | None, seconds: int) -> Cookie:
    """One cookie that no script reads; without a value it is taken away."""
    text = value.reveal() if value else ""
    return Cookie(name, value=text, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict")


def bot_of(parts: Parts, headers: Mapping[str, str]) -> Bot:
    """The bot whose host name was called."""
    bot = parts.config.bot(headers.get("host", ""))
    if bot is None:
        raise TokenRefused("no bot of this name")
    return bot


def own(request: Asked) -> dict[str, str]:
    """The headers of a request that changes something."""
    headers = headers_of(request.scope)
    if not cookies.own_origin(headers):
        raise HTTPException("asked for by another page", status_code=403)
    return headers


def client_of(parts: Parts, headers: Mapping[str, str], known: str | None = None) -> Client:
    """Who asks, as nginx saw him."""
    address, program = headers.get("x-real-ip", "unknown"), headers.get("user-agent", "")[:120]
    return Client(address, program, known, bot_of(parts, headers).name)


async def known(parts: Parts, headers: Mapping[str, str]) -> str | None:
    """Whose living session comes along with a login."""
    try:
        held = await asyncio.to_thread(parts.passes.of, {"cookie": headers.get("cookie", "")}, bot_of(parts, headers))
    except Error:
        return None
    return held.user
