"""The companion as the program that the stack starts, on a real Vault with its own role; Cloudflare is simulated."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.vault import VaultUnderTest
from nasos.cloudflare.standing import proven
from nasos.errors import PermissionDenied, ProgramFailed
from nasos.files import atomic_write
from nasos.ledger import read
from nasos.settings import load
from nasos.settings.cloudflare import CloudflareTable
from nasos.stack.companion.duties import Duties
from nasos.stack.home import Home
from nasos.stack.ports import Ports
from nasos.stack.programs import programs, wanted
from nasos.stack.users import Users
from nasos.vault import VaultClient
from simulators.cloudflare import Cloudflare, Token
from simulators.cloudflare_server import serving

OLD, NEW = "o" * 40, "n" * 40


def until(seen: Callable[[], bool], log: Path) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 240
    while not seen():
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)


def well(place: Path) -> bool:
    """Whether it says so."""
    try:
        return bool(proven(place))
    except ProgramFailed:
        return False


def test_the_program_has_its_token_from_vault_and_takes_up_another(vault: VaultUnderTest, tmp_path: Path) -> None:
    """A token that was revoked and replaced needs no restart; what is done is in its own ledger; SIGTERM ends it."""
    simulated = Cloudflare(tokens=[Token(OLD)])
    zone = simulated.add_zone("example.com")
    compose, log, own = tmp_path / "compose.yml", tmp_path / "log", tmp_path / "own"
    credential = tmp_path / "companion.json"
    own.mkdir()
    atomic_write(credential, (vault.home / "credentials" / "companion.json").read_bytes())
    compose.write_text('services: {bot: {labels: {cloudflare.subdomain: "bot"}}}')
    with serving(simulated) as origin, VaultClient(vault.root_connection, prefix="nasos") as root:
        root.write("cloudflare/companion", {"token": OLD})
        duties = Duties(
            owner="home", containers=str(compose), zone_id=zone.id, vault=vault.address, ca_file=vault.ca_file,
            table=CloudflareTable(target=("203.0.113.7",), api=origin), directory=own,
            credential=credential, ledger=tmp_path / "own" / "events.jsonl",
        )  # fmt: skip
        with log.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "nasos.stack.companion", duties.encode()], stdout=said, stderr=said, env={}
            )
        try:
            until(lambda: well(own), log)
            simulated.tokens[:] = [Token(NEW)]
            # Other inodes take their places, as under an editor and a renewal: Landlock knows the old ones only.
            atomic_write(compose, b'services: {bot: {labels: {cloudflare.subdomain: "bot,new"}}}')
            atomic_write(credential, credential.read_bytes())
            until(lambda: not well(own), log)
            root.write("cloudflare/companion", {"token": NEW})
            until(lambda: len(zone.records) == 2 and well(own), log)
        finally:
            process.send_signal(signal.SIGTERM)
            ended = process.wait(60)
        root.destroy("cloudflare/companion", [1, 2])
    events = [(event.actor, event.event, event.outcome) for event in read(own / "events.jsonl")]
    assert [event[1:] for event in events] == [
        ("cloudflare.apply", "ok"), ("cloudflare.companion", "failed"), ("cloudflare.apply", "ok"),
        ("cloudflare.companion", "ok"),
    ]  # fmt: skip
    assert ({event[0] for event in events}, ended) == ({"companion"}, 0)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert OLD.encode() not in written
    assert NEW.encode() not in written


@pytest.mark.parametrize("path", ["cloudflare/origin", "bots/nasos/exchange", "postgres/admin"])
def test_its_role_reads_nothing_else(vault: VaultUnderTest, path: str) -> None:
    """Also not the other tokens for the same Cloudflare."""
    with VaultClient(vault.connection("companion"), prefix="nasos") as client, pytest.raises(PermissionDenied):
        client.read(path)


def test_it_is_started_only_where_somebody_says_where_to_look(tmp_path: Path) -> None:
    """Without `containers` there is no such program; with it, it is told no secret."""
    settings = load(
        {"CLOUDFLARE_API_TOKEN": OLD, "CLOUDFLARE_ZONE_ID": "0" * 32, "NASOS_HOME": str(tmp_path)}, tmp_path
    )
    assert "companion" not in wanted(settings)
    table = CloudflareTable(containers="compose.yml", owner="home")
    asked = replace(settings, project=tmp_path, cloudflare=replace(settings.cloudflare, table=table))
    home = Home(tmp_path, Users(separate=False))
    [program] = [each for each in programs(home, asked, Ports.following(9000)) if each.name == "companion"]
    assert str(tmp_path / "compose.yml") in program.command[-1]
    assert OLD not in str(program)
