"""People: who logs in with a name and a password, as operator or as viewer.

Rules: an auth mount of our own (userpass at ``auth/nasos-people/``), so that no other team's people are ever touched;
a name cannot be a service's; a token lasts a working day and is not renewed; whoever loses the password or
the account loses every login at once. Lockout is off, because anybody who knows a name could lock its owner out: the
login limit, bcrypt and long passwords do that work. A second factor comes with the gateway.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from nasos.errors import NameRefused, OutcomeUnknown, SecretNotFound, UsageError, VaultRefused, VaultUnreachable
from nasos.secret import Secret
from nasos.vault.client import VaultApi
from nasos.vault.roles import SERVICES

MOUNT: Final = "nasos-people"
LOGIN_TTL: Final = 8 * 3600
"""Seconds that a login lasts."""
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 72
"""Bytes: bcrypt reads no more, and the servers refuse more."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_TAKEN: Final = frozenset({*SERVICES, "root", "nasos", "housekeeping"})


class Rights(enum.StrEnum):
    """What a person may do: the policy ``nasos-<rights>``."""

    OPERATOR = "operator"
    TRADER = "trader"
    """To Vault a viewer; at the gateway he may trade."""
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in."""

    name: str
    rights: Rights | None
    """None: somebody gave other policies than nasos does."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The answer to a login."""

    token: Secret
    rights: Rights | None
    seconds: int
    """How long the token lasts."""


class _User(msgspec.Struct):
    token_policies: list[str] = []


class _Auth(msgspec.Struct):
    client_token: str
    lease_duration: int
    policies: list[str] = []


def person_name(text: str) -> str:
    """``text``, if a person can be called that.

    Raises:
        NameRefused: Another alphabet, or the name of a service: the ledger could not tell them apart.
    """
    if not _NAME.fullmatch(text):
        raise NameRefused(f"{text!r} cannot be a person's name", "use a-z, 0-9 and -, starting with a letter")
    if text in _TAKEN or text.startswith("bot-"):
        raise NameRefused(f"{text} is the name of a service", "choose another one")
    return text


def good_password(password: Secret) -> Secret:
    """``password``, if it can keep a guesser out.

    Raises:
        UsageError: Too short, or longer than what bcrypt reads.
    """
    length = len(password.reveal().encode("utf-8", "surrogatepass"))
    if length < SHORTEST_PASSWORD:
        raise UsageError(f"the password is shorter than {SHORTEST_PASSWORD} bytes", "choose some words, or a generator")
    if length > LONGEST_PASSWORD:
        raise UsageError(f"the password is longer than {LONGEST_PASSWORD} bytes", "choose a shorter one")
    return password


def possible_password(password: Secret) -> bool:
    """Whether anybody could have it: the servers refuse what is empty, no Unicode, or longer than bcrypt reads."""
    try:
        return 0 < len(password.reveal().encode()) <= LONGEST_PASSWORD
    except UnicodeEncodeError:
        return False


def people(api: VaultApi, token: Secret) -> tuple[Person, ...]:
    """Everybody who may log in, by name."""
    try:
        data = api.request("LIST", f"auth/{MOUNT}/users", token=token).get("data")
    except SecretNotFound:
        return ()
    names = data.get("keys") if isinstance(data, Mapping) else None
    found = (_person(api, token, str(name)) for name in sorted(map(str, names or ())))
    return tuple(person for person in found if person is not None)


def person(api: VaultApi, token: Secret, name: str) -> Person | None:
    """Who may log in under this name; None: nobody."""
    return _person(api, token, person_name(name))


def add(  # noqa: PLR0913  server, authority, and the four things that a person is
    api: VaultApi, token: Secret, name: str, password: Secret, *, rights: Rights, cidrs: Sequence[str] | None
) -> None:
    """Let a person log in; ``cidrs`` None leaves open from where.

    Raises:
        VaultRefused: There is one of this name.
    """
    if _person(api, token, person_name(name)) is not None:
        raise VaultRefused(f"there is a person {name} already", f"nasos vault user passwd {name}")
    body = {
        "password": good_password(password),
        "token_policies": [f"nasos-{rights}"],
        "token_no_default_policy": True,
        "token_ttl": LOGIN_TTL,
        "token_max_ttl": LOGIN_TTL,
        **({"token_bound_cidrs": list(cidrs)} if cidrs is not None else {}),
    }
    api.request("POST", f"auth/{MOUNT}/users/{name}", body, token=token)


def set_password(api: VaultApi, token: Secret, name: str, password: Secret) -> None:
    """Give a person another password; every login with the old one ends.

    Raises:
        SecretNotFound: There is no such person.
    """
    _require(api, token, name)
    api.request("POST", f"auth/{MOUNT}/users/{name}/password", {"password": good_password(password)}, token=token)
    _end_logins(api, token, name)


def set_rights(api: VaultApi, token: Secret, name: str, rights: Rights) -> None:
    """Give a person other rights; every login with the old ones ends.

    Raises:
        SecretNotFound: There is no such person.
    """
    _require(api, token, name)
    body = {"token_policies": [f"nasos-{rights}"]}
    api.request("POST", f"auth/{MOUNT}/users/{name}/policies", body, token=token)
    _end_logins(api, token, name)


def remove(api: VaultApi, token: Secret, name: str) -> None:
    """End a person's access, and everything he is logged in to.

    Raises:
        SecretNotFound: There is no such person; logins that a killed run left have ended.
    """
    known = _person(api, token, person_name(name)) is not None
    if known:
        api.request("DELETE", f"auth/{MOUNT}/users/{name}", token=token)
    _end_logins(api, token, name)
    if not known:
        raise _nobody(name)


def log_in(api: VaultApi, name: str, password: Secret) -> LoggedIn:
    """Exchange a password for a token.

    Raises:
        CredentialRejected: Name or password is wrong, or this is not an address to log in from.
        RateLimited: Too many tries from this address at the moment.
    """
    try:
        answer = api.request("POST", f"auth/{MOUNT}/login/{person_name(name)}", {"password": password})
        auth = msgspec.convert(answer.get("auth"), _Auth)
    except OutcomeUnknown as error:
        raise VaultUnreachable(f"the login got no answer: {error}", "nasos status") from None
    except msgspec.ValidationError:
        raise VaultRefused("vault's answer holds no token", "check VAULT_ADDR") from None
    return LoggedIn(Secret(auth.client_token), _rights(auth.policies), auth.lease_duration)


def _require(api: VaultApi, token: Secret, name: str) -> None:
    if _person(api, token, person_name(name)) is None:
        raise _nobody(name)


def _nobody(name: str) -> SecretNotFound:
    return SecretNotFound(f"there is no person {name}", "nasos vault user list")


def _person(api: VaultApi, token: Secret, name: str) -> Person | None:
    try:
        user = msgspec.convert(api.request("GET", f"auth/{MOUNT}/users/{name}", token=token).get("data"), _User)
    except SecretNotFound:
        return None
    except msgspec.ValidationError:
        raise VaultRefused(f"the server's answer about {name} cannot be understood", "check VAULT_ADDR") from None
    return Person(name, _rights(user.token_policies))


def _rights(policies: Sequence[str]) -> Rights | None:
    return next((rights for rights in Rights if list(policies) == [f"nasos-{rights}"]), None)


def _end_logins(api: VaultApi, token: Secret, name: str) -> None:
    # The server takes the prefix as a whole path segment: alice's end is not alice2's (measured, OpenBao 2.7.2).
    api.request("PUT", f"sys/leases/revoke-prefix/auth/{MOUNT}/login/{name}", {}, token=token)
