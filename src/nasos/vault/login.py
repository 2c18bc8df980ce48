"""A person's login on this machine: ``login.json`` in the state directory, private, until logout or its end.

Rules: the token goes to the server that gave it and to no other; a login that has ended is an error, never a silent
way back to the operator's credential, because the ledger would name the wrong actor and a viewer would grow. Whether
it has ended is the server's word: clocks jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from nasos.errors import FileRefused, SettingsError
from nasos.files import atomic_write, fsync_directory, read_private
from nasos.secret import Secret


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """``login.json``."""

    address: str
    """The server that gave the token."""
    name: str
    rights: str
    until: str
    """When the token ends, for people."""
    token: Secret


@dataclass(frozen=True, slots=True)
class LoginFile:
    """Where the login of this state directory is kept."""

    path: Path

    @classmethod
    def below(cls, home: Path) -> LoginFile:
        """Its place in a state directory."""
        return cls(home / "login.json")

    def load(self) -> Login | None:
        """Who is logged in; None: nobody.

        Raises:
            FileRefused: It is there but open to others, or damaged.
        """
        if not self.path.exists():
            return None
        try:
            return msgspec.json.decode(read_private(self.path), type=Login, dec_hook=_hidden)
        except msgspec.MsgspecError:
            raise FileRefused(f"{self.path} is damaged", "nasos logout, then nasos login NAME") from None

    def save(self, login: Login) -> None:
        """Keep it."""
        atomic_write(self.path, msgspec.json.encode(login, enc_hook=_revealed) + b"\n")

    def forget(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        fsync_directory(self.path.parent)


def require_address(login: Login, address: str) -> Login:
    """``login``, if it is one to this server.

    Raises:
        SettingsError: It is another server's: its token is not sent here.
    """
    if login.address != address:
        raise SettingsError(
            f"{login.name} is logged in to {login.address}, and this is {address}",
            f"nasos logout, or nasos login {login.name}",
        )
    return login


def _hidden(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError


def _revealed(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError
