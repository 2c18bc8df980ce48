"""Send every request with a living token.

Rules:

* A token is renewed after two thirds of its life, by the next request. One thread does that; the others go on with
  the living token. While Vault is away or refuses a successor, the living token stays in use.
* A 403 that says "unknown token" leads to one new login and one more try: a 403 changed nothing.
* A refused login is remembered for a moment: a thousand readers with a wrong SecretID are one login, not a thousand.
* A token that lives and has no successor (its SecretID is used up, expired or gone, and its maximum age is near) is
  told while it still works, once, and once when there is a successor again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nasos.errors import CredentialRejected, Error, RateLimited, VaultError
from nasos.secret import Secret
from nasos.settings import AppRole, Token
from nasos.vault.auth import Grant, source
from nasos.vault.client import Answer, VaultApi
from nasos.vault.refusal import token_unknown
from nasos.vault.retry import PATIENT, Retry

REFUSED_FOR: Final = 2.0  # seconds that a refused login stands; a replaced SecretID file is seen after that
RENEW_PAUSE: Final = 5.0  # seconds between attempts to renew a token that still lives while Vault is away
REFUSED_PAUSE: Final = 30.0  # the same while Vault refuses a successor: each attempt is four lines of audit

Tell = Callable[[Error | None, float], object]
"""Told that the token has no successor (why, and how many seconds it lives), or None when it has one again."""

_LOG: Final = logging.getLogger(__name__)
_PASSING: Final = frozenset({307, 412, 429, 472, 473})


@dataclass(frozen=True, slots=True)
class _Held:
    """A grant and its moments (monotonic seconds)."""

    grant: Grant
    renew_at: float
    expires_at: float


class Session:
    """Authenticated requests to one Vault; safe for many threads."""

    def __init__(
        self,
        api: VaultApi,
        credential: Token | AppRole,
        *,
        mount: str = "approle",
        clock: Callable[[], float] = time.monotonic,
        tell: Tell | None = None,
    ) -> None:
        self._api = api
        self._source = source(api, credential, mount)
        self._clock = clock
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._refused: tuple[VaultError, float] | None = None
        self._tell = tell
        self._told = False
        self._pid = os.getpid()

    @property
    def address(self) -> str:
        """The server's address."""
        return self._api.address

    def request(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *,
        wrap_ttl: str | None = None, retry: Retry = PATIENT,
    ) -> dict[str, object]:  # fmt: skip
        """Like `VaultApi.request`, with the token and the retry policy."""
        answer = self.exchange(method, path, body, wrap_ttl=wrap_ttl, retry=retry)
        if not answer.ok:
            raise answer.refusal()
        return answer.body

    def exchange(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *,
        wrap_ttl: str | None = None, retry: Retry = PATIENT,
    ) -> Answer:  # fmt: skip
        """Like `VaultApi.exchange`, with the token and the retry policy; passing troubles are raised."""

        def ask() -> Answer:
            answer = self._sent(method, path, body, wrap_ttl)
            if answer.status in _PASSING or answer.status >= 500:
                raise answer.refusal()
            return answer

        return retry.call(ask)

    def token(self) -> Secret:
        """A living token; logs in or renews when that is due.

        Raises:
            CredentialRejected: RoleID, SecretID or token is wrong, expired or used up.
            VaultError: Vault cannot be asked and no living token is left.
        """
        held, now = self._held, self._clock()
        if held is not None and now < held.renew_at:
            return held.grant.token
        if held is None or now >= held.expires_at:
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            return held.grant.token
        try:
            return self._current().grant.token
        finally:
            self._lock.release()

    def close(self) -> None:
        """Revoke the token we logged in for, as far as the server can be reached, and close the connections."""
        held, self._held = self._held, None
        # A forked child shares its parent's token and must not end it.
        if held is not None and held.grant.ours and self._pid == os.getpid():
            with contextlib.suppress(VaultError):  # it expires by itself
                self._api.exchange("POST", "auth/token/revoke-self", {}, token=held.grant.token)
        self._api.close()

    def after_fork(self) -> None:
        """In a forked child: no thread lives that would release the lock."""
        self._lock = threading.Lock()

    def _sent(self, method: str, path: str, body: Mapping[str, object] | None, wrap_ttl: str | None) -> Answer:
        token = self.token()
        answer = self._api.exchange(method, path, body, token=token, wrap_ttl=wrap_ttl)
        if self._source.replaceable and token_unknown(answer.status, answer.errors):
            self._forget(token)
            answer = self._api.exchange(method, path, body, token=self.token(), wrap_ttl=wrap_ttl)
        return answer

    def _forget(self, token: Secret) -> None:
        with self._lock:
            if self._held is not None and self._held.grant.token == token:
                self._held = None

    def _current(self) -> _Held:
        """What is held, after what was due has been done; called with the lock."""
        held, now = self._held, self._clock()
        if held is None or now >= held.expires_at:
            held = self._begun(self._obtained(now))
            self._succeeded(held)
        elif now >= held.renew_at:
            try:
                held = self._begun(self._source.renew(held.grant))
                self._succeeded(held)
            except Error as error:
                held = _Held(held.grant, now + self._not_succeeded(error, held.expires_at - now), held.expires_at)
        self._held = held
        return held

    def _succeeded(self, held: _Held) -> None:
        if self._told:
            self._told = False
            if self._tell:
                self._tell(None, held.grant.lasts)

    def _not_succeeded(self, error: Error, lives: float) -> float:
        """Say it if it does not heal by itself; seconds until the next attempt."""
        if isinstance(error, VaultError) and not isinstance(error, CredentialRejected):
            return RENEW_PAUSE
        if not self._told:
            self._told = True
            _LOG.warning("the vault token lives %.0f s more and has no successor: %s", lives, error)
            if self._tell:
                self._tell(error, lives)
        return REFUSED_PAUSE

    def _begun(self, grant: Grant) -> _Held:
        now = self._clock()
        return _Held(grant, now + grant.renew_after, now + grant.lasts)

    def _obtained(self, now: float) -> Grant:
        if self._refused is not None and now < self._refused[1]:
            raise self._refused[0]
        try:
            grant = self._source.obtain()
        except (CredentialRejected, RateLimited) as error:
            self._refused = (error, now + REFUSED_FOR)
            raise
        self._refused, self._pid = None, os.getpid()
        return grant
