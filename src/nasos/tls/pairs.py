"""Certificate and key swapped as one, and back.

Rules:

* A pair is a directory that is complete before anything points at it, and never changed afterwards.
* ``live`` is a link to the pair in use, exchanged by one rename; ``proven`` is a link to the last one that a
  handshake with the running server has shown. Whoever finds the two apart proves ``live``, or goes back: killed
  at any instant, whole pairs stand at both.
* Going back needs no network and no issuer. With no proven pair, ``live`` is taken away: the server goes on with what
  it had before (the development certificate).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from nasos.errors import FileRefused, TlsError
from nasos.files import atomic_write, fsync_directory, hint_for, private_directory
from nasos.tls.certificate import Key, belongs, key_pem, parse_key
from nasos.tls.chain import Chain

CHAIN: Final = "chain.pem"
KEY: Final = "key.pem"
_PAIR: Final = "pair-"
_UNFINISHED: Final = "new-"


class Front(Protocol):
    """The server that shows the certificate."""

    def check(self) -> None:
        """Ask it whether it would take what is live.

        Raises:
            TlsError: It would not.
        """
        ...

    def reload(self) -> bool:
        """Have it read what is live; False: it does not run."""
        ...

    def prove(self, chain: Chain) -> None:
        """Shake hands with it until it shows this certificate.

        Raises:
            TlsError: It does not, or a strict client refuses it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pairs:
    """``tls/acme``: the pairs of one server."""

    root: Path
    owner: int | None = None
    """Who runs that server."""
    mode: int = 0o700
    """Of the directories: the server's user passes through them."""

    @property
    def live(self) -> Path:
        """The link that the server's configuration names."""
        return self.root / "live"

    def target(self, name: str) -> Path | None:
        """The pair that a link leads to."""
        try:
            pair = self.root / (self.root / name).readlink().name
        except OSError:
            return None
        return pair if pair.is_dir() else None

    def chain(self, name: str = "live") -> Chain | None:
        """The certificates of a link's pair; None when there are none that can be used, key and all.

        Raises:
            FileRefused: They are there, and may not be read.
        """
        pair = self.target(name)
        if pair is None:
            return None
        try:
            chain, key = Chain.parse((pair / CHAIN).read_bytes()), parse_key((pair / KEY).read_bytes())
        except (FileNotFoundError, TlsError):
            return None
        except OSError as error:
            raise FileRefused(f"cannot read {pair}: {(error.strerror or '').lower()}", f"ls -l {pair}") from None
        return chain if belongs(chain.leaf, key) else None

    @property
    def settled(self) -> bool:
        """Whether what is live has been proven."""
        return self.target("live") == self.target("proven")

    def stage(self, chain: bytes, key: Key) -> Path:
        """A complete pair beside the others; nothing points at it yet.

        Raises:
            FileRefused: There is no room; nothing has changed.
        """
        serial = f"{Chain.parse(chain).leaf.serial_number:x}"
        made = private_directory(self.root / f"{_UNFINISHED}{serial}-{os.urandom(3).hex()}", mode=self.mode)
        try:
            atomic_write(made / KEY, key_pem(key), owner=self.owner)
            atomic_write(made / CHAIN, chain, 0o644, owner=self.owner)
            pair = self.root / f"{_PAIR}{serial}-{os.urandom(3).hex()}"
            made.rename(pair)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise _refused(made, error) from None
        except FileRefused:
            shutil.rmtree(made, ignore_errors=True)
            raise
        fsync_directory(self.root)
        return pair

    def point(self, name: str, pair: Path | None) -> None:
        """Exchange a link, in one rename; None takes it away.

        Raises:
            FileRefused: There is no room; the link is as it was.
        """
        link = self.root / name
        try:
            if pair is None:
                link.unlink(missing_ok=True)
            else:
                fresh = self.root / f"{_UNFINISHED}{name}-{os.urandom(3).hex()}"
                fresh.symlink_to(pair.name)
                fresh.rename(link)
        except OSError as error:
            raise _refused(link, error) from None
        fsync_directory(self.root)

    def tidy(self) -> None:
        """Remove what nothing points at, for the holder of the lock; what cannot be removed stays for later."""
        kept = {self.target("live"), self.target("proven")}
        with contextlib.suppress(OSError):
            for path in sorted(self.root.iterdir()):
                if path.is_symlink() and path.name.startswith(_UNFINISHED):
                    path.unlink()
                elif path.name.startswith((_PAIR, _UNFINISHED)) and path not in kept:
                    shutil.rmtree(path)


def _refused(path: Path, error: OSError) -> FileRefused:
    return FileRefused(f"cannot write {path}: {(error.strerror or '').lower()}", hint_for(path, error))


def settle(pairs: Pairs, front: Front) -> bool:
    """Prove what is live, or go back; whether it is proven (False: the server does not run, it stays to be proven).

    Raises:
        TlsError: It was not taken; what was proven before is in use again.
    """
    try:
        if not _shown(pairs, front):
            return False
    except TlsError as error:
        _go_back(pairs, front)
        raise TlsError(f"the new certificate was taken back: {error.message}", error.hint) from None
    pairs.point("proven", pairs.target("live"))
    pairs.tidy()
    return True


def _shown(pairs: Pairs, front: Front) -> bool:
    chain = pairs.chain()
    if chain is None:
        raise TlsError("certificate and key on disk are damaged or do not belong together")
    front.check()
    if not front.reload():
        return False
    front.prove(chain)
    return True


def _go_back(pairs: Pairs, front: Front) -> None:
    """To the last proven pair, else to the time before there was one."""
    proven = pairs.target("proven")
    if proven == pairs.target("live"):  # it was proven once, and is damaged now: nothing better is here
        return
    pairs.point("live", proven)
    with contextlib.suppress(TlsError):  # something else is wrong with it, too: it goes on with what it has read before
        front.check()
        front.reload()


def install(pairs: Pairs, front: Front, chain: bytes, key: Key) -> bool:
    """Put a judged chain and its key into use; whether the running server has shown it.

    Raises:
        TlsError: The server does not take it; what was proven before is in use again.
        FileRefused: There is no room; nothing has changed.
    """
    pairs.point("live", pairs.stage(chain, key))
    return settle(pairs, front)
