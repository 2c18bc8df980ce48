"""Families of refresh tokens: one living token each, no way around the rotation, and an end that holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nasos.errors import FileRefused, GatewayError, SessionRefused
from nasos.gateway import opaque
from nasos.gateway.access import Role
from nasos.gateway.sessions import KEPT, MOST, Lifetimes, Opened, Sessions
from nasos.secret import Secret

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMES = Lifetimes()
PHONE, THIEF = "203.0.113.9 FreqUI", "198.51.100.1 curl"
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    """Those of a gateway that starts for the first time."""
    made = Sessions.open(tmp_path / "gateway" / "sessions.db")
    yield made
    made.close()


def start(sessions: Sessions, user: str = "ann", now: datetime = NOW) -> Opened:
    """A login."""
    return sessions.start(user, Role.TRADER, PHONE, now)


def why(sessions: Sessions, refresh: Secret, now: datetime = LATER, client: str = PHONE) -> SessionRefused:
    """The refusal of a renewal."""
    with pytest.raises(SessionRefused) as refused:
        sessions.renew(refresh, client, now)
    return refused.value


def test_a_session_goes_on_by_renewals(sessions: Sessions) -> None:
    """The same session and rights, each time with another token."""
    opened = start(sessions)
    seen, token = {opened.refresh.reveal()}, opened.refresh
    for minute in range(1, 6):
        renewed = sessions.renew(token, PHONE, NOW + timedelta(minutes=minute))
        assert (renewed.sid, renewed.user, renewed.role) == (opened.sid, "ann", Role.TRADER)
        assert renewed.ends == NOW + timedelta(minutes=minute) + TIMES.idle
        token = renewed.refresh
        seen.add(token.reveal())
    assert len(seen) == 6
    assert sessions.active(opened.sid, LATER)


def test_a_used_token_ends_the_whole_session(sessions: Sessions) -> None:
    """Whoever of holder and thief comes second: both are out, and the log knows whose session it was."""
    opened = start(sessions)
    newest = sessions.renew(opened.refresh, PHONE, NOW + timedelta(minutes=1)).refresh
    refused = why(sessions, opened.refresh)
    assert (refused.reused, refused.session, refused.user) == (True, opened.sid, "ann")
    assert not sessions.active(opened.sid, LATER)
    again = why(sessions, newest)
    assert (again.reused, again.session) == (False, opened.sid)


def test_the_oldest_token_of_a_session_is_still_recognised(sessions: Sessions) -> None:
    """Not only the one before: any that ever was."""
    first = start(sessions)
    token = first.refresh
    for minute in range(1, 20):
        token = sessions.renew(token, PHONE, NOW + timedelta(minutes=minute)).refresh
    assert why(sessions, first.refresh, NOW + timedelta(hours=1)).reused
    assert not sessions.active(first.sid, NOW + timedelta(hours=1))


def test_a_lost_answer_is_given_again_and_is_no_second_token(sessions: Sessions) -> None:
    """Inside the grace the same client gets the same token; there is never another one that lives."""
    opened = start(sessions)
    answer = sessions.renew(opened.refresh, PHONE, LATER)
    for second in (0, 1, 9):
        again = sessions.renew(opened.refresh, PHONE, LATER + timedelta(seconds=second))
        assert again.refresh == answer.refresh
    sessions.renew(answer.refresh, PHONE, LATER + timedelta(seconds=9))


@pytest.mark.parametrize("hole", ["too late", "another client", "after the next", "clock put back"])
def test_the_grace_is_no_hole(sessions: Sessions, hole: str) -> None:
    """Too late, from elsewhere, or when the next token was used already: the whole session ends."""
    opened = start(sessions)
    answer = sessions.renew(opened.refresh, PHONE, LATER)
    moment, client = LATER + timedelta(seconds=2), PHONE
    if hole == "too late":
        moment = LATER + TIMES.grace
    elif hole == "another client":
        client = THIEF
    elif hole == "clock put back":
        moment = LATER - timedelta(seconds=2)
    else:
        sessions.renew(answer.refresh, PHONE, LATER + timedelta(seconds=1))
    assert why(sessions, opened.refresh, moment, client).reused
    assert not sessions.active(opened.sid, moment)


def test_a_thief_inside_the_grace_holds_what_the_client_holds(sessions: Sessions) -> None:
    """Even on the client's own machine: the second of the two to use the next token ends the session."""
    opened = start(sessions)
    mine = sessions.renew(opened.refresh, PHONE, LATER).refresh
    stolen = sessions.renew(opened.refresh, PHONE, LATER + timedelta(seconds=5)).refresh
    sessions.renew(stolen, PHONE, LATER + timedelta(minutes=5))
    assert why(sessions, mine, LATER + timedelta(minutes=6)).reused
    assert not sessions.active(opened.sid, LATER + timedelta(minutes=6))


