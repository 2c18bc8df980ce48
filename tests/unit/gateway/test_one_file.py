"""One file, opened by the gateway for its sessions and its API tokens, and by the operator's command beside it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from nasos.gateway.access import Role
from nasos.gateway.api_tokens import ApiTokens
from nasos.gateway.sessions import Sessions

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENDS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from nasos.gateway.sessions import Sessions
sessions = Sessions.open(Path(sys.argv[1]))
print(sessions.end_all("ann", "revoked", datetime(2026, 11, 23, 12, 1, tzinfo=UTC)))
sessions.close()
"""


def test_what_another_process_ended_has_ended_here(tmp_path: Path) -> None:
    """Also where this process opened the file twice: closing a descriptor of it would have dropped SQLite's locks."""
    path = tmp_path / "gateway" / "sessions.db"
    with closing(Sessions.open(path)) as sessions, closing(ApiTokens.open(path)):
        opened = sessions.start("ann", Role.VIEWER, "203.0.113.9", NOW)
        assert sessions.active(opened.sid, NOW)
        done = subprocess.run([sys.executable, "-c", ENDS, str(path)], check=True, capture_output=True, text=True)
        assert done.stdout == "1\n"
        assert not sessions.active(opened.sid, NOW)
