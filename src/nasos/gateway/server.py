"""The gateway as a server: TLS on loopback, for one client.

Rules: TLS 1.3 with a certificate of our CA on both sides; who shows another name than nginx's is not listened to, so
that no other program of this machine can claim an address of a client, or have a bot's token minted. A renewed
certificate is used within a minute; open connections stay. uvloop: a fifth less CPU per decision than asyncio's own
loop (215 against 280 microseconds in turns on one machine), most of it in TLS.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nasos.errors import GatewayError, TlsError
from nasos.gateway.api_tokens import ApiTokens
from nasos.gateway.app import application
from nasos.gateway.asking import Parts
from nasos.gateway.config import Bot, Config
from nasos.gateway.decision import Decision
from nasos.gateway.door import Door
from nasos.gateway.enrolments import Enrolments
from nasos.gateway.newcomers import Newcomers
from nasos.gateway.passes import Passes
from nasos.gateway.sessions import Sessions
from nasos.gateway.spent import Spent
from nasos.gateway.storage import Storage
from nasos.gateway.streams import Streams
from nasos.gateway.throttle import Throttle
from nasos.gateway.told import Told
from nasos.gateway.vaulted import connected

LOOK: Final = 20.0
"""Seconds between two looks at the certificate's file."""
TIDY: Final = 3600.0
"""Seconds between two looks for sessions and tokens that can matter no more."""
Tidy = Callable[[datetime], int]
KEEP_ALIVE: Final = 75
"""Seconds; nginx lets go of an idle connection before (30), so that none ends under a request."""


def serve(config: Config) -> None:
    """Serve until SIGTERM.

    Raises:
        FileRefused: The database or the credential cannot be used.
        TlsError: The certificate cannot be used.
    """
    vault = connected(config.vault, config.tls / "ca.pem", config.credential)
    storage, told = Storage.open(config.database), Told(config.ledger)
    sessions, machines = Sessions(storage), ApiTokens(storage)
    passes = Passes(vault, sessions, machines)
    decision = Decision(config, passes, vault, told)
    links = Enrolments(storage)
    door = Door(vault, sessions, Spent(storage), links, Throttle(), told)
    streams = Streams(config, passes, decision, vault, told, {bot: _outward(config, bot) for bot in config.bots})
    inward = _inward(config)
    try:
        site = application(Parts(config, vault, door, Newcomers(door, links), passes), decision, streams)
        uvloop.run(_run(config, site, inward, (sessions.tidy, machines.tidy)))
    finally:
        storage.close()
        vault.close()


async def _run(
    config: Config,
    app: Any,  # noqa: ANN401  an ASGI application
    context: ssl.SSLContext,
    tidy: Sequence[Tidy],
) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=config.port, http=_named(config.client), ws="websockets-sansio",
            loop="asyncio", lifespan="off", interface="asgi3", ssl_context_factory=lambda *_: context,
            log_config=None, access_log=False, proxy_headers=False, server_header=False, date_header=False,
            timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=3, ws_max_size=1 << 20,
        )
    )  # fmt: skip
    works = [asyncio.create_task(_kept_fresh(config, context)), asyncio.create_task(_kept_small(tidy))]
    await server.serve()
    for work in works:
        work.cancel()


async def _kept_small(tidy: Sequence[Tidy]) -> None:
    while True:
        for each in tidy:
            with suppress(GatewayError):  # a full disk is said by whoever has something to store
                await asyncio.to_thread(each, datetime.now(UTC))
        await asyncio.sleep(TIDY)


async def _kept_fresh(config: Config, context: ssl.SSLContext) -> None:
    path = config.tls / "gateway.pem"
    seen = path.stat().st_mtime_ns
    while True:
        await asyncio.sleep(LOOK)
        with suppress(OSError, ssl.SSLError):
            if (now := path.stat().st_mtime_ns) != seen:
                context.load_cert_chain(path, config.tls / "gateway.key")
                seen = now


def _inward(config: Config) -> ssl.SSLContext:
    """For nginx alone."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(config.tls / "ca.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    # OpenSSL's own list has secp521r1 and X448, which Mozilla's profile has not; Python can name one group only.
    context.set_ecdh_curve("prime256v1")
    try:
        context.load_cert_chain(config.tls / "gateway.pem", config.tls / "gateway.key")
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"the gateway's certificate cannot be used: {error}", "nasos tls setup") from None
    return context


def _outward(config: Config, bot: Bot) -> ssl.SSLContext:
    """To one bot, and to no other: each may have been signed by somebody else."""
    try:
        context = ssl.create_default_context(cafile=str(bot.ca or config.tls / "ca.pem"))
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"the CA of the bot {bot.name} cannot be used: {error}", "ca_file under [gateway.bots]"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Others' certificates are often made by one line of openssl, which leaves out what RFC 5280 wants of a CA.
    strict = ssl.VERIFY_X509_STRICT
    context.verify_flags = context.verify_flags & ~strict if bot.ca else context.verify_flags | strict
    return context


def _named(client: str) -> type[asyncio.Protocol]:
    """HTTP for a client whose certificate carries this name; others are hung up on."""

    class Named(HttpToolsProtocol):
        def connection_made(self, transport: Any) -> None:  # noqa: ANN401  asyncio's, or its TLS
            shown = transport.get_extra_info("peercert") or {}
            names = [value for kind, value in shown.get("subjectAltName", ()) if kind == "DNS"]
            super().connection_made(transport)
            if names != [client]:
                sys.stderr.write("nasos: note: a client without nginx's certificate was not listened to\n")
                transport.abort()

    return Named
