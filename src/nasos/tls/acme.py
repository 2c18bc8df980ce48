"""An issuer by ACME (RFC 8555) with DNS-01: Let's Encrypt, or a private CA that speaks it.

Rules:

* The account is its key, made here, in a 0600 file; its address is asked for each time (RFC 8555 7.3.1), so that there
  is nothing else to lose.
* The CA is told to look only after every challenge was seen in the DNS; what was put there is taken away again,
  whatever happened.
* A renewal says what it replaces (RFC 9773 5): Let's Encrypt exempts those from its limits.
* What the CA says is text of a stranger: cut, and without control characters.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from josepy.errors import Error as JoseError
from josepy.json_util import field as json_field
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from nasos import __version__
from nasos.errors import IssuerBusy, IssuerRefused, IssuerUnreachable, TlsError
from nasos.secret import Secret
from nasos.tls.certificate import Key, parse_request
from nasos.tls.chain import Chain
from nasos.tls.dns01 import Record, Solver
from nasos.tls.issuer import Advice

LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
ORDER_SECONDS: Final = 180
"""Patience with the CA's own work, once for authorizations and once for the certificate."""
REQUEST_SECONDS: Final = 30
ASK_AGAIN: Final = timedelta(hours=6)
"""For renewal information, where the CA does not say (RFC 9773 4.3.3)."""
LONGEST_WAIT: Final = timedelta(days=366)
"""What is more than that in a Retry-After is no number of seconds."""
NONCE_TRIES: Final = 5
"""A CA may refuse any nonce (RFC 8555 6.5); Pebble refuses one in twenty on purpose."""


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """What ties the account to one at the CA's (RFC 8555 7.3.4)."""

    kid: str
    key: Secret
    """base64url, as CAs hand it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Which CA, and as whom."""

    directory: str = LETS_ENCRYPT
    contact: str | None = None
    """Mail address for the CA."""
    agreed: bool = False
    """Whether the operator agrees to its terms."""
    ca_file: str | None = None
    """Who signed the certificate of the directory itself; the library's public roots when not given."""
    external: ExternalAccount | None = None
    profile: str | None = None
    """What kind of certificate, where the CA has several (``shortlived``)."""


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
        with _session(self.authority, self.account) as client:
            order = client.order(csr, self.authority.profile, _identifier(self.replaces))
            with self._answered(client, order):
                order = client.poll_authorizations(order, _deadline())
            done = client.finalize_order(order, _deadline())
        return str(done.fullchain_pem).encode()

    def advice(self, chain: bytes, *, now: datetime) -> Advice | None:
        """See `Issuer.advice`."""
        if now >= Chain.parse(chain).leaf.not_valid_after_utc or not (name := _identifier(chain)):
            return None  # RFC 9773 4.3: not after it has expired
        with _wire(self.authority, self.account) as wire:
            directory = ClientV2.get_directory(self.authority.directory, wire)
            if "renewalInfo" not in directory.to_partial_json():
                return None
            found = wire.get(f"{directory['renewalInfo'].rstrip('/')}/{name}")
            told = msgspec.json.decode(found.content, type=_RenewalInfo)
        window = told.suggestedWindow
        if window.start.tzinfo is None or window.end.tzinfo is None or window.end < window.start:
            raise IssuerRefused("the CA's advice on renewal makes no sense")
        return Advice(window.start, window.end, wire.wait_until(now) or now + ASK_AGAIN, _plain(told.explanationURL))

    @contextlib.contextmanager
    def _answered(self, client: _Client, order: messages.OrderResource) -> Iterator[None]:
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


class _Order(messages.NewOrder):
    """A new order that says which certificate it replaces."""

    replaces: str | None = json_field("replaces", omitempty=True)


class _Client(ClientV2):
    """The library's client, and what it does not know of an order yet."""

    def order(self, csr: bytes, profile: str | None, replaces: str) -> messages.OrderResource:
        """Like `new_order`."""
        hosts = parse_request(csr).hosts
        names = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=str(host)) for host in hosts]
        knows = "renewalInfo" in self.directory.to_partial_json()
        wanted = _Order(identifiers=names, profile=profile or "", replaces=replaces if replaces and knows else None)
        answer = self._post(self.directory["newOrder"], wanted)
        body = messages.Order.from_json(answer.json())
        found = [self._authzr_from_response(self._post_as_get(url), uri=url) for url in body.authorizations]
        return messages.OrderResource(body=body, uri=answer.headers.get("Location"), authorizations=found, csr_pem=csr)


class _Wire(ClientNetwork):
    """The library's connection, which remembers the last answer and takes no single refused nonce for an answer."""

    last: requests.Response | None = None

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        self.last = None
        self.last = super()._send_request(method, url, *args, **kwargs)
        return self.last

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  the library's signature
        for left in reversed(range(NONCE_TRIES)):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce" or not left:
                    raise
        raise AssertionError

    def wait_until(self, now: datetime) -> datetime | None:
        """What the last answer asks for (RFC 9110 10.2.3): seconds, or a date."""
        text = self.last.headers.get("Retry-After", "").strip() if self.last is not None else ""
        if text.isascii() and text.isdigit():
            return now + min(timedelta(seconds=int(text[:12])), LONGEST_WAIT)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return min(max(moment, now), now + LONGEST_WAIT)