def test_after_a_restart_a_lost_answer_is_lost_and_ends_nothing(tmp_path: Path) -> None:
    """The answer was in memory only; nobody is told a token, and nobody is thrown out."""
    path = tmp_path / "sessions.db"
    before = Sessions.open(path)
    opened = start(before)
    newest = before.renew(opened.refresh, PHONE, LATER).refresh
    before.close()
    after = Sessions.open(path)
    refused = why(after, opened.refresh, LATER + timedelta(seconds=3))
    assert "lost" in str(refused)
    assert not refused.reused
    assert after.renew(newest, PHONE, LATER + timedelta(seconds=4)).sid == opened.sid
    after.close()


def test_many_at_once_get_one_and_the_same_next_token(sessions: Sessions) -> None:
    """Sixteen tabs renew in the same instant: one rotation, one living token."""
    opened = start(sessions)
    with ThreadPoolExecutor(16) as tabs:
        answers = list(tabs.map(lambda _: sessions.renew(opened.refresh, PHONE, LATER), range(64)))
    assert len({answer.refresh.reveal() for answer in answers}) == 1
    sessions.renew(answers[0].refresh, PHONE, LATER + timedelta(seconds=1))


def test_of_many_clients_at_once_one_wins_and_then_nobody(sessions: Sessions) -> None:
    """The same token from sixteen different clients: exactly one is answered, and the session is ended."""
    opened = start(sessions)

    def renew(number: int) -> str | None:
        try:
            return sessions.renew(opened.refresh, f"client {number}", LATER).refresh.reveal()
        except SessionRefused:
            return None

    with ThreadPoolExecutor(16) as clients:
        answers = [answer for answer in clients.map(renew, range(16)) if answer]
    assert len(answers) == 1
    assert not sessions.active(opened.sid, LATER)


def test_of_two_gateways_on_one_file_one_wins(tmp_path: Path) -> None:
    """Should two processes ever serve one file: one renewal, one living token, and nobody is thrown out."""
    both = [Sessions.open(tmp_path / "s.db") for _ in range(2)]
    opened = start(both[0])

    def renew(number: int) -> Opened | SessionRefused:
        try:
            return both[number % 2].renew(opened.refresh, PHONE, LATER)
        except SessionRefused as refused:
            return refused

    with ThreadPoolExecutor(8) as tabs:
        answers = list(tabs.map(renew, range(32)))
    renewed = [answer for answer in answers if isinstance(answer, Opened)]
    assert len({answer.refresh.reveal() for answer in renewed}) == 1
    assert not any(answer.reused for answer in answers if isinstance(answer, SessionRefused))
    assert both[1].renew(renewed[0].refresh, PHONE, LATER + timedelta(seconds=1)).sid == opened.sid
    for each in both:
        each.close()


def test_it_ends_without_use_and_altogether(sessions: Sessions) -> None:
    """A day without a renewal; two weeks whatever it does."""
    opened = start(sessions)
    end = NOW + TIMES.idle
    assert sessions.active(opened.sid, end - timedelta(seconds=1))
    assert not sessions.active(opened.sid, end)
    assert "expired" in str(why(sessions, opened.refresh, end))
    last, now = start(sessions), NOW
    while now + timedelta(hours=23) < NOW + TIMES.whole:
        now += timedelta(hours=23)
        last = sessions.renew(last.refresh, PHONE, now)
    assert last.ends == NOW + TIMES.whole
    assert "expired" in str(why(sessions, last.refresh, NOW + TIMES.whole))


def test_an_end_is_at_once_and_for_good(sessions: Sessions) -> None:
    """One session, or all of one user; others go on."""
    one, two, other = start(sessions), start(sessions), start(sessions, "bob")
    assert sessions.end(one.sid, "logout", NOW)
    assert not sessions.end(one.sid, "logout", NOW)
    assert [sessions.active(each.sid, NOW) for each in (one, two, other)] == [False, True, True]
    assert "ended" in str(why(sessions, one.refresh))
    assert sessions.end_all("ann", "logout everywhere", NOW) == 1
    assert [sessions.active(each.sid, NOW) for each in (one, two, other)] == [False, False, True]
    assert sessions.end_all("ann", "again", NOW) == 0


def test_what_another_process_ends_counts_from_the_next_call_on(tmp_path: Path) -> None:
    """The operator's command and the gateway look at the same file."""
    gateway, command = Sessions.open(tmp_path / "s.db"), Sessions.open(tmp_path / "s.db")
    opened = start(gateway)
    assert gateway.active(opened.sid, NOW)
    assert command.end(opened.sid, "revoked", NOW)
    assert not gateway.active(opened.sid, NOW)
    assert "ended" in str(why(gateway, opened.refresh))
    gateway.close()
    command.close()


def test_a_stranger_can_end_nothing(sessions: Sessions) -> None:
    """The session's name is in every access token: it opens and ends nothing. Nor does a guess at a token."""
    opened = start(sessions)
    random_part = opaque.random_part(opened.refresh.reveal(), opaque.REFRESH)
    assert random_part
    wrong = [
        "", opened.sid, "nasosr_", opened.refresh.reveal()[:-1], opened.refresh.reveal().upper(),
        opaque.assembled(opaque.REFRESH, opened.sid + random_part[22:]).reveal(),
        opaque.assembled(opaque.REFRESH, opaque.random_text(43)).reveal(),
        opaque.assembled(opaque.API, random_part).reveal(), "nasosr_" + random_part + "000000", "\ud800" * 56,
        "x" * 10**6,
    ]  # fmt: skip
    for text in wrong:
        assert not why(sessions, Secret(text)).reused
    assert sessions.active(opened.sid, LATER)
    assert sessions.renew(opened.refresh, PHONE, LATER).sid == opened.sid


