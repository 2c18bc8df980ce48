"""The addresses of those who enrol their second factor themselves, with a password and a one-time link."""

from __future__ import annotations

from functools import partial

import msgspec
import segno
from litestar import Response, post
from litestar.datastructures import State

from nasos.gateway.asking import TYPED, Asked, Text, Who, bot_of, client_of, own, parts_of, welcome
from nasos.gateway.newcomers import Newcomer
from nasos.secret import Secret


class EnrolRequest(msgspec.Struct):
    """Name, password, and what stands in the link after the ``#``."""

    name: Text
    password: Text
    link: Text


class ConfirmRequest(msgspec.Struct):
    """The same, and the first code."""

    name: Text
    password: Text
    link: Text
    code: Text


class Picture(msgspec.Struct):
    """The second factor for an authenticator app."""

    address: str
    """What the QR code says."""
    size: int
    """Modules at each side of it."""
    path: str
    """Its dark modules, as an SVG path."""


@post("/auth/enrolment", status_code=200, responses=TYPED)
async def look(data: EnrolRequest, request: Asked, state: State) -> Picture:
    """Show the second factor that waits for this person; nothing is enrolled by that."""
    parts, headers = parts_of(state), own(request)
    who = Newcomer(data.name, Secret(data.password), Secret(data.link))
    work = partial(parts.newcomers.look, who, client_of(parts, headers))
    return _picture(await parts.slowly(work))


@post("/auth/enrolment/confirm", status_code=200, responses=TYPED)
async def confirm(data: ConfirmRequest, request: Asked, state: State) -> Response[Who]:
    """Enrol by the first code, and log in; the link is used up."""
    parts, headers = parts_of(state), own(request)
    who = Newcomer(data.name, Secret(data.password), Secret(data.link))
    work = partial(parts.newcomers.confirm, who, data.code, client_of(parts, headers))
    return await welcome(parts, bot_of(parts, headers), await parts.slowly(work))


def _picture(address: Secret) -> Picture:
    rows = segno.make(address.reveal(), error="m").matrix
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark)
    return Picture(address.reveal(), len(rows), path)