@contextlib.contextmanager
def _wire(authority: Authority, key: Key) -> Iterator[_Wire]:
    """A connection; what goes wrong on it is one of our errors."""
    wire = _Wire(
        JWKEC(key=key), alg=ES256, user_agent=f"nasos/{__version__}", timeout=REQUEST_SECONDS,
    )  # fmt: skip
    wire.verify_ssl = authority.ca_file or True  # type: ignore[assignment]  # requests takes a path, too
    host = urlsplit(authority.directory).netloc
    try:
        yield wire
    except requests.exceptions.SSLError:
        raise IssuerUnreachable(
            f"the certificate of {host} is not to be trusted", "ca_file under [tls.acme] names the CA of a private one"
        ) from None
    except requests.RequestException as error:
        raise IssuerUnreachable(
            f"{host} does not answer: {type(error).__name__}", f"curl -sS {authority.directory}"
        ) from None
    except messages.Error as error:
        raise _problem(host, error, wire) from None
    except errors.ValidationError as error:
        raise _invalid(host, error) from None
    except errors.IssuanceError as error:
        raise _problem(host, error.error, wire) from None
    except errors.TimeoutError:
        raise IssuerUnreachable(f"{host} did not finish within {ORDER_SECONDS} s", "./nasos tls renew") from None
    except (errors.Error, JoseError, msgspec.MsgspecError, KeyError, ValueError, TypeError, AttributeError):
        raise _strange(host, authority, wire) from None
    finally:
        wire.session.close()


@contextlib.contextmanager
def _session(authority: Authority, key: Key) -> Iterator[_Client]:
    """A connection with an account."""
    with _wire(authority, key) as wire:
        client = _Client(_Client.get_directory(authority.directory, wire), wire)
        wanted = messages.NewRegistration.from_data(
            email=authority.contact,
            terms_of_service_agreed=authority.agreed or None,
            external_account_binding=_binding(client, JWKEC(key=key), authority.external),
        )
        try:
            client.new_account(wanted)
        except errors.ConflictError as known:
            wire.account = messages.RegistrationResource(body=messages.Registration(), uri=known.location)
        yield client


def _binding(client: ClientV2, key: JWKEC, external: ExternalAccount | None) -> dict[str, Any] | None:
    if external is None:
        return None
    try:
        return messages.ExternalAccountBinding.from_data(
            key.public_key(), external.kid, external.key.reveal(), client.directory
        )
    except (ValueError, TypeError):
        raise TlsError(
            "the key of the external account is not base64url", "eab_key_file under [tls.acme] names its file"
        ) from None


def _dns01(authorization: messages.AuthorizationResource) -> tuple[str, messages.ChallengeBody]:
    for each in authorization.body.challenges:
        if isinstance(each.chall, challenges.DNS01):
            return authorization.body.identifier.value, each
    raise IssuerRefused(f"the CA offers no DNS challenge for {_plain(authorization.body.identifier.value)}")


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


def _plain(text: str | None) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", text or "")[:200].strip()


_HINTS: Final = {
    "externalAccountRequired": "eab_kid and eab_key_file under [tls.acme], as the CA hands them out",
    "userActionRequired": "agree_to_terms = true under [tls.acme], when you have read the CA's terms",
    "rejectedIdentifier": "hosts under [tls]: a public CA signs public names only",
    "invalidContact": "contact under [tls.acme] is your mail address",
    "caa": "a CAA record of the zone forbids this CA",
    "accountDoesNotExist": "./nasos tls renew",
}
_TERMS: Final = re.compile(r"terms|agree", re.IGNORECASE)


def _problem(host: str, error: messages.Error, wire: _Wire) -> TlsError:
    """What a problem document (RFC 7807) means."""
    code, said = error.code or "", _plain(error.detail or error.title) or "no reason given"
    until = wire.wait_until(datetime.now(UTC))
    status = wire.last.status_code if wire.last is not None else 0
    if code == "rateLimited" or status in (429, 503):
        return IssuerBusy(f"{host} asks for patience: {said}", _later(until), until=until)
    if status >= 500:
        return IssuerUnreachable(f"{host} has trouble of its own: {said}", _later(until))
    hint = _HINTS.get(code)
    if hint is None and not wire.account and _TERMS.search(said):
        hint = _HINTS["userActionRequired"]
    return IssuerRefused(f"{host} refuses ({_plain(code) or 'no type'}): {said}", hint)


def _invalid(host: str, error: errors.ValidationError) -> IssuerRefused:
    reasons = [
        f"{_plain(each.body.identifier.value)}: {_plain(challenge.error.detail)}"
        for each in error.failed_authzrs for challenge in each.body.challenges if challenge.error is not None
    ]  # fmt: skip
    return IssuerRefused(
        f"{host} does not accept the challenge for {'; '.join(reasons)}", "dig TXT shows what the DNS answers"
    )


def _strange(host: str, authority: Authority, wire: _Wire) -> TlsError:
    """An answer without a meaning."""
    status = wire.last.status_code if wire.last is not None else 0
    until = wire.wait_until(datetime.now(UTC))
    if status in (429, 503):
        return IssuerBusy(f"{host} asks for patience ({status})", _later(until), until=until)
    return IssuerUnreachable(f"{host} answers, but not as an ACME server ({status})", f"curl -sS {authority.directory}")


def _later(until: datetime | None) -> str:
    return f"it is tried again after {until:%Y-%m-%d %H:%M} UTC" if until else "it is tried again by itself"