def test_unknown_sessions_are_not_active(sessions: Sessions) -> None:
    """No name, a wrong one, an injection."""
    start(sessions)
    assert not any(sessions.active(sid, NOW) for sid in ("", "x", "' OR 1=1 --", "\x00"))


def test_a_session_from_the_future_counts_for_nothing(sessions: Sessions) -> None:
    """A clock that was a year ahead for a moment leaves no session for a year; a small correction ends none."""
    wrong, fine = start(sessions, now=NOW + timedelta(days=365)), start(sessions, now=NOW + timedelta(minutes=2))
    assert not sessions.active(wrong.sid, NOW)
    assert "future" in str(why(sessions, wrong.refresh, NOW))
    assert sessions.active(fine.sid, NOW)


def test_no_user_has_more_than_a_bound(sessions: Sessions) -> None:
    """One more login ends the session that was renewed the longest ago."""
    opened = [start(sessions, now=NOW + timedelta(seconds=number)) for number in range(MOST + 3)]
    assert [sessions.active(each.sid, LATER) for each in opened] == [False] * 3 + [True] * MOST
    assert len(sessions.alive(LATER)) == MOST


def test_the_list_shows_who_from_where_and_no_token(sessions: Sessions) -> None:
    """The newest first, of one user or all."""
    ann, bob = start(sessions), start(sessions, "bob", LATER)
    listed = sessions.alive(LATER)
    assert [(each.sid, each.user, each.client) for each in listed] == [(bob.sid, "bob", PHONE), (ann.sid, "ann", PHONE)]
    assert [each.sid for each in sessions.alive(LATER, "ann")] == [ann.sid]
    assert ann.refresh.reveal() not in repr(listed)
    assert listed[1].ends == NOW + TIMES.idle


def test_what_can_matter_no_more_is_forgotten(sessions: Sessions) -> None:
    """A day after its end, and not while it lives."""
    ended, idle, alive = start(sessions), start(sessions), start(sessions, now=NOW + timedelta(days=2))
    sessions.end(ended.sid, "logout", NOW)
    assert sessions.tidy(NOW + KEPT) == 0
    assert sessions.tidy(NOW + KEPT + timedelta(seconds=1)) == 1
    assert "known" in str(why(sessions, ended.refresh))
    assert sessions.tidy(NOW + timedelta(days=2, seconds=1)) == 1
    assert "known" in str(why(sessions, idle.refresh))
    assert sessions.active(alive.sid, NOW + timedelta(days=2, seconds=1))


def test_a_copy_of_the_file_opens_nothing(tmp_path: Path) -> None:
    """Neither file nor journal holds a token, its family secret, or anything that renews."""
    sessions = Sessions.open(tmp_path / "s.db")
    opened = start(sessions)
    renewed = sessions.renew(opened.refresh, PHONE, LATER)
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert opened.sid.encode() in content
    for token in (opened.refresh, renewed.refresh):
        assert token.reveal()[7:29].encode() not in content
        assert token.reveal()[29:50].encode() not in content
    sessions.close()


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """0600 with both companions; another mode, a link, a directory, rubbish or a stranger's database is refused."""
    sessions = Sessions.open(tmp_path / "d" / "s.db")
    start(sessions)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "d").iterdir()} == {0o600}
    assert len(list((tmp_path / "d").iterdir())) == 3
    sessions.close()
    open_to_all, link, folder, rubbish, foreign = (tmp_path / "d" / name for name in ("a", "b", "c", "e", "f"))
    open_to_all.write_bytes(b"")
    open_to_all.chmod(0o640)
    link.symlink_to(tmp_path / "d" / "s.db")
    folder.mkdir()
    rubbish.write_bytes(b"no database at all, but long enough to be looked at as one" * 40)
    rubbish.chmod(0o600)
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE t (a)")
    other.close()
    foreign.chmod(0o600)
    for path in (open_to_all, link, folder, rubbish, foreign):
        with pytest.raises(FileRefused) as refused:
            Sessions.open(path)
        assert refused.value.hint


def test_what_cannot_be_stored_is_not_answered(sessions: Sessions) -> None:
    """A disk that is full (here: a limit on the file): an error, and the session is as before."""
    opened = start(sessions)
    pages = sessions._storage.look("PRAGMA page_count")[0][0]
    sessions._storage._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(GatewayError, match="full") as refused:
        start(sessions, "x" * 50_000)
    assert refused.value.hint
    assert len(sessions.alive(NOW)) == 1
    sessions._storage._writer.execute("PRAGMA max_page_count = 100000")
    assert sessions.renew(opened.refresh, PHONE, LATER).sid == opened.sid
