"""The one error tree: what happened, and a hint that can be typed.

Rules: lower case, no full stop, no secret in either text. Every library error is mapped to one of these at
the border where it enters. The exit code travels with the error (0 clean, 1 findings, 2 usage, 3 could not).

::

    Error                       3
    ├── UsageError              2   the operator's input is wrong
    │   ├── SettingsError       2   nasos.toml, .env or environment
    │   └── NameRefused         2   a secret or bot name outside the allowed alphabet
    ├── FileRefused             3   wrong owner, mode or type of a listed file; disk full; read-only
    ├── AlreadyRunning          3   another process holds the lock
    ├── PlatformUnsupported     3   not Linux, or no wheel for this machine
    ├── VaultError              3
    │   ├── VaultUnreachable        no answer
    │   ├── CertificateRefused      the server's certificate is not signed by the CA we hold
    │   ├── VaultSealed
    │   ├── VaultUninitialized
    │   ├── VaultStandby
    │   ├── RateLimited
    │   ├── PermissionDenied        names capability and path
    │   ├── CredentialRejected      wrong or used-up RoleID, SecretID or token
    │   ├── SecretNotFound
    │   ├── SecretDeleted           the version exists but is deleted or destroyed
    │   ├── CheckAndSetMismatch     somebody wrote in between
    │   ├── TooLarge
    │   ├── OutcomeUnknown          a write whose answer was lost
    │   ├── BootstrapRefused        the server is in a state that bootstrap must not touch
    │   └── VaultRefused            anything else the server says no to
    ├── TlsError                3   certificate or nginx configuration
    │   ├── IssuerUnreachable       the CA gives no usable answer
    │   ├── IssuerBusy              it asks for patience, and says for how long where it does
    │   └── IssuerRefused           it does not want this account, name or order
    ├── DatabaseError           3   PostgreSQL
    │   └── LoginRefused        3   it does not want this login
    ├── BotError                3   the bot or its configuration
    ├── RotationError           3   a rotation that could not be finished
    │   ├── CandidateRejected       the target does not accept a new credential
    │   └── LeaseLost               another rotator has taken over
    ├── ExchangeError           3   an exchange does not tell; never said of a key that it refused
    │   ├── ExchangeUnreachable     no answer, or none that can be understood
    │   ├── ExchangeBusy            asks for patience, or is closed
    │   ├── ClockOff                this machine's clock and the exchange's differ
    │   └── NotAsked                nobody has taught us how to ask it
    ├── CloudflareError         3   Cloudflare's API
    │   ├── CloudflareUnreachable   no answer, or none that can be understood
    │   ├── CloudflareBusy          asks for patience, or is failing
    │   ├── ApiTokenRefused         the token is wrong, ended or malformed
    │   ├── PermissionMissing       names the permission that the token lacks
    │   ├── CloudflareRefused       anything else it says no to, by its codes
    │   ├── ChangeUnknown           a change whose answer was lost
    │   └── ContainersUnknown       which containers there are cannot be told; never "none"
    ├── GatewayError            3
    │   ├── TokenRefused            an access token or API token; the message is for the log, not for the client
    │   ├── SessionRefused          a refresh token; the same
    │   └── LoginFailed             name, password or code; the same
    ├── StackError              3
    │   ├── PortTaken               names who holds it, where it can be told
    │   ├── ProgramFailed           a supervised program did not become healthy
    │   └── BackupRefused           a backup file is damaged, foreign, or does not fit here
    └── LedgerError             3
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_USAGE: Final = 2
EXIT_FAILED: Final = 3


class Error(Exception):
    """Base of everything that nasos raises on purpose.

    ``message`` says what happened; ``hint`` is a command or an edit that mends it.
    """

    exit_code: int = EXIT_FAILED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(Error):
    """The operator's input is wrong; nothing was done."""

    exit_code = EXIT_USAGE


class SettingsError(UsageError):
    """``nasos.toml``, ``.env`` or the environment cannot be understood."""


class NameRefused(UsageError):
    """A secret, bot or host name has characters that are not allowed."""


class FileRefused(Error):
    """A file has the wrong owner, mode or type, or could not be written."""


class AlreadyRunning(Error):
    """Another process holds the lock for this work."""


class PlatformUnsupported(Error):
    """This machine cannot run what was asked."""


class VaultError(Error):
    """Base of all Vault and OpenBao trouble."""


class VaultUnreachable(VaultError):
    """No usable answer from the server."""


class CertificateRefused(VaultError):
    """The server's certificate was refused; nothing was sent."""


class VaultSealed(VaultError):
    """The server is sealed."""


class VaultUninitialized(VaultError):
    """The server has never been initialized."""


