from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from canary import Canary
from fixtures.vault import VaultUnderTest, free_port
from nasos.errors import PermissionDenied
from nasos.ledger import Head, Kind, Ledger, Remembered, read, verify
from nasos.ledger.memory import beside
from nasos.secret import Secret
from nasos.stack.home import Record
from nasos.stack.ports import Ports
from nasos.stack.watcher.anchor import PATH, Anchor
from nasos.stack.watcher.memory import InVault
from nasos.vault import VaultClient
from simulators.receiver import Receiver, http_receiver

TOKEN = "tok3n-9c1fe2a7b0-in-a-path"


@dataclass(frozen=True)
class Place:
    """A home with a ledger and credentials, and the watcher's side of the real Vault."""

    home: Path
    client: VaultClient

    @property
    def ledger(self) -> Ledger:
        """The operator's."""
        return Ledger(self.home / "ledger" / "events.jsonl", "operator")

    def nasos(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command of the operator's."""
        return subprocess.run(
            [sys.executable, "-m", "nasos", *arguments], input=stdin, capture_output=True, text=True, check=False,
            cwd=self.home, timeout=120,
            env={"PATH": os.environ["PATH"], "NASOS_HOME": str(self.home), "NASOS_PROJECT": str(self.home.parent)},
        )  # fmt: skip


@pytest.fixture
def place(vault: VaultUnderTest, tmp_path: Path) -> Iterator[Place]:
    """The state directory as ``nasos up`` leaves it, as far as this needs it; nothing stays in Vault."""
    home = tmp_path / "home"
    for name in ("tls", "credentials"):
        (home / name).mkdir(parents=True)
    shutil.copy(vault.ca_file, home / "tls" / "ca.pem")
    shutil.copy(vault.home / "credentials" / "operator.json", home / "credentials" / "operator.json")
    ports = msgspec.structs.replace(Ports.following(free_port()), vault=int(vault.address.rpartition(":")[2]))
    (home / "stack.json").write_bytes(msgspec.json.encode(Record(id="test", ports=ports)))
    with VaultClient(vault.connection("watcher"), prefix="nasos") as client:
        yield Place(home, client)
    with VaultClient(vault.connection("operator"), prefix="nasos") as operator:
        for name in (PATH, *(f"alerts/{name}" for name in operator.list("alerts"))):
            operator.delete(name)


def ends(place: Place) -> dict[str, Head]:
    """Where the ledger ends now."""
    return {"operator": verify(place.ledger.path).head}


def test_the_watcher_remembers_the_ledgers_end_in_vault(place: Place) -> None:
    """With its own role; other ledgers' ends stay, and what is there already is not written again."""
    memory, anchor = InVault(place.home, place.client), Anchor(place.client)
    place.ledger.append("stack.up", "x")
    first = memory.anchor(ends(place), {})
    assert anchor.recall() == first == ends(place)
    version = place.client.metadata(PATH).current
    assert memory.anchor(ends(place), first) == first
    assert place.client.metadata(PATH).current == version
    anchor.remember({"bot": Head(3, "a" * 64, "b" * 64)})
    place.ledger.append("stack.down", "x")
    memory.anchor(ends(place), first)
    assert set(anchor.recall()) == {"operator", "bot"}


def test_a_ledger_that_was_cut_with_all_that_lies_beside_it_is_found_by_vaults_memory(place: Place) -> None:
    """Nothing local shows it; Vault's memory does, does not move on, and ``nasos ledger verify`` says so."""
    memory = InVault(place.home, place.client)
    for n in range(5):
        place.ledger.append("secret.write", f"app/{n}")
    known = memory.anchor(ends(place), {})
    path = place.ledger.path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    beside(path).unlink()
    assert verify(path).intact, "without a memory nothing can be said"
    assert place.nasos("ledger", "verify", "--offline").returncode == 0
    shown = place.nasos("ledger", "verify")
    assert (shown.returncode, "truncated" in shown.stdout, "Vault" in shown.stdout) == (1, True, True)
    assert memory.anchor(ends(place), {}) == {}
    assert Anchor(place.client).recall() == known
    recorded = [event for event in verify_events(path) if event == "ledger.damaged"]
    assert recorded == ["ledger.damaged"]
    memory.anchor(ends(place), {})
    assert [event for event in verify_events(path) if event == "ledger.damaged"] == recorded, "said once"


def verify_events(path: Path) -> list[str]:
    """The names of all events, whatever the judgement."""
    return [json.loads(line)["event"] for line in path.read_bytes().splitlines()]


def test_another_history_is_a_fork_for_vault_and_the_operator_may_accept_it(place: Place) -> None:
    """An older copy continued: found, recorded, accepted with a name on it, and from then on remembered again."""
    memory = InVault(place.home, place.client)
    for n in range(4):
        place.ledger.append("secret.write", f"app/{n}")
    memory.anchor(ends(place), {})
    path = place.ledger.path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    beside(path).unlink()
    for n in range(6):
        place.ledger.append("secret.write", f"other/{n}")
    [fork] = verify(path, [Remembered("Vault", Anchor(place.client).recall()["operator"])]).damages
    assert fork.kind is Kind.FORKED
    assert place.nasos("ledger", "verify").returncode == 1
    accepted = place.nasos("ledger", "accept", "--yes")
    assert (accepted.returncode, accepted.stderr) == (0, "accepted with event 9\n")
    assert place.nasos("ledger", "verify").returncode == 0
    assert memory.anchor(ends(place), {}) == ends(place)


def test_edited_lines_cannot_be_accepted(place: Place) -> None:
    """What is broken is put back from a copy, not waved through."""
    for n in range(4):
        place.ledger.append("secret.write", f"app/{n}")
    path = place.ledger.path
    path.write_bytes(path.read_bytes().replace(b"app/1", b"app/9"))
    refused = place.nasos("ledger", "accept", "--yes")
    assert refused.returncode == 3
    assert "was edited" in refused.stderr


def test_without_vault_verify_does_not_say_intact(place: Place) -> None:
    """Could-not-tell is exit 3, and the way to look at the files alone is named."""
    place.ledger.append("stack.up", "x")
    ports = msgspec.structs.replace(Ports.following(free_port()), vault=free_port())
    (place.home / "stack.json").write_bytes(msgspec.json.encode(Record(id="test", ports=ports)))
    asked = place.nasos("ledger", "verify")
    assert asked.returncode == 3
    assert "--offline" in asked.stderr
    assert place.nasos("ledger", "verify", "--offline").returncode == 0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where alerts arrive."""
    with http_receiver() as running:
        yield running


def test_a_channel_is_added_tried_and_taken_away(place: Place, receiver: Receiver) -> None:
    """From stdin into Vault and out to the receiver; the URL is never shown, written or recorded."""
    added = place.nasos("alert", "add", "phone", stdin=receiver.url(TOKEN) + "\n")
    assert added.returncode == 0, added.stderr
    listed = place.nasos("alert", "list", "--json")
    assert json.loads(listed.stdout) == [{"name": "phone", "service": "json"}]
    tried = place.nasos("alert", "test")
    assert (tried.returncode, tried.stdout) == (0, "✓ phone  delivered\n")
    assert receiver.paths == [f"/{TOKEN}"]
    assert [channel.name for channel in InVault(place.home, place.client).channels()] == ["phone"]
    receiver.status = 500
    failed = place.nasos("alert", "test", "--channel", "phone", "--json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout) == [
        {"channel": "phone", "delivered": False, "reason": "the receiver answered 500"}
    ]
    removed = place.nasos("alert", "rm", "phone")
    assert InVault(place.home, place.client).channels() == []
    assert [place.nasos("alert", *words).returncode for words in (("rm", "phone"), ("test",))] == [3, 2]
    canary = Canary({"token": TOKEN.encode()})
    assert not list(canary.in_tree(place.home))
    for done in (added, listed, tried, failed, removed):
        assert not list(canary.in_bytes((done.stdout + done.stderr).encode(), "output"))
    told = [(event.event, event.target, event.outcome) for event in read(place.ledger.path)]
    assert told == [
        ("secret.write", "nasos/alerts/phone", "ok"),
        ("alert.test", "phone", "ok"),
        ("alert.test", "phone", "failed"),
        ("secret.delete", "nasos/alerts/phone", "ok"),
    ]


@pytest.mark.parametrize("url", ["", f"nonsense-{TOKEN}", f"tgram://{TOKEN}/", f"json://x/{'y' * 5000}"])
def test_what_is_no_url_is_refused_without_being_repeated(place: Place, url: str) -> None:
    """Nothing is stored, and the refusal does not quote it."""
    refused = place.nasos("alert", "add", "phone", stdin=url)
    assert refused.returncode == 2
    assert TOKEN not in refused.stdout + refused.stderr
    assert InVault(place.home, place.client).channels() == []


def test_the_watcher_can_neither_write_channels_nor_read_other_secrets(place: Place) -> None:
    """What its credential is worth to a thief: the alert URLs, and no more."""
    with pytest.raises(PermissionDenied):
        place.client.write("alerts/phone", {"url": Secret("json://thief")})
    with pytest.raises(PermissionDenied):
        place.client.read("bots/nasos/api")
