"""The bot's API speaks TLS, and nothing else.

Rules:

* Certificate and key come from the launcher each time the API starts, and again when they were renewed; the key is on
  an anonymous file for the moment in which OpenSSL reads it.
* A renewed one is chosen whole, handshake by handshake: changed in place, OpenSSL has a certificate without its key for
  a moment, and a handshake just then fails (measured).
* TLS 1.3 only: the peers are our own nginx, launcher and checks.
* An API that would start without it ends the bot: freqtrade would log the exception and trade on.
"""

from __future__ import annotations

import inspect
import os
import ssl
from collections.abc import Callable
from typing import Any, NoReturn

from nasos.bot.inside.familiar import unfamiliar
from nasos.errors import BotError, Error
from nasos.files import anonymous_file
from nasos.secret import Secret


class ApiTls:
    """TLS of the one API in this process."""

    def __init__(self, fetch: Callable[[], Secret], refuse: Callable[[Error], NoReturn]) -> None:
        self._fetch = fetch
        self._refuse = refuse
        self._current: ssl.SSLContext | None = None
        self._installed = False

    def require(self) -> None:
        """From now on an API server starts with TLS (safe to repeat).

        Raises:
            BotError: freqtrade or uvicorn start it in another way than the one that we know.
        """
        if self._installed:
            return
        import uvicorn
        from freqtrade.rpc.api_server import webserver

        make: Callable[[Any], Any] | None = getattr(webserver, "UvicornServer", None)
        if not callable(make) or "ssl_context_factory" not in inspect.signature(uvicorn.Config).parameters:
            raise unfamiliar("UvicornServer with ssl_context_factory", "its API would not be encrypted")

        def server(config: Any) -> Any:  # noqa: ANN401  uvicorn's own
            try:
                self._secure(config)
            except Error as error:
                self._refuse(error)
            return make(config)

        webserver.UvicornServer = server
        self._installed = True

    def renew(self, pem: Secret) -> None:
        """Use another certificate and key, from the next handshake on.

        Raises:
            BotError: They cannot be read, or no API is running; the one of before stays.
        """
        if self._current is None:
            raise BotError("the bot has no API")
        self._current = context_of(pem)

    def _secure(self, config: Any) -> None:  # noqa: ANN401
        context = context_of(self._fetch())
        context.sni_callback = self._choose
        config.ssl_context_factory = lambda *_: context
        config.load()
        if config.ssl is not context:
            raise unfamiliar("UvicornServer that takes our TLS", "its API would not be encrypted")
        self._current = context

    def _choose(self, handshake: Any, *_: object) -> None:  # noqa: ANN401  SSLObject or SSLSocket
        handshake.context = self._current


def context_of(pem: Secret) -> ssl.SSLContext:
    """TLS for a server with this key and certificate chain.

    Raises:
        BotError: They are none, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # OpenSSL's own list has secp521r1 and X448, which Mozilla's profile has not; Python can name one group only.
    context.set_ecdh_curve("prime256v1")
    # OpenSSL reads keys from files only; this one has no path and is gone with its descriptor.
    fd = anonymous_file("nasos-certificate", pem.reveal().encode())
    try:
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise BotError(f"the certificate of the bot's API cannot be used: {reason}", "nasos tls setup") from None
    finally:
        os.close(fd)
    return context
