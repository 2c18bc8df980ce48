"""The files an operator deploys: the production configuration, the init script, and the commands they call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fixtures.commands import nasos, run
from fixtures.vault import Server, VaultUnderTest
from nasos.errors import VaultRefused, VaultSealed
from nasos.ledger import Outcome, read
from nasos.secret import Secret
from nasos.vault import system
from nasos.vault.server import make_unseal_key
from nasos.vault.system import Shares

ROOT = Path(__file__).resolve().parents[3]
ROOT_FROM_SHARES = "\n  disable_unauthed_generate_root_endpoints = false\n"
NewServer = Callable[..., Server]


def test_a_shamir_server_from_init_to_unseal_after_a_restart(new_server: NewServer) -> None:
    """Five shares, three needed: bootstrap unseals it, a restart seals it, three shares of the file open it again."""
    server = new_server(shamir=True)
    server.bootstrap(shares=Shares(5, 3))
    recovery = msgspec.json.decode(server.files.recovery.read_bytes())
    assert (recovery["kind"], recovery["threshold"], len(recovery["keys"])) == ("unseal key", 3, 5)

    server.stop()
    server.start()
    with pytest.raises(VaultSealed) as sealed:
        server.bootstrap()
    assert sealed.value.hint == "nasos vault unseal"

    shown = nasos(server, "vault", "status", "--json")
    assert shown.returncode == 1
    assert msgspec.json.decode(shown.stdout)["shares"] == {"needed": 3, "made": 5, "given": 0}
    few = nasos(server, "vault", "unseal", stdin="\n".join(recovery["keys"][:2]) + "\n")
    assert few.returncode == 3
    assert "vault is still sealed: 2 of 3 key shares given" in few.stderr
    last = nasos(server, "vault", "unseal", stdin=recovery["keys"][4] + "\n")
    assert (last.returncode, last.stdout) == (0, "vault is unsealed\n")
    told = [event.outcome for event in read(server.home / "ledger" / "events.jsonl") if event.event == "vault.unseal"]
    assert told == [Outcome.FAILED, Outcome.OK]
    assert all(key not in few.stdout + few.stderr + last.stderr for key in recovery["keys"])
    assert nasos(server, "vault", "status").returncode == 0
    assert set(server.bootstrap().steps) <= {"log policies and mount settings readably"}


def test_a_wrong_share_opens_nothing(new_server: NewServer) -> None:
    """A share that is not this server's is refused, and not repeated in the error."""
    server = new_server(shamir=True)
    server.bootstrap()
    server.stop()
    server.start()
    wrong = Secret("d3Jvbmcgc2hhcmUgb2YgYW5vdGhlciBzZXJ2ZXIhISE=")
    with pytest.raises(VaultRefused) as refusal:
        system.unseal(server.api, wrong)
    assert wrong.reveal() not in f"{refusal.value} {refusal.value.hint}"
    assert system.seal_status(server.api).sealed


def test_the_unseal_key_is_not_in_the_state_directory(new_server: NewServer) -> None:
    """With the state directory alone, key file missing, the server does not open."""
    server = new_server()
    server.bootstrap()
    server.stop()
    key = server.key
    assert key
    content = key.read_bytes()
    assert not any(content in path.read_bytes() for path in server.home.rglob("*") if path.is_file())
    assert not key.is_relative_to(server.home)
    key.unlink()
    with pytest.raises(AssertionError, match="ended"):
        server.start()


