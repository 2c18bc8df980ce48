"""How our random tokens look, and what is kept of them.

Rules:

* A prefix that a scanner of leaked secrets finds, 43 random characters (256 bits), and a checksum of six, so that the
  scanner can tell a token from an example and a typing error costs no lookup (GitHub's format of 2021).
* Stored is the SHA-256. That is enough for 256 random bits: there is nothing to guess, so nothing to make slow.
* A log names a token by its fingerprint, the first twelve digits of that hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import Final

from nasos.secret import Secret

API: Final = "nasos_"
REFRESH: Final = "nasosr_"
ENROLMENT: Final = "nasose_"
RANDOM: Final = 43
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE: Final = re.compile(rf"(nasos[er]?_)([0-9A-Za-z]{{{RANDOM}}})([0-9A-Za-z]{{6}})", re.ASCII)


def random_text(length: int) -> str:
    """Letters and digits from the kernel, 5.95 bits each."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def assembled(prefix: str, middle: str) -> Secret:
    """The token of this random part."""
    return Secret(f"{prefix}{middle}{_checksum(middle)}")


def random_part(text: str, prefix: str) -> str | None:
    """The random part of a token that is written as ours are; None for anything else."""
    found = _SHAPE.fullmatch(text)
    if found is None or found[1] != prefix or found[3] != _checksum(found[2]):
        return None
    return found[2]


def digest(text: str) -> bytes:
    """What is stored in the place of ``text``."""
    return hashlib.sha256(text.encode("ascii")).digest()


def fingerprint(token: Secret) -> str:
    """What a log may say of any token, an access token too."""
    return hashlib.sha256(token.reveal().encode("utf-8", "replace")).hexdigest()[:12]


def _checksum(middle: str) -> str:
    number, digits = zlib.crc32(middle.encode("ascii")), []
    for _ in range(6):  # 62**6 is more than 2**32
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
