"""The disk fails at every point in turn, injected by the kernel (simulators/faults.py), and on real small file systems.

Always: the old content intact or the new content whole, an error of ours with a hint, nothing left lying about, and the
next try succeeds.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.archives import gathered
from fixtures.old_bot import OldBot, old_bot
from nasos.bot.moving import importing
from nasos.bot.moving.journal import Desk
from nasos.bot.moving.plan import Plan, Wish
from nasos.compress import compress, opened
from nasos.files import (
    ExclusiveLock,
    anonymous_file,
    atomic_write,
    fsync_directory,
    locked_directory,
    private_directory,
    read_private,
)
from nasos.stack.backup import archive
from nasos.stack.backup.encryption import Identities, Recipients, new_identity
from nasos.stack.backup.save import to_file
from nasos.stack.watcher import state
from nasos.vault.memory import MemoryStore
from simulators.faults import WRITING, every_fault, ours, said

FULL, BROKEN, READ_ONLY = errno.ENOSPC, errno.EIO, errno.EROFS
ERRORS = [FULL, BROKEN, READ_ONLY, errno.EDQUOT]
OLD, NEW = b"old\n", b"new\n" * 100_000


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_file_is_the_old_or_the_new_one_wherever_the_disk_fails(tmp_path: Path, error: int) -> None:
    """``atomic_write``: never a part, never a temporary file, always a hint, and in the end it was done."""
    path = tmp_path / "state.json"
    points, before = 0, b""
    for number, outcome in every_fault(said(lambda: atomic_write(path, NEW)), error):
        points = number
        before = path.read_bytes() if path.exists() else b""
        assert ours(outcome.said), outcome
        assert before in (b"", OLD, NEW), f"a part after the fault at point {number}"
        assert before == NEW or outcome.said != "done"
        assert {entry.name for entry in tmp_path.iterdir()} <= {"state.json"}, number
        if number % 2:
            atomic_write(path, OLD)
    assert points > 6, "opening, mode, writing, syncing, renaming, syncing the directory"
    assert before == NEW


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_everything_else_that_writes_is_refused_with_a_hint(tmp_path: Path, error: int) -> None:
    """Directories, locks, memfds and syncs: errors of ours at every point, and the next try succeeds."""

    def lock() -> None:
        with ExclusiveLock(tmp_path / "lock", "testing"):
            pass

    def held() -> None:
        with locked_directory(tmp_path):
            pass

    works: dict[str, Callable[[], object]] = {
        "private_directory": lambda: private_directory(tmp_path / "a" / "b"),
        "lock": lock,
        "locked directory": held,
        "memfd": lambda: anonymous_file("secret", b"x" * 100),
        "fsync": lambda: fsync_directory(tmp_path),
    }
    for name, work in works.items():
        for number, outcome in every_fault(said(work), error):
            assert ours(outcome.said), (name, number, outcome)
            shutil.rmtree(tmp_path / "a", ignore_errors=True)
        work()


def test_a_secret_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A broken disk under a credential is an error of ours, not a traceback with its path in the middle."""
    path = tmp_path / "credential"
    atomic_write(path, b"secret")
    outcomes = [outcome for _, outcome in every_fault(said(lambda: read_private(path)), BROKEN, ("read", "open"))]
    assert len(outcomes) > 2
    assert all(ours(outcome.said) for outcome in outcomes), outcomes
    assert read_private(path) == b"secret"


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_log_is_compressed_or_still_there(tmp_path: Path, error: int) -> None:
    """Wherever the disk fails, its lines are in exactly one place that can be read whole, or in both."""
    plain, packed = tmp_path / "log.1", tmp_path / "log.1.zst"
    plain.write_bytes(NEW)
    compress(plain)  # the library is loaded before the disk fails
    plain.write_bytes(NEW)
    for number, outcome in every_fault(said(lambda: compress(plain)), error):
        assert ours(outcome.said), (number, outcome)
        assert {entry.name for entry in tmp_path.iterdir()} <= {plain.name, packed.name}, number
        if plain.exists():
            assert plain.read_bytes() == NEW
        else:
            with opened(packed) as file:
                assert file.read() == NEW
        packed.unlink(missing_ok=True)
        plain.write_bytes(NEW)


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_the_watchers_state_is_the_old_or_the_new_one(tmp_path: Path, error: int) -> None:
    """A pending alert is not lost to a full disk: what was stored before stands."""
    state.save(tmp_path, state.State(channels=1))
    for _, outcome in every_fault(said(lambda: state.save(tmp_path, state.State(channels=2))), error):
        assert ours(outcome.said)
        assert state.load(tmp_path).channels in (1, 2)
        assert {entry.name for entry in tmp_path.iterdir()} == {state.NAME}


