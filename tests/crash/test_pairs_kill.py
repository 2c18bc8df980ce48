"""Installing a certificate is killed, and the disk fails, before each system call: one whole pair stands always."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nasos.errors import Error, TlsError
from nasos.tls import names
from nasos.tls.certificate import new_key, request
from nasos.tls.chain import Chain
from nasos.tls.dev_ca import DevCa
from nasos.tls.pairs import Pairs, install, settle
from simulators.faults import every_fault, with_kill

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


@dataclass
class Listener:
    """A server that takes a whole pair, and shows what it took."""

    pairs: Pairs
    runs: bool = True
    takes: bool = True
    shows: bool = True
    shown: list[int] = field(default_factory=list)

    def check(self) -> None:
        """As ``nginx -t``."""
        if not self.takes and not self.pairs.settled:
            raise TlsError("nginx refuses it")

    def reload(self) -> bool:
        """As HUP."""
        chain = self.pairs.chain()
        self.shown.append(chain.leaf.serial_number if chain else 0)
        return self.runs

    def prove(self, chain: Chain) -> None:
        """As a client."""
        if not self.shows:
            raise TlsError("it shows another certificate")
        assert self.shown[-1] == chain.leaf.serial_number


DAMAGED = [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff" * 99]


class Issued:
    """Pairs of a development CA."""

    def __init__(self, place: Path) -> None:
        self.ca = DevCa.open(place, now=NOW, hosts=["bot.home.arpa"])

    def into(self, pairs: Pairs, listener: Listener) -> bool:
        """Install a fresh one."""
        key = new_key()
        chain = self.ca.issue(request(key, "edge", names.hosts(["bot.home.arpa"])), now=NOW + timedelta(days=1))
        return install(pairs, listener, chain, key)


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    """A CA beside the pairs."""
    place = tmp_path / "ca"
    place.mkdir(mode=0o700)
    return Issued(place)


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    """An empty place."""
    place = tmp_path / "acme"
    place.mkdir(mode=0o700)
    return Pairs(place)


def whole(pairs: Pairs) -> None:
    """What is linked is complete, key and all."""
    for name in ("live", "proven"):
        assert (pairs.target(name) is None) == (pairs.chain(name) is None)


@pytest.mark.parametrize("before", [0, 1])
def test_killed_before_any_system_call_a_whole_pair_stands(pairs: Pairs, issued: Issued, before: int) -> None:
    """For the first pair and for a renewal; the next try goes on from there and leaves one pair."""
    listener = Listener(pairs)
    for _ in range(before):
        issued.into(pairs, listener)
    first, number = pairs.chain("proven"), 0

    def work() -> str:
        issued.into(pairs, Listener(pairs))
        return "done"

    while True:
        number += 1
        outcome = with_kill(work, number)
        if not outcome.met:
            break
        whole(pairs)
        if before:
            assert pairs.chain("live")
            assert pairs.chain("proven")
        if not pairs.settled:
            assert settle(pairs, listener)
    assert outcome.said == "done"
    assert number > 15
    assert pairs.settled
    assert pairs.chain() != first
    issued.into(pairs, listener)
    assert len(list(pairs.root.glob("pair-*"))) == 1
    assert not list(pairs.root.glob("new-*"))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_at_any_point_loses_nothing(pairs: Pairs, issued: Issued, error: int) -> None:
    """An error of ours with a hint, and the pair from before still there; with room again it goes on."""
    listener = Listener(pairs)
    issued.into(pairs, listener)

    def work() -> str:
        try:
            issued.into(pairs, Listener(pairs))
        except Error as refused:
            return f"refused: {refused.message} | {refused.hint or ''}"
        return "done"

    for _, outcome in every_fault(work, error):
        whole(pairs)
        assert pairs.chain("live")
        assert pairs.chain("proven")
        assert outcome.said == "done" or outcome.said.startswith("refused: ")
        if not pairs.settled:
            assert settle(pairs, listener)
    assert outcome.said == "done"


def test_what_the_server_does_not_take_is_taken_back(pairs: Pairs, issued: Issued) -> None:
    """The last good one is in use again, at once; nothing is left of the other."""
    listener = Listener(pairs)
    issued.into(pairs, listener)
    good = pairs.chain()
    for flaw in ("takes", "shows"):
        setattr(listener, flaw, False)
        with pytest.raises(TlsError, match="the new certificate was taken back: "):
            issued.into(pairs, listener)
        setattr(listener, flaw, True)
        assert good is not None
        assert pairs.chain() == good
        assert listener.shown[-1] == good.leaf.serial_number
        assert pairs.settled
    issued.into(pairs, listener)
    assert len(list(pairs.root.glob("pair-*"))) == 1


def test_a_first_one_that_is_not_taken_leaves_none(pairs: Pairs, issued: Issued) -> None:
    """The server goes on with what it had before there was one."""
    with pytest.raises(TlsError, match="taken back: it shows another certificate"):
        issued.into(pairs, Listener(pairs, shows=False))
    assert pairs.chain() is None
    assert pairs.settled


def test_a_server_that_does_not_run_proves_it_later(pairs: Pairs, issued: Issued) -> None:
    """What was proven before stays beside it until then."""
    listener = Listener(pairs)
    issued.into(pairs, listener)
    first, listener.runs = pairs.chain(), False
    assert not issued.into(pairs, listener)
    assert pairs.chain("proven") == first != pairs.chain()
    listener.runs = True
    assert settle(pairs, listener)
    assert pairs.chain("proven") == pairs.chain() != first


@pytest.mark.parametrize("name", ["chain.pem", "key.pem"])
@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_no_pair(pairs: Pairs, issued: Issued, name: str, content: bytes) -> None:
    """And one that belongs to another pair neither; a damaged live pair goes back to a good one."""
    listener = Listener(pairs)
    issued.into(pairs, listener)
    good, listener.runs = pairs.chain(), False
    issued.into(pairs, listener)
    live = pairs.target("live")
    assert live is not None
    (live / name).write_bytes(content)
    assert pairs.chain() is None
    listener.runs = True
    with pytest.raises(TlsError, match="damaged or do not belong together"):
        settle(pairs, listener)
    assert pairs.chain() == good
