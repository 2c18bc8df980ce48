"""What `nasos backup` and `nasos restore` say before anything is touched."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.cheap_age import cheap_age
from nasos.cli import backup as command
from nasos.cli.root import run
from nasos.files import atomic_write
from nasos.secret import Secret
from nasos.settings import load
from nasos.stack.backup import archive
from nasos.stack.backup.encryption import Passphrase, Recipients
from nasos.stack.backup.manifest import ROLES, SNAPSHOT, WAY_BACK, Manifest, Part
from nasos.stack.home import Record
from nasos.stack.ports import Ports
from nasos.stack.seal.wrapping import Given

KEY = bytes(range(32))
PHRASE = "correct horse battery staple"


def small(place: Path, to: Passphrase | Recipients) -> Path:
    """A whole backup of nothing."""
    parts, listed = place / "parts", []
    for name in (SNAPSHOT, WAY_BACK, ROLES, "state/stack.json"):
        path = parts / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        listed.append(Part(name=name, size=len(name), sha256=hashlib.sha256(name.encode()).hexdigest()))
    file = place / "b.age"
    with file.open("wb") as sink:
        archive.write(sink, manifest(*listed), parts, to)
    return file


def manifest(*parts: Part) -> Manifest:
    """Of a stack whose unseal key is ours."""
    return Manifest(
        nasos="0.1.0", created=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), host="machine", seal="static", bot="nasos",
        record=Record(id="feedbeef", ports=Ports.following(8443)), vault="2.7.2", postgres="17", parts=parts,
    ).signed(KEY)  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and working directory."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    typed(monkeypatch, "")
    return tmp_path


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What comes on standard input."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.fixture
def mine(here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A backup to the key `id.key`."""
    assert run(["backup", "keygen", "id.key"]) == 0
    return small(here, Recipients((capsys.readouterr().out.strip(),)))


def test_a_key_pair_is_made_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The private half goes to a 0600 file, the recipient to stdout; a file that is there stays."""
    assert run(["backup", "keygen", "id.key"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("age1")
    assert (here / "id.key").stat().st_mode & 0o777 == 0o600
    before = (here / "id.key").read_text()
    assert out.strip() in before
    assert "AGE-SECRET-KEY-1" not in out
    assert run(["backup", "keygen", "id.key"]) == 2
    assert (here / "id.key").read_text() == before


def test_an_intact_backup_is_said_to_be(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose, from when, how much; and what was not checked."""
    assert run(["backup", "verify", str(mine), "--identity", "id.key"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("intact: stack feedbeef of machine, 2026-01-02 03:04 UTC, 4 parts")
    assert "who made it was not checked" in said.err


@pytest.mark.parametrize("spelling", [base64.b64encode(KEY).decode(), KEY.hex()])
def test_the_unseal_key_may_be_typed(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spelling: str
) -> None:
    """As base64 or hex; the right one proves who made the backup."""
    typed(monkeypatch, spelling + "\n")
    assert run(["backup", "verify", str(mine), "--identity", "id.key", "--unseal-key", "-"]) == 0
    assert "not checked" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (base64.b64encode(bytes(32)).decode(), 3, "does not belong to the backup of stack feedbeef"),
        ("short", 2, "no unseal key"),
        ("", 2, "no unseal key was given"),
    ],
)
def test_a_wrong_unseal_key_is_refused_without_being_repeated(  # noqa: PLR0917  fixtures arrive as arguments
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str, code: int, told: str
) -> None:
    """Another stack's, none at all, or nothing."""
    typed(monkeypatch, f"{given}\n")
    assert run(["backup", "verify", str(mine), "--identity", "id.key", "--unseal-key", "-"]) == code
    said = capsys.readouterr()
    assert told in said.err
    assert not given or f" {given}" not in said.out + said.err


def test_the_unseal_key_may_be_under_its_passphrase(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`unseal.key.age`: asked for, used when it is right, refused when it is wrong."""
    words = ["backup", "verify", str(mine), "--identity", "id.key", "--unseal-key", "unseal.key.age"]
    atomic_write(mine.with_name("unseal.key.age"), cheap_age(KEY, PHRASE))
    typed(monkeypatch, PHRASE + "\n")
    assert run(words) == 0
    assert "not checked" not in capsys.readouterr().err
    typed(monkeypatch, "six wrong words of somebody\n")
    assert run(words) == 3
    assert "unseal.key.age cannot be opened: the passphrase is wrong" in capsys.readouterr().err
    typed(monkeypatch, "")
    assert run(words) == 2
    assert "no passphrase of unseal.key.age was given" in capsys.readouterr().err


def test_a_machine_whose_own_key_has_a_passphrase_asks_for_that(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the key itself would have to be typed; it is known to have come under it."""
    monkeypatch.setenv("NASOS_KEY_DIR", str(here / "key"))
    (here / "key").mkdir(mode=0o700)
    content = cheap_age(KEY, PHRASE)
    atomic_write(here / "key" / "unseal.key.age", content)
    typed(monkeypatch, PHRASE + "\n")
    assert command._unseal_key(load(), manifest(), None) == Given(KEY, content)
    atomic_write(here / "key" / "unseal.key.age", cheap_age(bytes(32), PHRASE))  # another stack's: the key is asked for
    typed(monkeypatch, f"{PHRASE}\n{KEY.hex()}\n")
    assert command._unseal_key(load(), manifest(), None) == Given(KEY)


def test_the_way_to_open_it_is_told_before_anything_is_asked(
    here: Path, mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a recipient: the identity is asked for. To a passphrase: an identity is of no use."""
    assert run(["backup", "verify", str(mine)]) == 2
    assert "--identity FILE" in capsys.readouterr().err
    file = small(here, Passphrase(Secret(PHRASE)))
    assert run(["backup", "verify", str(file), "--identity", "id.key"]) == 2
    assert "passphrase, not to a recipient" in capsys.readouterr().err
    assert run(["backup", "verify", str(file)]) == 2
    assert "no passphrase was given" in capsys.readouterr().err
    typed(monkeypatch, PHRASE + "\n")
    assert run(["backup", "verify", str(file)]) == 0


@pytest.mark.parametrize(
    ("words", "stdin", "code", "told"),
    [
        (["backup", "new.age"], "too short\n", 2, "a passphrase needs 12 characters"),
        (["backup", "new.age"], "", 2, "no passphrase was given"),
        (["backup", "new.age", "--recipient", "age1x"], "", 3, "there is no stack"),
        (["backup", "-", "--json"], "", 2, "not written to a terminal"),
        (["backup", "new.age", "--froce"], "", 2, "no such option"),
        (["restore", "missing.age"], "", 3, "cannot read"),
        (["restore", "id.key"], "", 3, "is no backup"),
        (["backup", "verify", "b.age", "--identity", "missing"], "", 3, "missing does not exist"),
        (["backup", "verify", "b.age", "--identity", "b.age"], "", 2, "no age identity"),
    ],
)
def test_what_cannot_be_done_is_said_in_two_lines(  # noqa: PLR0917  fixtures arrive as arguments
    here: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str],
    stdin: str, code: int, told: str,
) -> None:  # fmt: skip
    """An error, mostly a hint, the right exit code; nothing is made."""
    mine.chmod(0o600)
    typed(monkeypatch, stdin)
    assert run(words) == code
    said = capsys.readouterr()
    assert told in said.err
    assert said.err.startswith("nasos: error: ")
    assert stdin.strip() not in said.err or not stdin
    assert not (here / "new.age").exists()
    assert not (here / "home").exists()
