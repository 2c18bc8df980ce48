"""A key under a passphrase: an ordinary age file, so that ``age -d unseal.key.age`` gives the key without nasos.

Rules: a file counts as written when it was read back and what it holds opens with the same passphrase; only then may
somebody remove the key itself.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nasos.errors import BackupRefused, StackError
from nasos.files import atomic_write, read_private
from nasos.secret import Secret
from nasos.stack.backup.encryption import MAGIC, Passphrase, decrypt, encrypt
from nasos.vault.server import UNSEAL_KEY_BYTES

Ask = Callable[[], Secret]
"""Asks a person for a passphrase."""


@dataclass(frozen=True, slots=True)
class Given:
    """A key as somebody gave it."""

    content: bytes
    protected: bytes | None = None
    """What its file holds, where it came under a passphrase: so it is kept."""

    @classmethod
    def of(cls, name: str, file: bytes, ask: Ask) -> Given | None:
        """What a file under a passphrase holds; None for another file.

        Raises:
            StackError: The passphrase is wrong, or this is no key.
        """
        if not file.startswith(MAGIC):
            return None
        return cls(_key(name, file, ask()), file)


def wrap(path: Path, key: bytes, passphrase: Secret, owner: int | None = None) -> None:
    """Write ``key`` under ``passphrase``; what was in ``path`` before is replaced in one step.

    Raises:
        UsageError: The passphrase is too short.
        StackError: It does not open again; nothing may be removed then.
    """
    store(path, closed(key, passphrase), owner)


def closed(key: bytes, passphrase: Secret) -> bytes:
    """The content of such a file, proven to open again.

    Raises:
        UsageError: The passphrase is too short.
        StackError: It does not open.
    """
    by, made = Passphrase(passphrase), io.BytesIO()
    by.require_strong()
    encrypt(io.BytesIO(key), made, by)
    if _opened("what was made of it", made.getvalue(), passphrase) != key:
        raise StackError("what was made of the unseal key does not open again; nothing was changed", "try it again")
    return made.getvalue()


def store(path: Path, content: bytes, owner: int | None = None) -> None:
    """Write it, and read it back.

    Raises:
        FileRefused: It cannot be written.
        StackError: Another content is read.
    """
    atomic_write(path, content, owner=owner)
    if read_private(path, owner=owner) != content:
        raise StackError(f"{path} is not what was written; the key stays where it is", f"df -h {path.parent}")


def unwrap(path: Path, passphrase: Secret, owner: int | None = None) -> bytes:
    """The key in ``path``.

    Raises:
        StackError: The passphrase is wrong, or this is no key.
        FileRefused: The file is missing, or open to others.
    """
    return _key(path.name, read_private(path, owner=owner), passphrase)


def _key(name: str, content: bytes, passphrase: Secret) -> bytes:
    key = _opened(name, content, passphrase)
    if len(key) != UNSEAL_KEY_BYTES:
        raise StackError(f"{name} holds no unseal key of {UNSEAL_KEY_BYTES} bytes", "put the copy of it back")
    return key


def _opened(name: str, content: bytes, passphrase: Secret) -> bytes:
    plain = io.BytesIO()
    try:
        decrypt(io.BytesIO(content), plain, Passphrase(passphrase))
    except BackupRefused as error:
        raise StackError(f"{name} cannot be opened: {error.message}", error.hint) from None
    return plain.getvalue()