def test_the_production_configuration_starts_and_bootstraps(new_server: NewServer) -> None:
    """config/vault/config.hcl with the image's paths moved: the real server takes it, and vault-init.sh sets it up."""
    server = new_server()
    server.stop()
    config = server.home / "vault" / "config.hcl"
    assert server.key
    text = (ROOT / "config" / "vault" / "config.hcl").read_text()
    moved = {
        "/openbao/data": server.home / "vault" / "data",
        "/openbao/audit": server.home / "audit",
        "/openbao/tls": server.home / "tls",
        "/run/secrets/unseal.key": server.key,
        "0.0.0.0:8200": f"127.0.0.1:{server.port}",
        "0.0.0.0:8201": "127.0.0.1:0",
        "https://vault:8200": server.address,
        "https://vault:8201": "https://127.0.0.1:0",
    }
    for old, new in moved.items():
        assert old in text
        text = text.replace(old, str(new))
    config.write_text(text)
    server.start()
    script = str(ROOT / "config" / "vault" / "vault-init.sh")
    planned = run(["sh", script, "--plan"], server)
    assert (planned.returncode, planned.stdout.splitlines()[0]) == (1, "initialize the server")
    done = run(["sh", script, "--json"], server)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["recovery_file"] == str(server.files.recovery)
    again = run(["sh", script], server)
    assert (again.returncode, again.stdout) == (0, "vault is ready: nothing to change\n")
    assert "unknown or unsupported field" not in (server.home / "vault.log").read_text()
    server.kill()
    lost = run(["sh", script, "--wait", "0"], server)
    assert (lost.returncode, lost.stdout) == (3, "")
    assert "nasos: error:" in lost.stderr


def test_the_command_repairs_with_an_administrators_token(vault: VaultUnderTest) -> None:
    """VAULT_TOKEN lets bootstrap set back what the operator's credential may not."""
    vault.api.request("DELETE", "sys/quotas/rate-limit/nasos-login", token=vault.root_token)
    refused = nasos(vault.server, "vault", "bootstrap")
    assert refused.returncode == 3
    assert "only a root token may set it back" in refused.stderr
    planned = nasos(vault.server, "vault", "bootstrap", "--plan")
    assert planned.returncode == 1
    mended = nasos(vault.server, "vault", "bootstrap", "--json", token=vault.root_token)
    assert mended.returncode == 0
    assert "limit logins to 20 per second and address" in msgspec.json.decode(mended.stdout)["steps"]


def test_a_wrong_threshold_is_a_usage_error(vault: VaultUnderTest) -> None:
    """A threshold above the shares, or of one with several, is refused before anything is asked."""
    for shares, threshold in (("1", "2"), ("3", "1")):
        done = nasos(vault.server, "vault", "bootstrap", "--shares", shares, "--threshold", threshold)
        assert done.returncode == 2


def test_an_unseal_key_is_made_once(tmp_path: Path) -> None:
    """32 random bytes, 0600, in a private directory; an existing one is kept, whatever happens."""
    path = tmp_path / "keys" / "unseal.key"
    assert make_unseal_key(path)
    first = path.read_bytes()
    assert (len(first), path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (32, 0o600, 0o700)
    assert not make_unseal_key(path)
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == ["unseal.key"]


def test_recovery_at_ones_own_server_is_recorded_however_it_ended(new_server: NewServer) -> None:
    """Refused where its listener makes no root tokens; where it does, a credential that was lost is there again."""
    server = new_server()
    server.bootstrap()
    [key] = msgspec.json.decode(server.files.recovery.read_bytes())["keys"]
    operator = server.files.credentials / "operator.json"
    operator.unlink()
    refused = nasos(server, "vault", "recover", stdin=f"{key}\n")
    assert (refused.returncode, operator.exists()) == (3, False), refused.stderr
    assert "disable_unauthed_generate_root_endpoints" in refused.stderr

    config = server.home / "vault" / "config.hcl"
    opened = config.read_text().replace('listener "tcp" {', f'listener "tcp" {{{ROOT_FROM_SHARES}', 1)
    assert opened != config.read_text()
    config.write_text(opened)
    server.stop()
    server.start()
    system.wait_active(server.api, 30)
    done = nasos(server, "vault", "recover", stdin=f"{key}\n")
    assert (done.returncode, operator.exists()) == (0, True), done.stderr
    told = [event.outcome for event in read(server.home / "ledger" / "events.jsonl") if event.event == "vault.recover"]
    assert told == [Outcome.REFUSED, Outcome.OK]
    assert key not in refused.stdout + refused.stderr + done.stdout + done.stderr
