"""The key as systemd passes it (``LoadCredential=``, ``LoadCredentialEncrypted=``): read, never written.

Rules: it is root's or ours, and nobody else may read it. For a unit with ``User=`` systemd gives the file to that user
by an ACL, whose mask shows as rights of the group (acl(5); systemd, ``exec-credential.c``): those are no finding.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from nasos.errors import FileRefused
from nasos.files import open_regular
from nasos.vault.server import UNSEAL_KEY_BYTES

NAME: Final = "nasos-unseal.key"
"""Of the credential, in the unit."""


def given(directory: Path | None) -> bytes | None:
    """The key in systemd's ``directory``; None when none was passed.

    Raises:
        FileRefused: It cannot be read, is open to others, or is no key.
    """
    if directory is None:
        return None
    path = directory / NAME
    try:
        fd = open_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise FileRefused(f"cannot read {path}: {reason}", f'"ls -l {path}" shows it') from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o007:
            raise FileRefused(f"{path} is not a private file of root's or yours", f'"ls -l {path}" shows it')
        content = file.read(UNSEAL_KEY_BYTES + 1)
    if len(content) != UNSEAL_KEY_BYTES:
        raise FileRefused(
            f"{path} is not an unseal key of {UNSEAL_KEY_BYTES} bytes",
            f"systemd-creds encrypt --name={NAME} unseal.key",
        )
    return content
