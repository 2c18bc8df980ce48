"""An issuer by ACME (RFC 8555) with DNS-01: Let's Encrypt, or a private CA that speaks it.

Rules:

* The account is its key, made here, in a 0600 file; its address is asked for each time (RFC 8555 7.3.1), so that there
  is nothing else to lose.
* The CA is told to look only after every challenge was seen in the DNS; what was put there is taken away again,
  whatever happened.
* A renewal says what it replaces (RFC 9773 5): Let's Encrypt exempts those from its limits.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec
from acme import challenges, messages
from cryptography import x509

from nasos.errors import IssuerRefused, TlsError
from nasos.tls.acme_client import ORDER_SECONDS, Authority, Client, session, wire
from nasos.tls.acme_refusal import plain
from nasos.tls.certificate import Key, parse_request
from nasos.tls.chain import Chain
from nasos.tls.dns01 import Record, Solver
from nasos.tls.issuer import Advice

ASK_AGAIN: Final = timedelta(hours=6)
"""For renewal information, where the CA does not say (RFC 9773 4.3.3)."""


class Published(Protocol):
    """Whether challenges can be seen."""

    def wait(self, records: Iterable[Record]) -> None:
        """Return when they can.

        Raises:
            TlsError: Not in time.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Acme:
    """An `Issuer`."""

    authority: Authority
    account: Key
    solver: Solver
    published: Published
    replaces: bytes | None = None
    """The chain that the new one is for."""
    warn: Callable[[str], None] = lambda _text: None
    """Told what went wrong without harm."""

    def issue(self, csr: bytes, *, now: datetime) -> bytes:
        """See `Issuer.issue`.

        Raises:
            IssuerUnreachable: No answer; nothing is lost, try later.
            IssuerBusy: Try later; says when, where the CA does.
            IssuerRefused: A person has to look.
            TlsError: The request, or the program that writes the zone, is not in order.
        """
        if list(parse_request(csr).subject):
            raise TlsError("a request to a public CA names its hosts only, and has no subject")
        with session(self.authority, self.account) as client:
            order = client.order(csr, self.authority.profile, _identifier(self.replaces))
            with self._answered(client, order):
                order = client.poll_authorizations(order, _deadline())
            done = client.finalize_order(order, _deadline())
        return str(done.fullchain_pem).encode()

    def advice(self, chain: bytes, *, now: datetime) -> Advice | None:
        """See `Issuer.advice`."""
        if now >= Chain.parse(chain).leaf.not_valid_after_utc or not (name := _identifier(chain)):
            return None  # RFC 9773 4.3: not after it has expired
        with wire(self.authority, self.account) as connection:
            directory = Client.get_directory(self.authority.directory, connection)
            if "renewalInfo" not in directory.to_partial_json():
                return None
            found = connection.get(f"{directory['renewalInfo'].rstrip('/')}/{name}")
            told = msgspec.json.decode(found.content, type=_RenewalInfo)
        window = told.suggestedWindow
        if window.start.tzinfo is None or window.end.tzinfo is None or window.end < window.start:
            raise IssuerRefused("the CA's advice on renewal makes no sense")
        return Advice(
            window.start, window.end, connection.wait_until(now) or now + ASK_AGAIN, plain(told.explanationURL)
        )

    @contextlib.contextmanager
    def _answered(self, client: Client, order: messages.OrderResource) -> Iterator[None]:
        """Every open challenge is in the DNS and the CA was told; afterwards they are taken away."""
        open_ones = [_dns01(each) for each in order.authorizations if each.body.status != messages.STATUS_VALID]
        records, put = [], []
        try:
            for host, challenge in open_ones:
                value = challenge.chall.validation(client.net.key)
                record = Record(challenge.chall.validation_domain_name(host), value)
                records.append(record)
                put.append(record)
                self.solver.present(record)
            self.published.wait(records)
            for _, challenge in open_ones:
                client.answer_challenge(challenge, challenge.chall.response(client.net.key))
            yield
        finally:
            for record in put:
                try:
                    self.solver.cleanup(record)
                except TlsError as error:  # a record that stays does no harm; a certificate lost over it would
                    self.warn(error.message)


class _Window(msgspec.Struct, frozen=True):
    start: datetime
    end: datetime


class _RenewalInfo(msgspec.Struct, frozen=True):
    suggestedWindow: _Window  # noqa: N815  RFC 9773's name
    explanationURL: str = ""  # noqa: N815  the same


def _dns01(authorization: messages.AuthorizationResource) -> tuple[str, messages.ChallengeBody]:
    for each in authorization.body.challenges:
        if isinstance(each.chall, challenges.DNS01):
            return authorization.body.identifier.value, each
    raise IssuerRefused(f"the CA offers no DNS challenge for {plain(authorization.body.identifier.value)}")


def _identifier(chain: bytes | None) -> str:
    """A certificate's name for renewal information (RFC 9773 4.1); empty where it has none."""
    if chain is None:
        return ""
    try:
        leaf = Chain.parse(chain).leaf
        issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (TlsError, x509.ExtensionNotFound, ValueError):
        return ""
    number = leaf.serial_number
    # A DER integer: signed, so that a byte of zeros stands before a first bit that is set.
    serial = number.to_bytes(number.bit_length() // 8 + 1, "big")
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (issuer or b"", serial)]
    return ".".join(parts) if issuer else ""


def _deadline() -> datetime:
    # Naive and local: the library compares it with its own `datetime.now()`.
    return datetime.now() + timedelta(seconds=ORDER_SECONDS)  # noqa: DTZ005
