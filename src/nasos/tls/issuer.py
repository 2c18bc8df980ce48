"""The seam to whoever signs: the development CA, ACME, and what may come (Cloudflare Origin CA, Vault PKI).

Rules:

* A request (CSR) goes in, a chain comes out, PEM, leaf first, without the root. The key never leaves the machine that
  made it. An issuer takes names and public key from the request; every other part of the certificate is its own.
* The answer is not believed: whoever installs a chain judges it first (``chain``).
* What goes wrong is a ``TlsError``: `IssuerUnreachable` and `IssuerBusy` may pass by waiting, `IssuerRefused` needs
  a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Advice:
    """When the issuer wants one certificate to be renewed (RFC 9773, renewal information)."""

    start: datetime
    end: datetime
    """Some instant between the two, chosen by the client."""
    ask_again: datetime
    """The advice may change; not to be asked for before."""
    explanation: str = ""
    """A page that says why, where the issuer names one."""


class Issuer(Protocol):
    """Who signs."""

    def issue(self, csr: bytes, *, now: datetime) -> bytes:
        """Sign the request.

        Raises:
            TlsError: The request is malformed or asks for more than this issuer may sign, or the issuer cannot be
                asked now.
        """
        ...

    def advice(self, chain: bytes, *, now: datetime) -> Advice | None:
        """When to renew the certificate that ``chain`` begins with; None where the issuer has no opinion.

        Raises:
            TlsError: It may have one, and cannot be asked now.
        """
        ...