@dataclass(frozen=True)
class Moving:
    """An import without Vault's and PostgreSQL's half: the operator's files, their backup and the journal."""

    old: OldBot
    ground: importing.Ground
    desk: Desk
    plan: Plan

    @classmethod
    def prepared(cls, place: Path) -> Moving:
        """An old bot whose trades stay where they are."""
        old, desk = old_bot(place / "freqtrade"), Desk(place / "import" / "mine")
        ground = importing.Ground(
            vault=MemoryStore(), target=None, convert=lambda _source, _url: None, append=lambda *_event: None,
            say=lambda _text: None, here=place,
        )  # fmt: skip
        wish = Wish(bot="mine", configs=(old.config,), env=old.env, trades="keep")
        return cls(old, ground, desk, importing.look(ground, desk, wish))

    def apply(self) -> None:
        """As the command does."""
        importing.apply(self.ground, self.desk, self.plan)

    def undo(self) -> None:
        """As the command does."""
        importing.undo(self.ground, self.desk, discard=False)


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_an_import_goes_back_byte_for_byte_wherever_the_disk_fails(
    tmp_path: Path, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused with a hint at every point; a file of the operator's is the old or the clean one, and undo restores."""
    monkeypatch.setattr(importing, "signs", lambda *_seen: ())  # nobody runs: looking at every process takes its time
    one = Moving.prepared(tmp_path)
    before, points = one.old.snapshot(), 0
    for number, outcome in every_fault(said(one.apply), error):
        points = number
        assert ours(outcome.said), (number, outcome)
        assert outcome.said != "done" or one.old.snapshot() != before
        if one.desk.load() is not None:
            one.undo()
        assert one.old.snapshot() == before, number
    assert points > 50, "two backups, two files, and the journal before and after each"


@pytest.mark.parametrize("error", [FULL, BROKEN], ids=errno.errorcode.get)
def test_an_undo_is_finished_later_wherever_the_disk_failed(
    tmp_path: Path, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup is removed only after everything is back."""
    monkeypatch.setattr(importing, "signs", lambda *_seen: ())
    one = Moving.prepared(tmp_path)
    before = one.old.snapshot()
    for number, outcome in every_fault(said(one.undo), error):
        assert ours(outcome.said) or (number == 1 and "no import to undo" in outcome.said), (number, outcome)
        if one.desk.load() is not None:
            one.undo()
        assert one.old.snapshot() == before, number
        one.apply()


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_backup_appears_whole_or_not_at_all_wherever_the_disk_fails(tmp_path: Path, error: int) -> None:
    """Refused with a hint; never a part under its name, never a part beside it; the one before is still there."""
    text, recipient = new_identity()
    parts, file = tmp_path / "parts", tmp_path / "out" / "b.age"
    manifest = gathered(parts, {"state/bot/x": os.urandom(300_000)})
    file.parent.mkdir()

    def write() -> None:
        to_file(file, manifest, parts, Recipients((recipient,)), force=True)

    write()
    for number, outcome in every_fault(said(write), error):
        assert ours(outcome.said), (number, outcome)
        assert {path.name for path in file.parent.iterdir()} == {file.name}, number
        assert archive.read(file, Identities(text), lambda _manifest: None, None) == manifest


def test_the_injector_meets_every_kind_of_call(tmp_path: Path) -> None:
    """The negative twin: each kind, failing alone, is met by a write of a file: no number is wrong."""
    path = tmp_path / "file"
    met = {
        kind
        for kind in WRITING
        if any(outcome.met for _, outcome in every_fault(said(lambda: atomic_write(path, NEW)), BROKEN, (kind,)))
    }
    assert met >= {"write", "open", "sync", "rename", "mode"}
