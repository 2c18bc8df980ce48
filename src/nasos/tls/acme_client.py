"""The ACME client (RFC 8555): a connection, an account on it, and orders as the library does not know them yet.

Rules: the library's every error is one of ours when it leaves here; one refused nonce is no answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import requests
from acme import errors, messages
from acme.client import ClientNetwork, ClientV2
from josepy.errors import Error as JoseError
from josepy.json_util import field as json_field
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from nasos import __version__
from nasos.errors import IssuerUnreachable, TlsError
from nasos.secret import Secret
from nasos.tls.acme_refusal import Last, invalid, problem, strange
from nasos.tls.certificate import Key, parse_request

LETS_ENCRYPT: Final = "https://acme-v02.api.letsencrypt.org/directory"
ORDER_SECONDS: Final = 180
"""Patience with the CA's own work, once for authorizations and once for the certificate."""
REQUEST_SECONDS: Final = 30
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


class _Order(messages.NewOrder):
    """A new order that says which certificate it replaces."""

    replaces: str | None = json_field("replaces", omitempty=True)


class Client(ClientV2):
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


class Wire(ClientNetwork):
    """The library's connection, which remembers the last answer and takes no single refused nonce for an answer."""

    last: requests.Response | None = None

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401
        self.last = None
        self.last = super()._send_request(method, url, *args, **kwargs)
        return self.last

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401  the library's signature
        """Ask again where only the nonce was refused."""
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

    def seen(self, host: str) -> Last:
        """What came of the last request, for whoever has to say it."""
        status = self.last.status_code if self.last is not None else 0
        return Last(
            host=host, status=status, until=self.wait_until(datetime.now(UTC)), registered=self.account is not None
        )


@contextlib.contextmanager
def wire(authority: Authority, key: Key) -> Iterator[Wire]:
    """A connection; what goes wrong on it is one of our errors."""
    made = Wire(
        JWKEC(key=key), alg=ES256, user_agent=f"nasos/{__version__}", timeout=REQUEST_SECONDS,
    )  # fmt: skip
    made.verify_ssl = authority.ca_file or True  # type: ignore[assignment]  # requests takes a path, too
    host = urlsplit(authority.directory).netloc
    try:
        yield made
    except requests.exceptions.SSLError:
        raise IssuerUnreachable(
            f"the certificate of {host} is not to be trusted", "ca_file under [tls.acme] names the CA of a private one"
        ) from None
    except requests.RequestException as error:
        raise IssuerUnreachable(
            f"{host} does not answer: {type(error).__name__}", f"curl -sS {authority.directory}"
        ) from None
    except messages.Error as error:
        raise problem(made.seen(host), error) from None
    except errors.ValidationError as error:
        raise invalid(host, error) from None
    except errors.IssuanceError as error:
        raise problem(made.seen(host), error.error) from None
    except errors.TimeoutError:
        raise IssuerUnreachable(f"{host} did not finish within {ORDER_SECONDS} s", "./nasos tls renew") from None
    except (errors.Error, JoseError, msgspec.MsgspecError, KeyError, ValueError, TypeError, AttributeError):
        raise strange(made.seen(host), authority.directory) from None
    finally:
        made.session.close()


@contextlib.contextmanager
def session(authority: Authority, key: Key) -> Iterator[Client]:
    """A connection with an account."""
    with wire(authority, key) as connection:
        client = Client(Client.get_directory(authority.directory, connection), connection)
        wanted = messages.NewRegistration.from_data(
            email=authority.contact,
            terms_of_service_agreed=authority.agreed or None,
            external_account_binding=_binding(client, JWKEC(key=key), authority.external),
        )
        try:
            client.new_account(wanted)
        except errors.ConflictError as known:
            connection.account = messages.RegistrationResource(body=messages.Registration(), uri=known.location)
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
