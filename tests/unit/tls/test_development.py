"""All certificates of the stack: issued, told about, shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from nasos.settings import TlsSettings
from nasos.tls import State, edge_hosts, issue_all, standings

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


def test_each_service_has_its_own_pair(tmp_path: Path) -> None:
    """Six certificates, six keys; the edge also answers to the configured hosts, the bot to a name of its own."""
    leaves = {leaf.service: leaf for leaf in issue_all(tmp_path, ["bot.lan"], now=NOW)}
    assert set(leaves) == {"vault", "postgres", "bot", "edge", "gateway", "nginx"}
    assert len({leaf.key.read_bytes() for leaf in leaves.values()}) == 6
    assert leaves["edge"].hosts == edge_hosts(["bot.lan"]) == ("bot.lan", "localhost", "127.0.0.1", "::1")
    assert leaves["vault"].hosts == ("localhost", "127.0.0.1", "::1")
    assert leaves["gateway"].hosts == ("gateway.localhost", "localhost", "127.0.0.1", "::1")
    assert leaves["nginx"].hosts == ("nginx.localhost",)
    assert leaves["bot"].hosts == ("bot.localhost", "localhost", "127.0.0.1", "::1")


def test_who_must_be_told_is_told_once(tmp_path: Path) -> None:
    """Each new certificate is reported under its program's name, after it is on disk; a good one is not."""
    told: list[str] = []
    notify = [lambda program, leaf: told.append(f"{program} {leaf.cert.exists()}")]
    issue_all(tmp_path, ["localhost"], now=NOW, notify=notify)
    assert told == ["vault True", "postgres True", "bot True", "nginx True", "gateway True", "nginx True"]
    told.clear()
    issue_all(tmp_path, ["localhost"], now=NOW, notify=notify)
    assert not told
    issue_all(tmp_path, ["localhost", "bot.lan"], now=NOW, notify=notify)
    assert told == ["nginx True"]


def _states(directory: Path, hosts: list[str], now: datetime) -> set[State]:
    return {standing.state for standing in standings(directory, TlsSettings(hosts=tuple(hosts)), now=now)}


def test_standing_is_told_as_it_is(tmp_path: Path) -> None:
    """Missing, good, due, expired: each is said, and looking changes nothing."""
    assert _states(tmp_path, ["localhost"], NOW) == {State.MISSING}
    assert not list(tmp_path.iterdir())
    issue_all(tmp_path, ["localhost"], now=NOW)
    assert _states(tmp_path, ["localhost"], NOW) == {State.GOOD}
    assert _states(tmp_path, ["localhost"], NOW + timedelta(days=61)) == {State.DUE}
    assert _states(tmp_path, ["localhost"], NOW + timedelta(days=91)) == {State.BAD}


def test_made_while_the_clock_was_ahead_is_not_valid_yet_and_mended(tmp_path: Path) -> None:
    """More than an hour ahead: bad, from when it holds, and where to look; issued again with the right clock, good."""
    issue_all(tmp_path, ["localhost"], now=NOW + timedelta(hours=3))
    for standing in standings(tmp_path, TlsSettings(), now=NOW):
        assert standing.state is State.BAD
        assert "not valid before 2027-01-15 14:00 UTC" in standing.reason
        assert "clock was ahead" in standing.reason
    assert all(leaf.issued for leaf in issue_all(tmp_path, ["localhost"], now=NOW))
    assert _states(tmp_path, ["localhost"], NOW) == {State.GOOD}


def test_wrong_standing_has_a_reason(tmp_path: Path) -> None:
    """A wanted name that is not on the certificate, a damaged file, a lost CA: bad, with the reason."""
    issue_all(tmp_path, ["localhost"], now=NOW)
    (tmp_path / "vault.pem").write_bytes(b"garbage")
    found = {standing.service: standing for standing in standings(tmp_path, TlsSettings(hosts=("bot.lan",)), now=NOW)}
    assert found["vault"].state is State.BAD
    assert "bot.lan" in found["edge"].reason
    assert found["postgres"].state is State.GOOD
    (tmp_path / "ca.pem").unlink()
    assert _states(tmp_path, ["localhost"], NOW) == {State.BAD}