class VaultStandby(VaultError):
    """The node is a standby that does not forward."""


class RateLimited(VaultError):
    """The server's quota refused the request."""


class PermissionDenied(VaultError):
    """The token's policies do not allow this capability on this path."""


class CredentialRejected(VaultError):
    """RoleID, SecretID or token is wrong, expired or used up."""


class SecretNotFound(VaultError):
    """Nothing is stored at this path."""


class SecretDeleted(VaultError):
    """The version exists but is deleted or destroyed."""


class CheckAndSetMismatch(VaultError):
    """The path has another version than the writer expected."""


class TooLarge(VaultError):
    """The value is larger than the server accepts."""


class OutcomeUnknown(VaultError):
    """A write whose answer was lost: it may or may not have been applied."""


class BootstrapRefused(VaultError):
    """The server is in a state that bootstrap must not touch."""


class VaultRefused(VaultError):
    """The server refused for a reason without a class of its own."""


class TlsError(Error):
    """A certificate or an nginx configuration cannot be used."""


class IssuerUnreachable(TlsError):
    """A certificate authority gives no answer, or none that can be understood."""


class IssuerBusy(TlsError):
    """A certificate authority asks for patience."""

    def __init__(self, message: str, hint: str | None = None, *, until: datetime | None = None) -> None:
        super().__init__(message, hint)
        self.until = until
        """Not before then, by its word; None where it did not say."""


class IssuerRefused(TlsError):
    """A certificate authority does not want this account, name or order."""


class DatabaseError(Error):
    """PostgreSQL refused or cannot be reached."""


class LoginRefused(DatabaseError):
    """PostgreSQL answered, and does not want this login."""


class BotError(Error):
    """The bot, its configuration or its environment is not usable."""


class RotationError(Error):
    """A rotation could not be finished; nothing that was valid before has stopped being so."""


class CandidateRejected(RotationError):
    """The target does not accept a new credential, or it does not work there."""


class LeaseLost(RotationError):
    """This rotator was away for too long; another one may have gone on with its work."""


class ExchangeError(Error):
    """An exchange gives no answer that says anything about a key."""


class ExchangeUnreachable(ExchangeError):
    """No answer, or none that can be understood."""


class ExchangeBusy(ExchangeError):
    """The exchange asks for patience, or is closed for a while."""


class ClockOff(ExchangeError):
    """The exchange refuses a request because of its time."""

    @classmethod
    def told(cls, exchange: str, ahead: float) -> ClockOff:
        """``ahead``: seconds by which the exchange's clock is ahead of ours."""
        which = "behind" if ahead > 0 else "ahead of"
        return cls(
            f"{exchange} refuses the time of the request: this clock is about {abs(ahead):.0f} s {which} its clock",
            "timedatectl set-ntp true",
        )


class NotAsked(ExchangeError):
    """Keys of this exchange, or of this kind, cannot be asked about."""


class CloudflareError(Error):
    """Base of all trouble with Cloudflare's API."""


class CloudflareUnreachable(CloudflareError):
    """No answer, or none that can be understood."""


class CloudflareBusy(CloudflareError):
    """It asks for patience, or fails for a while."""


class ApiTokenRefused(CloudflareError):
    """The API token is wrong, ended or malformed."""


class PermissionMissing(CloudflareError):
    """The token lacks a permission."""


class CloudflareRefused(CloudflareError):
    """A request that Cloudflare says no to, for a reason of its own."""

    codes: tuple[int, ...] = ()


class ChangeUnknown(CloudflareError):
    """A change whose answer was lost: it may or may not have been made."""


class ContainersUnknown(CloudflareError):
    """Which containers there are cannot be told; that is never the same as none."""


class GatewayError(Error):
    """The front door; what a client is told never depends on the message."""


class TokenRefused(GatewayError):
    """An access token or API token does not count."""


class SessionRefused(GatewayError):
    """A refresh token does not count."""

    session: str | None = None
    """Which session it belonged to, where that is known."""
    user: str | None = None
    """Whose it was."""
    reused: bool = False
    """Whether it was used before: somebody else may have it, and the whole session is ended."""


class LoginFailed(GatewayError):
    """Name, password or code is wrong, or it is too early to try again: one answer for all."""


class StackError(Error):
    """The embedded stack could not do what was asked."""


class PortTaken(StackError):
    """A port that the stack needs is in use."""


class ProgramFailed(StackError):
    """A supervised program did not become healthy."""


class BackupRefused(StackError):
    """A backup file is damaged, foreign, or does not fit here; nothing was changed."""


class LedgerError(Error):
    """The ledger cannot be written or does not verify."""
