"""A service's certificate and key: when they are renewed, and that they always belong together."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nasos.errors import NameRefused, TlsError
from nasos.files import atomic_write
from nasos.tls import DevCa, Leaf, ensure_leaf

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


def _ensure(
    directory: Path, *, now: datetime = NOW, hosts: tuple[str, ...] = ("localhost",), force: bool = False
) -> Leaf:
    return ensure_leaf(DevCa.open(directory, now=now, hosts=hosts), directory, "edge", hosts, now=now, force=force)


def _matching(leaf: Leaf) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(leaf.cert, leaf.key)
    except ssl.SSLError:
        return False
    return True


def test_good_pair_is_left_alone(tmp_path: Path) -> None:
    """A second call issues nothing and touches no file."""
    first = _ensure(tmp_path)
    before = first.cert.stat().st_mtime_ns, first.key.stat().st_mtime_ns
    second = _ensure(tmp_path, now=NOW + timedelta(days=59))
    assert (first.issued, second.issued, second.reason) == (True, False, "")
    assert (second.cert.stat().st_mtime_ns, second.key.stat().st_mtime_ns) == before


def test_renewed_at_two_thirds(tmp_path: Path) -> None:
    """Day 59 of 90 is early, day 61 is due; the key stays, so that the pair matches at every instant."""
    first = _ensure(tmp_path)
    key = first.key.read_bytes()
    second = _ensure(tmp_path, now=NOW + timedelta(days=61))
    assert (second.issued, second.reason) == (True, "two thirds of its lifetime are over")
    assert second.not_after == NOW + timedelta(days=151)
    assert second.key.read_bytes() == key


def test_clock_that_went_back_is_noticed(tmp_path: Path) -> None:
    """A certificate that is not valid yet is replaced, with the reason, under its old key."""
    key = _ensure(tmp_path).key.read_bytes()
    again = _ensure(tmp_path, now=NOW - timedelta(days=30))
    assert (again.issued, again.reason.partition(":")[0]) == (True, "not valid yet")
    assert (again.key.read_bytes(), _matching(again)) == (key, True)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_an_hour_off_makes_a_certificate_that_stays_good(tmp_path: Path, hours: int) -> None:
    """Made while it was an hour ahead or behind, used when it is right again: nothing has to be issued."""
    _ensure(tmp_path, now=NOW + timedelta(hours=hours))
    assert not _ensure(tmp_path).issued


def test_other_hosts_are_issued(tmp_path: Path) -> None:
    """More, fewer or other names make a new certificate; another order does not."""
    _ensure(tmp_path, hosts=("localhost", "bot.lan"))
    assert not _ensure(tmp_path, hosts=("bot.lan", "LOCALHOST.")).issued
    assert _ensure(tmp_path, hosts=("localhost",)).reason == "other host names are wanted"
    assert _ensure(tmp_path, hosts=("localhost", "192.168.1.9")).hosts == ("localhost", "192.168.1.9")


def test_force_changes_key_and_certificate(tmp_path: Path) -> None:
    """When asked for, both are new."""
    first = _ensure(tmp_path)
    old = first.cert.read_bytes(), first.key.read_bytes()
    second = _ensure(tmp_path, force=True)
    assert second.reason == "asked for"
    assert second.cert.read_bytes() != old[0]
    assert second.key.read_bytes() != old[1]
    assert _matching(second)


@pytest.mark.parametrize("file", ["edge.pem", "edge.key"])
@pytest.mark.parametrize(
    "damage", [None, b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_damage_is_healed(tmp_path: Path, file: str, damage: bytes | None) -> None:
    """A missing or damaged file of the pair ends in a good pair."""
    _ensure(tmp_path)
    (tmp_path / file).unlink() if damage is None else (tmp_path / file).write_bytes(damage)
    healed = _ensure(tmp_path)
    assert healed.issued
    assert _matching(healed)
    assert not _ensure(tmp_path).issued


def test_pair_of_two_services_is_told_apart(tmp_path: Path) -> None:
    """A key beside a certificate for another key is noticed, and the certificate replaced."""
    _ensure(tmp_path)
    ca = DevCa.open(tmp_path, now=NOW)
    other = ensure_leaf(ca, tmp_path, "vault", ["localhost"], now=NOW)
    (tmp_path / "edge.key").write_bytes(other.key.read_bytes())
    healed = _ensure(tmp_path)
    assert healed.reason == "certificate and key do not belong together"
    assert _matching(healed)


def test_new_ca_replaces_the_certificate(tmp_path: Path) -> None:
    """A certificate of a CA that is gone is not kept."""
    _ensure(tmp_path)
    (tmp_path / "ca.key").unlink()
    assert _ensure(tmp_path).reason == "not accepted by a strict client of this CA"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_key_that_others_could_read_is_replaced(tmp_path: Path, mode: int) -> None:
    """A key that was open to others is not trusted again."""
    first = _ensure(tmp_path)
    old = first.key.read_bytes()
    first.key.chmod(mode)
    second = _ensure(tmp_path)
    assert second.issued
    assert second.key.read_bytes() != old
    assert stat.S_IMODE(second.key.stat().st_mode) == 0o600


@pytest.mark.parametrize("force", [False, True])
def test_killed_at_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, force: bool) -> None:
    """Killed after any number of writes, the next call ends in a matching pair that the one after leaves alone."""
    real: Callable[..., None] = atomic_write
    for survive in range(3):
        directory = tmp_path / str(survive)
        directory.mkdir()
        if force:
            _ensure(directory)
        left = [survive]

        def dying(*arguments: object, left: list[int] = left, **named: object) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            real(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr("nasos.tls.leaf.atomic_write", dying)
            try:
                _ensure(directory, force=force)
            except KeyboardInterrupt:
                assert survive < 2
        healed = _ensure(directory)
        assert _matching(healed)
        assert not _ensure(directory).issued


def test_renewal_never_shows_a_pair_that_does_not_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every write of an ordinary renewal the files on disk belong together: a reload at any instant works."""
    first = _ensure(tmp_path)
    real: Callable[..., None] = atomic_write
    seen: list[bool] = []

    def watched(*arguments: object, **named: object) -> None:
        seen.append(_matching(first))
        real(*arguments, **named)
        seen.append(_matching(first))

    monkeypatch.setattr("nasos.tls.leaf.atomic_write", watched)
    assert _ensure(tmp_path, now=NOW + timedelta(days=61)).issued
    assert seen == [True, True]


