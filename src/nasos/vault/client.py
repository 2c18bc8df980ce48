"""One request to Vault or OpenBao: JSON in, JSON out, every refusal a typed error.

Rules:

* A token goes over TLS only; plain http is possible for a loopback address that was allowed by name.
* `Secret` values in a body are revealed here, at the wire, and nowhere else; no error text holds a value or a token.
* No retry hides in here (`retry.py` decides): one call is one request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from nasos.errors import CredentialRejected, NameRefused, TooLarge, VaultError, VaultRefused
from nasos.secret import Secret
from nasos.settings import vault_address
from nasos.vault.refusal import Confidential, refusal
from nasos.vault.wire import Wire

TIMEOUT: Final = 10.0  # seconds without a byte of answer; raft elections after a lost leader take up to 2 s
LARGEST_REQUEST: Final = 32 << 20  # bytes: max_request_size of Vault and OpenBao; past it they hang up in mid-sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said, refusals included."""

    method: str
    path: str
    status: int
    body: dict[str, object] = field(repr=False)
    confidential: Confidential = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it is a yes."""
        return 200 <= self.status < 300

    @property
    def errors(self) -> tuple[str, ...]:
        """The server's own words; they may echo what was sent."""
        said = self.body.get("errors")
        return tuple(text for text in said if isinstance(text, str)) if isinstance(said, list) else ()

    def refusal(self) -> VaultError:
        """The typed error for a no."""
        return refusal(self.method, self.path.partition("?")[0], self.status, self.errors, self.confidential)


class VaultApi:
    """The HTTP API of one Vault or OpenBao address."""

    def __init__(
        self,
        address: str,
        ca_file: Path | None,
        namespace: str | None = None,
        timeout: float = TIMEOUT,
        *,
        allow_plain: bool = False,
    ) -> None:
        self.address = vault_address(address, allow_plain=allow_plain)
        self._wire = Wire(self.address, ca_file, timeout)
        self._headers = {"X-Vault-Request": "true"} | ({"X-Vault-Namespace": namespace} if namespace else {})

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        token: Secret | None = None,
        wrap_ttl: str | None = None,
    ) -> dict[str, object]:
        """Send one request; return the decoded answer (``{}`` when there is none). ``path`` is without ``/v1/``.

        Raises:
            VaultError: One of its subclasses, by what the server said or by how it could not be asked.
        """
        answer = self.exchange(method, path, body, token=token, wrap_ttl=wrap_ttl)
        if not answer.ok:
            raise answer.refusal()
        return answer.body

    def exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        token: Secret | None = None,
        wrap_ttl: str | None = None,
    ) -> Answer:
        """Like `request`, but a refusal is returned: some of them carry data (a deleted version, a health code).

        Raises:
            VaultError: The server could not be asked, or what answered is no Vault.
        """
        _require_path(path)
        headers = dict(self._headers)
        if token is not None:
            headers["X-Vault-Token"] = _header_safe(token)
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        if wrap_ttl:
            headers["X-Vault-Wrap-TTL"] = wrap_ttl
        content = None if body is None else msgspec.json.encode(body, enc_hook=_revealed)
        if content is not None and len(content) > LARGEST_REQUEST:
            raise TooLarge(f"the request for {path} is larger than vault accepts", "split the value")
        status, raw = self._wire.exchange(method, f"/v1/{path}", content, headers)
        return Answer(
            method=method,
            path=path,
            status=status,
            body=self._decoded(raw, status),
            confidential=Confidential(body, token),
        )

    def download(self, path: str, sink: Callable[[bytes], object], *, token: Secret) -> None:
        """Hand an answer that is no JSON to ``sink``, piece by piece.

        Raises:
            VaultError: The server refused, or the answer broke off.
        """
        self._streamed("GET", path, token, sink=sink)

    def upload(self, path: str, content: BinaryIO, *, token: Secret) -> None:
        """Send the rest of a file as it is.

        Raises:
            VaultError: The server refused it, or its answer was lost.
        """
        self._streamed("POST", path, token, content=content)

    def _streamed(
        self, method: str, path: str, token: Secret, *,
        content: BinaryIO | None = None, sink: Callable[[bytes], object] | None = None,
    ) -> None:  # fmt: skip
        _require_path(path)
        headers = self._headers | {"X-Vault-Token": _header_safe(token)}
        if content is not None:
            headers["Content-Length"] = str(os.fstat(content.fileno()).st_size - content.tell())
        status, raw = self._wire.stream(method, f"/v1/{path}", headers, content, sink)
        if not 200 <= status < 300:
            body = self._decoded(raw, status)
            raise Answer(
                method=method, path=path, status=status, body=body, confidential=Confidential(None, token)
            ).refusal()

    def close(self) -> None:
        """Close idle connections; the object stays usable."""
        self._wire.close()

    def _decoded(self, raw: bytes, status: int) -> dict[str, object]:
        if not raw.strip():
            return {}
        try:
            return msgspec.json.decode(raw, type=dict[str, object])
        except msgspec.MsgspecError:
            if status in (413, 429, 503):
                return {}  # proxies and Go's own limits say these in plain text, and the status says it all
            raise VaultRefused(
                f"what answers at {self.address} is no vault: status {status} without JSON",
                "check VAULT_ADDR: scheme, host and port",
            ) from None


def _require_path(path: str) -> None:
    if not path.isascii() or not path.isprintable() or " " in path:
        raise NameRefused(f"{path[:200]!r} cannot be a path of vault's API")


def _revealed(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a request body cannot hold {type(value).__name__}")


def _header_safe(token: Secret) -> str:
    text = token.reveal()
    # http.client's own complaint would quote the value.
    if not text.isascii() or not text.isprintable():
        raise CredentialRejected("the token holds characters that no vault token has", "set VAULT_TOKEN anew")
    return text
