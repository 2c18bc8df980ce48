"""Families of refresh tokens, whatever happens to them in whatever order."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from nasos.errors import SessionRefused
from nasos.gateway.access import Role
from nasos.gateway.sessions import Sessions
from nasos.secret import Secret

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PHONE, THIEF = "203.0.113.9 FreqUI", "198.51.100.1 curl"


class Life(RuleBasedStateMachine):
    """Logins, renewals, repeats, thefts, logouts and restarts in any order."""

    tokens = Bundle("tokens")
    used = Bundle("used")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "s.db"
        self.sessions = Sessions.open(self.path)
        self.now = NOW
        self.newest: dict[str, Secret] = {}

    def teardown(self) -> None:
        """Nothing is left."""
        self.sessions.close()
        self.folder.cleanup()

    @rule(target=tokens, user=st.sampled_from(["ann", "bob"]))
    def log_in(self, user: str) -> tuple[str, Secret]:
        """A session more."""
        opened = self.sessions.start(user, Role.VIEWER, PHONE, self.now)
        self.newest[opened.sid] = opened.refresh
        return opened.sid, opened.refresh

    @rule(seconds=st.sampled_from([1, 11, 300, 4000]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    @rule(target=tokens, token=consumes(tokens), client=st.sampled_from([PHONE, THIEF]))
    def renew(self, token: tuple[str, Secret], client: str) -> object:
        """Any token that was ever given: it works if it is the newest of a living session, or gives the newest."""
        sid, refresh = token
        living = sid in self.newest
        try:
            renewed = self.sessions.renew(refresh, client, self.now)
        except SessionRefused as refused:
            assert not (living and refresh == self.newest[sid])
            if refused.reused:
                assert self.newest.pop(sid)
            return multiple(token)
        assert living
        if refresh != self.newest[sid]:
            assert renewed.refresh == self.newest[sid]
        self.newest[sid] = renewed.refresh
        return multiple(token, (sid, renewed.refresh))

    @rule(token=tokens)
    def log_out(self, token: tuple[str, Secret]) -> None:
        """One session ends."""
        assert self.sessions.end(token[0], "logout", self.now) is (self.newest.pop(token[0], None) is not None)

    @rule()
    def restart(self) -> None:
        """The gateway starts anew."""
        self.sessions.close()
        self.sessions = Sessions.open(self.path)

    @invariant()
    def exactly_the_living_ones_are_active(self) -> None:
        """A session lives until its end, its expiry or a reuse."""
        for sid in list(self.newest):
            if not self.sessions.active(sid, self.now):
                with pytest.raises(SessionRefused, match="expired"):
                    self.sessions.renew(self.newest.pop(sid), PHONE, self.now)
        assert {each.sid for each in self.sessions.alive(self.now)} == set(self.newest)


Life.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