def test_refused_hosts_leave_the_pair(tmp_path: Path) -> None:
    """Hosts that the CA may not sign, or that are none, change nothing on disk."""
    first = _ensure(tmp_path)
    before = first.cert.read_bytes()
    ca = DevCa.open(tmp_path, now=NOW)
    with pytest.raises(TlsError):
        ensure_leaf(ca, tmp_path, "edge", ["evil.example"], now=NOW)
    for hosts in (["*.lan"], ["a b"], [], ["localhost:8443"], ["https://localhost"], ["bücher.example"], ["1.2.3"]):
        with pytest.raises(NameRefused):
            ensure_leaf(ca, tmp_path, "edge", hosts, now=NOW)
    assert first.cert.read_bytes() == before


def test_key_belongs_to_its_service(tmp_path: Path) -> None:
    """The key is the service's own, and a later call that does not say whose it is leaves it so."""
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    ca = DevCa.open(tmp_path, now=NOW)
    leaf = ensure_leaf(ca, tmp_path, "edge", ["localhost"], now=NOW, owner=owner)
    assert leaf.key.stat().st_uid == owner
    again = ensure_leaf(ca, tmp_path, "edge", ["localhost"], now=NOW)
    assert not again.issued
    ensure_leaf(ca, tmp_path, "edge", ["localhost"], now=NOW, force=True)
    assert leaf.key.stat().st_uid == owner
