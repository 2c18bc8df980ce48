"""The second audit log moves to another disk: Vault takes it up there, under another name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fixtures.vault import Server
from nasos.errors import VaultStandby
from nasos.vault import system

MakeServer = Callable[..., Server]


def restarted(server: Server, before: str, after: str) -> None:
    """End it, change its configuration, start it."""
    server.stop()
    config = server.home / "vault" / "config.hcl"
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))
    server.start()


def test_a_moved_log_needs_another_name(new_server: MakeServer, tmp_path: Path) -> None:
    """Under its old name Vault never becomes active again (the negative twin); under a name of its path it does."""
    server = new_server()
    token = server.bootstrap_keeping_root()
    elsewhere = tmp_path / "other-disk"
    elsewhere.mkdir(mode=0o700)
    restarted(server, str(server.audit_files[1]), str(elsewhere / "audit.log"))
    with pytest.raises(VaultStandby):
        system.wait_active(server.api, 3)
    restarted(server, 'audit "file" "second"', 'audit "file" "second-0a1b2c3d"')
    system.wait_active(server.api, 60)
    devices = msgspec.convert(server.api.request("GET", "sys/audit", token=token)["data"], dict[str, object])
    assert set(devices) == {"primary/", "second-0a1b2c3d/"}
    assert (elsewhere / "audit.log").stat().st_size > 0
