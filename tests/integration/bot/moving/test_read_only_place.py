"""An old bot in a directory that cannot be written: refused before anything is kept; half-way, nothing is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fixtures.demo_exchange import PROJECT
from fixtures.old_bot import old_bot
from fixtures.unshared import typed
from nasos.bot.moving.journal import Desk

IMPORT = """
import subprocess, sys
from pathlib import Path
from fixtures.old_bot import OldBot
from nasos.bot.moving import importing
from nasos.bot.moving.journal import Desk
from nasos.bot.moving.plan import Wish
from nasos.cli.output import report
from nasos.errors import Error
from nasos.vault.memory import MemoryStore

old, desk, between = OldBot(Path(sys.argv[1])), Desk(Path(sys.argv[2])), sys.argv[3:]
importing.signs = lambda *_seen: ()
ground = importing.Ground(
    vault=MemoryStore(), target=None, convert=lambda _source, _url: None, append=lambda *_event: None,
    say=lambda _text: None, here=old.place,
)
try:
    if between == ["undo"]:
        importing.undo(ground, desk, discard=False)
        sys.exit()
    plan = importing.look(ground, desk, Wish(bot="mine", configs=(old.config,), env=old.env, trades="keep"))
    importing.require_possible(ground, plan)
    if between:
        subprocess.run(between, check=True)
    importing.apply(ground, desk, plan)
except Error as error:
    report(error)
    sys.exit(3)
"""


TESTS = {"PYTHONPATH": str(PROJECT / "tests")}


def bound(place: Path, *, read_only: bool) -> str:
    """A mount of the directory over itself."""
    remount = f" && mount -o remount,bind,ro '{place}'" if read_only else ""
    return f"mount --bind '{place}' '{place}'{remount}"


def test_a_read_only_mount_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    """The directory and its mount are named; no journal, no backup; the twin: writable, the import is done."""
    old, desk = old_bot(tmp_path / "freqtrade"), tmp_path / "import"
    before = old.snapshot()
    words = ("-c", IMPORT, str(old.place), str(desk))
    done = typed(*words, home=tmp_path / "home", extra=TESTS, mounts=bound(old.place, read_only=True))
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert f"{old.config.parent} is on a read-only file system" in done.stderr
    assert f"nasos: hint: findmnt -T {old.config.parent}" in done.stderr
    assert not desk.exists()
    assert old.snapshot() == before
    done = typed(*words, home=tmp_path / "home", extra=TESTS, mounts=bound(old.place, read_only=False))
    assert (done.returncode, done.stderr) == (0, "")
    assert old.snapshot() != before


def test_a_directory_that_its_owner_may_not_write_is_refused(tmp_path: Path) -> None:
    """By its mode alone: nobody's capabilities help, not even root's."""
    old, desk = old_bot(tmp_path / "freqtrade"), tmp_path / "import"
    before = old.snapshot()
    old.place.chmod(0o500)
    try:
        done = typed(
            "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-c", IMPORT, str(old.place), str(desk),
            home=tmp_path / "home", extra=TESTS, program="setpriv",
        )  # fmt: skip
    finally:
        old.place.chmod(0o700)
    assert done.returncode == 3, done.stderr
    assert f"{old.place} cannot be written" in done.stderr
    assert f"nasos: hint: ls -ld {old.place}" in done.stderr
    assert not desk.exists()
    assert old.snapshot() == before


@pytest.mark.parametrize("which", ["freqtrade", "import"])
def test_a_disk_that_becomes_read_only_half_way_loses_nothing(tmp_path: Path, which: str) -> None:
    """The operator's files or our own: the error has a hint, the files are the old ones, and undo needs no more."""
    old, desk = old_bot(tmp_path / "freqtrade"), tmp_path / "import"
    desk.mkdir(mode=0o700)
    before, place = old.snapshot(), tmp_path / which
    remount = ("mount", "-o", "remount,bind,ro", str(place))
    done = typed(
        "-c",
        IMPORT,
        str(old.place),
        str(desk),
        *remount,
        home=tmp_path / "home",
        extra=TESTS,
        mounts=bound(place, read_only=False),
    )
    assert done.returncode == 3, done.stderr
    assert "read-only file system" in done.stderr
    assert "nasos: hint: " in done.stderr
    assert old.snapshot() == before
    if Desk(desk).load() is not None:
        undone = typed("-c", IMPORT, str(old.place), str(desk), "undo", home=tmp_path / "home", extra=TESTS)
        assert (undone.returncode, undone.stderr) == (0, "")
    assert Desk(desk).load() is None
    assert old.snapshot() == before
