"""The wire: keep-alive HTTP/1.1 over TLS to one address, on the standard library.

Rules:

* TLS 1.2 or later, the peer verified strictly (``VERIFY_X509_STRICT``) against the CA we hold, host name included.
  A replaced CA file is picked up by the next connection.
* A request is sent once. On a kept connection that turned out dead it is sent again, once, on a fresh one: a read
  always (RFC 9110, 9.2.2), a write only if it was not handed over whole. Most dead ones are noticed before use.
* A write that was sent whole and of which the answer was lost is `OutcomeUnknown`; earlier it is `VaultUnreachable`.
* Connections are handed out one thread each; a forked child starts without any.
* Proxy variables of the environment are not obeyed: no third party stands between a token and Vault.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from nasos.errors import CertificateRefused, OutcomeUnknown, TooLarge, VaultError, VaultRefused, VaultUnreachable
from nasos.vault.refusal import READS

CONNECT_TIMEOUT: Final = 3.5  # seconds: the first SYN and its retransmission after 1 s and 3 s (RFC 6298)
KEEP_IDLE: Final = 60.0  # seconds: well inside the server's idle timeout (5 minutes in OpenBao 2.7)
KEEP_COUNT: Final = 8  # idle connections kept; more threads than that pay a handshake now and then
LONGEST_ANSWER: Final = 64 << 20  # bytes; a KV record is under 1 MiB, a list of a million names is under this

PIECE: Final = 1 << 18  # bytes of a streamed answer at a time

LARGE: Final = 1 << 20  # bytes: past a KV entry's limit, a hang-up in mid-request means "too large"

_LOST: Final = (OSError, http.client.HTTPException)

_DATES: Final = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED (openssl-verification-options(1))
_CLOCK_HINT: Final = '"date" shows this machine\'s clock; where it is right: nasos tls status'


class _Unsent(Exception):
    """The connection broke before the whole request was handed to it: no server can have applied it."""


class Wire:
    """A small pool of connections to one Vault address."""

    def __init__(self, address: str, ca_file: Path | None, timeout: float) -> None:
        self._idle: deque[tuple[http.client.HTTPConnection, float]] = deque()
        parts = urlsplit(address)
        self.address = address
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._ca_file = ca_file
        self._timeout = timeout
        self._pid = os.getpid()
        self._context: tuple[tuple[int, int], ssl.SSLContext] | None = None

    def exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send one request; return status and the whole body.

        Raises:
            TooLarge: The server hung up in the middle of a large body.
            VaultUnreachable: No connection, or no answer to a read.
            CertificateRefused: The peer could not be verified; nothing was sent.
            OutcomeUnknown: A write was sent and its answer lost.
        """
        kept = self._kept()
        if kept is not None:
            try:
                return self._once(kept, method, target, body, headers)
            except _Unsent:
                pass
            except _LOST as error:
                # A timeout is no dead connection: asking again would only double the wait.
                if isinstance(error, TimeoutError) or method not in READS:
                    raise self._lost(method, target, error) from None
        try:
            return self._once(self._fresh(), method, target, body, headers)
        except _Unsent as unsent:
            if len(body or b"") > LARGE:
                raise TooLarge("vault hung up on a request of this size", "split the value") from None
            raise VaultUnreachable(f"vault at {self.address} hung up: {unsent}", "nasos status") from None
        except _LOST as error:
            raise self._lost(method, target, error) from None

    def stream(
        self, method: str, target: str, headers: Mapping[str, str], content: BinaryIO | None = None,
        sink: Callable[[bytes], object] | None = None,
    ) -> tuple[int, bytes]:  # fmt: skip
        """One request on a connection of its own, whose body is a file or whose answer goes to ``sink`` piece by piece.

        Raises:
            VaultUnreachable: No connection, or the answer to a read broke off; what ``sink`` got is not the whole.
            CertificateRefused: The peer could not be verified; nothing was sent.
            OutcomeUnknown: The request was sent and its answer lost.
        """
        connection = self._fresh()
        try:
            connection.request(method, target, body=content, headers=headers)
            response = connection.getresponse()
            while sink and response.status < 300 and (piece := response.read(PIECE)):
                sink(piece)
            return response.status, _whole(response)
        except _LOST as error:
            raise self._lost(method, target, error) from None
        finally:
            connection.close()

    def close(self) -> None:
        """Close what is idle; the wire stays usable."""
        while self._idle:
            self._idle.pop()[0].close()

    def __del__(self) -> None:
        # The document's three lines never close: sockets end with the last reference, not with a warning.
        self.close()

    def _once(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes]:  # fmt: skip
        try:
            try:
                connection.request(method, target, body=body, headers=headers)
            except _LOST as error:
                return self._early(connection, error)
            response = connection.getresponse()
            content = _whole(response)
        except BaseException:
            connection.close()
            raise
        if len(content) > LONGEST_ANSWER:
            connection.close()
            raise VaultRefused(f"vault's answer to {method} {target} is larger than {LONGEST_ANSWER} bytes")
        if response.will_close or len(self._idle) >= KEEP_COUNT:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))
        return response.status, content

    def _early(self, connection: http.client.HTTPConnection, error: Exception) -> tuple[int, bytes]:
        """The answer of a server that refused while we still sent (413) and hung up, if it can be had."""
        try:
            if isinstance(error, TimeoutError):
                raise error
            response = connection.getresponse()
            return response.status, response.read(LONGEST_ANSWER)
        except _LOST:
            raise _Unsent(_reason(error)) from None
        finally:
            connection.close()

    def _kept(self) -> http.client.HTTPConnection | None:
        """An idle connection that the server has not closed, newest first."""
        if self._pid != os.getpid():
            self._idle, self._pid = deque(), os.getpid()  # the parent goes on using those sockets
        while True:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                return None
            # Readable while nothing was asked means: closed, or out of step. Either way not ours to use.
            if time.monotonic() - since < KEEP_IDLE and not _readable(connection.sock):
                return connection
            connection.close()

    def _fresh(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._tls:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_TIMEOUT, context=self._tls_context()
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise self._no_connection(error) from None
        connection.sock.settimeout(self._timeout)
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        try:
            status = self._ca_file.stat() if self._ca_file else None
            stamp = (status.st_mtime_ns, status.st_ino) if status else (0, 0)
            if self._context is None or self._context[0] != stamp:
                context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.verify_flags |= ssl.VERIFY_X509_STRICT
                self._context = (stamp, context)
        except OSError as error:  # ssl.SSLError is one
            reason = error.strerror or type(error).__name__
            raise CertificateRefused(
                f"the CA file {self._ca_file} cannot be used: {reason.lower()}", "set VAULT_CACERT to the CA's PEM file"
            ) from None
        return self._context[1]

    def _no_connection(self, error: OSError) -> VaultError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return CertificateRefused(
                f"vault's certificate at {self.address} was refused: {error.verify_message.lower().rstrip('.')}",
                _CLOCK_HINT
                if error.verify_code in _DATES
                else "set VAULT_CACERT to the CA that signed it; do not go on if you did not expect this",
            )
        return VaultUnreachable(f"vault at {self.address} cannot be reached: {_reason(error)}", "nasos status")

    def _lost(self, method: str, target: str, error: Exception) -> VaultError:
        if method in READS:
            return VaultUnreachable(f"vault at {self.address} gave no answer: {_reason(error)}", "nasos status")
        return OutcomeUnknown(
            f"vault's answer to {method} {target} was lost ({_reason(error)}); it may or may not have been applied",
            "read it back before you repeat it",
        )


def _whole(response: http.client.HTTPResponse) -> bytes:
    content = response.read(LONGEST_ANSWER + 1)
    if response.length and len(content) <= LONGEST_ANSWER:  # read() with a limit is silent about a cut answer
        raise http.client.IncompleteRead(b"", response.length)
    return content


def _readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "timed out"
        case ssl.SSLError():
            return f"tls: {(error.reason or 'handshake failed').replace('_', ' ').lower()}"
        case OSError():
            return (error.strerror or "connection failed").lower()
        case _:
            return "connection closed"
