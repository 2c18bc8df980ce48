"""age (age-encryption.org/v1): to a passphrase, or to recipients.

Rules: the file is a plain age file, so that ``age -d FILE | zstd -d | tar -x`` reads it without nasos. Every 64 KiB are
authenticated and the end is marked: a flipped bit or a missing tail is an error, never a shorter backup. To recipients
the stream is never whole in memory; to a passphrase it is (the library's interface), so that way has a limit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from nasos.errors import BackupRefused, PlatformUnsupported, UsageError
from nasos.secret import Secret

if TYPE_CHECKING:
    from types import ModuleType

MAGIC: Final = b"age-encryption.org/v1\n"
LARGEST_BY_PASSPHRASE: Final = 1 << 30
"""Bytes; in memory at once, plain and encrypted."""

SHORTEST_PASSPHRASE: Final = 12
"""Characters. A stolen backup can be tried without limit; age's scrypt costs about one second per try."""


_TRIES: Final = 20
_TOO_SLOW: Final = "Excessive work parameter"


class Source(Protocol):
    """What gives bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> int:
        """All of them."""

    def flush(self) -> None:
        """Nothing is held back."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """For people."""

    value: Secret

    def require_strong(self) -> None:
        """Refuse what a thief of the file would guess.

        Raises:
            UsageError: It is too short.
        """
        if len(self.value.reveal()) < SHORTEST_PASSPHRASE:
            raise UsageError(
                f"a passphrase needs {SHORTEST_PASSPHRASE} characters: whoever has the file may guess for ever",
                "six random words, or --recipient with a key of age-keygen",
            )


@dataclass(frozen=True, slots=True)
class Recipients:
    """Public keys, ``age1...`` or an SSH public key."""

    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Identities:
    """Private keys, ``AGE-SECRET-KEY-1...`` lines or an OpenSSH key."""

    text: Secret


def needs_passphrase(path: Path) -> bool:
    """Whether a backup was made to a passphrase; else it was made to recipients.

    Raises:
        BackupRefused: It is no backup.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise BackupRefused(f"cannot read {path}: {(error.strerror or '').lower()}", f"ls -l {path}") from None
    if not head.startswith(MAGIC):
        raise BackupRefused(f"{path} is no backup: it is not an age file", "give the file that nasos backup made")
    return head.startswith(MAGIC + b"-> scrypt ")


def encrypt(source: Source, target: Sink, to: Passphrase | Recipients) -> None:
    """Everything of ``source``, encrypted, to ``target``.

    Raises:
        UsageError: A recipient is none.
        BackupRefused: Too much for a passphrase.
        OSError: The source's or the target's.
    """
    age = library()
    if isinstance(to, Recipients):
        recipients, ends = [_recipient(age, key) for key in to.keys], _Ends(source, target)
        try:
            age.encrypt_io(ends, ends, recipients)
        except age.EncryptError:
            raise ends.failed or BackupRefused("the backup could not be encrypted", "nasos backup again") from None
        return
    content = source.read(LARGEST_BY_PASSPHRASE + 1)
    if len(content) > LARGEST_BY_PASSPHRASE:
        raise BackupRefused(
            "this backup is too large for a passphrase, which holds it in memory", "nasos backup --recipient age1..."
        )
    target.write(age.passphrase.encrypt(content, to.value.reveal()))


class _Ends:
    """Where the library reads and writes: of what failed there it passes on a text only."""

    def __init__(self, source: Source, target: Sink) -> None:
        self._source, self._target = source, target
        self.failed: OSError | None = None

    def read(self, size: int = -1, /) -> bytes:
        with self._remembered():
            return self._source.read(size)

    def write(self, data: bytes, /) -> int:
        with self._remembered():
            return self._target.write(data)

    def flush(self) -> None:
        with self._remembered():
            self._target.flush()

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed = error
            raise


def decrypt(source: Source, target: Sink, by: Passphrase | Identities) -> None:
    """Everything of ``source``, decrypted, to ``target``; what was written counts only when this returns.

    Raises:
        BackupRefused: Wrong key, damaged, or cut off.
    """
    age = library()
    try:
        if isinstance(by, Identities):
            age.decrypt_io(source, target, _identities(age, by))
            return
        target.write(_by_passphrase(age, source.read(LARGEST_BY_PASSPHRASE * 2), by))
    except BrokenPipeError:
        raise
    except (age.DecryptError, OSError) as error:
        raise _refused(str(error), by) from None


def _by_passphrase(age: ModuleType, content: bytes, by: Passphrase) -> bytes:
    """The library refuses what would take this machine too long, by a clock: on a busy one (load 16) it errs."""
    for _ in range(_TRIES - 1):
        try:
            return bytes(age.passphrase.decrypt(content, by.value.reveal()))
        except age.DecryptError as error:
            if _TOO_SLOW not in str(error):
                raise
    return bytes(age.passphrase.decrypt(content, by.value.reveal()))


def _refused(said: str, by: Passphrase | Identities) -> BackupRefused:
    if isinstance(by, Passphrase) and said == "Decryption failed":
        return BackupRefused("the passphrase is wrong, or the file is damaged", "try it again; caps lock?")
    if _TOO_SLOW in said:
        return BackupRefused(
            "this machine is too slow, or too busy at the moment, for what the passphrase costs",
            "try again when it is quiet, or decrypt it elsewhere",
        )
    if said == "No matching keys found":
        return BackupRefused("the backup was not made for this key", "--identity FILE of the recipient's own key")
    return BackupRefused(
        "the backup is damaged or cut off: it cannot be decrypted to its end", "take another copy of the file"
    )


def _recipient(age: ModuleType, text: str) -> object:
    kind = age.ssh.Recipient if text.startswith("ssh-") else age.x25519.Recipient
    try:
        return kind.from_str(text.strip())
    except age.RecipientError:
        shown = f"{text[:12]}..." if len(text) > 12 else text
        raise UsageError(f"{shown} is no age recipient", "age-keygen prints one: age1...") from None


def _identities(age: ModuleType, by: Identities) -> list[object]:
    text = by.text.reveal()
    try:
        if "PRIVATE KEY-----" in text:
            return [age.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines()]
        found = [age.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except age.IdentityError:
        found = []
    if not found:
        raise UsageError("the identity file holds no age identity", "it has a line AGE-SECRET-KEY-1...")
    return found


def new_identity() -> tuple[Secret, str]:
    """The text of a new identity file, and its recipient."""
    identity = library().x25519.Identity.generate()
    recipient = str(identity.to_public())
    return Secret(f"# public key: {recipient}\n{identity}\n"), recipient


def library() -> ModuleType:
    """pyrage, imported on first use.

    Raises:
        PlatformUnsupported: It is not installed.
    """
    try:
        import pyrage
    except ImportError:
        raise PlatformUnsupported("the age library is not installed", 'pip install "nasos[embedded]"') from None
    module: ModuleType = pyrage
    return module
