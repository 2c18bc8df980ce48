"""What of the state directory a backup takes along, and what would open something again that was ended since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from nasos.files import private_directory
from nasos.gateway.access import Role
from nasos.gateway.api_tokens import ApiTokens, Scope
from nasos.gateway.sessions import Sessions
from nasos.stack.backup.files import collect


def test_neither_sessions_nor_api_tokens_come_back_with_a_restore(tmp_path: Path) -> None:
    """The gateway's database is in no backup: who was shut out after it was made stays out. Its ledger is in it."""
    home, target = tmp_path / "home", tmp_path / "parts"
    for place in (home, home / "gateway", home / "run", home / "run/gateway", home / "ledger", home / "bot", target):
        private_directory(place)
    now = datetime.now(UTC)
    database = home / "gateway" / "sessions.db"
    with_sessions, with_tokens = Sessions.open(database), ApiTokens.open(database)
    with_sessions.start("ann", Role.ADMIN, "x", now)
    with_tokens.create("screen", Scope(Role.VIEWER, ("nasos",)), user="ann", now=now, ends=now + timedelta(days=1))
    (home / "run/gateway/events.jsonl").write_text("{}\n")
    (home / "stack.json").write_text("{}\n")
    parts, left = collect(home, (), target)  # both are open: their log lies beside the file
    with_sessions.close()
    with_tokens.close()
    assert sorted(part.name for part in parts if "ledger" not in part.name) == [
        "state/run/gateway/events.jsonl", "state/stack.json",
    ]  # fmt: skip
    assert left == []
