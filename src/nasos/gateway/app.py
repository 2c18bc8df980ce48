"""The gateway as one ASGI application.

Rules: what is asked for every request of the bot (`decision`) and the stream of messages (`streams`) are bare ASGI;
the rest is Litestar, which describes itself (OpenAPI). One answer for each kind of trouble.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from nasos import __version__
from nasos.errors import Error, LoginFailed, SessionRefused, TokenRefused
from nasos.gateway import enrolling, logins
from nasos.gateway.asking import OPEN, Parts, Problem, parts_of
from nasos.gateway.decision import PATH, Decision
from nasos.gateway.streams import STREAM, Streams
from nasos.gateway.tokens import jwks

LARGEST_BODY: Final = 8192


@get("/.well-known/jwks.json", responses=OPEN)
async def keys(state: State) -> dict[str, Sequence[Mapping[str, str]]]:
    """The public keys that access tokens are verified by (RFC 7517)."""
    ring = await asyncio.to_thread(parts_of(state).vault.ring)
    return dict(jwks(ring, datetime.now(UTC)))


@get("/auth/health", include_in_schema=False)
async def health(state: State) -> dict[str, int]:
    """An audited read of Vault, and the keys that sign."""
    vault = parts_of(state).vault
    await asyncio.to_thread(vault.ring)
    return {"version": await asyncio.to_thread(vault.proven)}


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
    logins.log_in, logins.refresh, logins.log_out, logins.log_out_everywhere, logins.me, logins.token,
    logins.freqtrades_login, logins.freqtrades_refresh, enrolling.look, enrolling.confirm, keys, health,
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
