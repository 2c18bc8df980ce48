"""One log, one round: every state that a killed round can leave behind is completed by the next."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.housekeeping import everything, log
from nasos.errors import Error
from nasos.stack.housekeeping import archives, rotate
from nasos.stack.housekeeping.duties import Log
from nasos.stack.users import Owner

NOW = datetime(2026, 11, 23, 6, 50, 40, tzinfo=UTC)


class Writer:
    """Appends to a log, and opens it anew when it is told, as the servers do."""

    def __init__(self, path: Path) -> None:
        self.path, self.told = path, 0
        self.file = path.open("ab", buffering=0)
        self.lines = 0

    def write(self, count: int = 100) -> None:
        """Some lines."""
        for _ in range(count):
            self.file.write(b"line %d\n" % self.lines)
            self.lines += 1

    def tell(self, _program: str, _number: int) -> None:
        """The signal."""
        self.told += 1
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    @property
    def written(self) -> list[bytes]:
        """Everything, in order."""
        return [b"line %d" % number for number in range(self.lines)]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """A writer with some lines."""
    made = Writer(tmp_path / "a.log")
    made.write()
    yield made
    made.file.close()


@pytest.fixture
def watched(writer: Writer) -> Log:
    """Its log."""
    return log(writer.path, "writer", signal.SIGHUP)


def turn(of: Log, writer: Writer, above: int = 10) -> rotate.Turn:
    """One round."""
    return rotate.rotate(of, above, NOW, writer.tell)


def packed(of: Log) -> list[bool]:
    """Which archives are compressed."""
    return [each.packed for each in rotate.known(of)]


def test_a_small_log_is_left_alone(watched: Log, writer: Writer) -> None:
    """Below the bound nothing happens, and nobody is told."""
    assert turn(watched, writer, above=1 << 20) == rotate.Turn()
    assert writer.told == 0


def test_a_large_log_is_put_aside_and_compressed(watched: Log, writer: Writer) -> None:
    """One archive, a fresh private log, every line once."""
    assert not turn(watched, writer).waits
    writer.write()
    assert packed(watched) == [True]
    assert everything(watched) == writer.written
    assert watched.path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_compressed_while_its_writer_has_it_open(watched: Log, writer: Writer) -> None:
    """A deaf writer: what it goes on writing is not lost, and it does not get a new file each round."""
    deaf: Callable[[str, int], None] = lambda _program, _number: None  # noqa: E731  one line that does nothing
    for _ in range(3):
        assert rotate.rotate(watched, 10, NOW, deaf).waits
        writer.write()
    assert packed(watched) == [False]
    turn(watched, writer)
    assert everything(watched) == writer.written


def test_a_file_that_somebody_may_write_to_is_not_settled(tmp_path: Path) -> None:
    """The negative twin of "settled": one open descriptor is enough, also another process's."""
    path = tmp_path / "x"
    with path.open("ab"):
        assert not rotate.settled(path)
    assert rotate.settled(path)
    with path.open("rb"):
        assert rotate.settled(path)


def test_killed_before_the_old_log_was_moved(watched: Log, writer: Writer) -> None:
    """Only the fresh file lies there."""
    (watched.path.parent / archives.new_name("a.log")).touch()
    assert not turn(watched, writer).waits
    assert everything(watched) == writer.written
    assert {path.name for path in watched.path.parent.iterdir()} == {"a.log", rotate.known(watched)[0].name}


def test_killed_between_the_two_renames(watched: Log, writer: Writer) -> None:
    """The log has no name of its own: its writer makes it anew when it is told."""
    watched.path.rename(watched.path.with_name(archives.following([], "a.log", NOW)))
    (watched.path.parent / archives.new_name("a.log")).touch()
    assert not turn(watched, writer, above=1 << 20).waits
    writer.write()
    assert packed(watched) == [True]
    assert everything(watched) == writer.written


def test_killed_before_the_writer_was_told(watched: Log, writer: Writer) -> None:
    """The writer still writes to what was put aside."""
    watched.path.rename(watched.path.with_name(archives.following([], "a.log", NOW)))
    watched.path.touch()
    writer.write()
    assert not turn(watched, writer, above=1 << 20).waits
    assert writer.told == 1
    assert everything(watched) == writer.written


def test_killed_while_it_compressed(watched: Log, writer: Writer) -> None:
    """Half a compressed file beside the plain one; or a whole one, and the plain one not yet removed."""
    turn(watched, writer)
    [archive] = rotate.known(watched)
    whole = watched.path.with_name(archive.name)
    plain = whole.with_name(whole.name.removesuffix(".zst"))
    plain.write_bytes(b"".join(line + b"\n" for line in writer.written))
    (whole.parent / f".{whole.name}.00ff00ff.tmp").write_bytes(b"half")
    assert not turn(watched, writer, above=1 << 20).waits
    assert packed(watched) == [True]
    assert everything(watched) == writer.written
    assert not list(whole.parent.glob(".*"))


def test_what_supervisord_rolled_over_is_collected_in_its_order(tmp_path: Path) -> None:
    """`.3` is older than `.1`; nobody has to be told."""
    rolled = log(tmp_path / "bot.log")
    for number, text in ((3, b"first"), (2, b"second"), (1, b"third")):
        (tmp_path / f"bot.log.{number}").write_bytes(text + b"\n")
    rolled.path.write_bytes(b"fourth\n")
    rotate.rotate(rolled, 1, NOW, lambda *_: None)
    assert everything(rolled) == [b"first", b"second", b"third", b"fourth"]
    assert packed(rolled) == [True, True, True]


def test_a_log_that_is_opened_for_each_line_needs_no_telling(tmp_path: Path) -> None:
    """What has it open in this moment writes into the archive, which waits for it."""
    opened = Log(path=tmp_path / "rotate.log", reopened=True, keep_bytes=1 << 20, keep_days=1)
    opened.path.write_bytes(b"first\n" * 10)
    with opened.path.open("ab") as late:
        assert rotate.rotate(opened, 10, NOW, lambda *_: None).waits
        late.write(b"late\n")
    opened.path.write_bytes(b"fresh\n")
    assert not rotate.rotate(opened, 10, NOW, lambda *_: None).waits
    assert packed(opened) == [True]
    assert everything(opened) == [b"first"] * 10 + [b"late", b"fresh"]


def test_the_disk_stays_bounded(watched: Log, writer: Writer) -> None:
    """A hundred rotations with room for little: the newest stay, the rest goes."""
    small = log(watched.path, "writer", signal.SIGHUP, keep=1000)
    for _ in range(30):
        writer.write()
        turn(small, writer)
        rotate.retain(small, None)
    kept = [watched.path.with_name(each.name) for each in rotate.known(small)]
    assert sum(path.stat().st_size for path in kept) <= 1000
    assert everything(small) == writer.written[-len(everything(small)) :]


def test_no_room_moves_nothing(watched: Log, writer: Writer) -> None:
    """Where not even an empty file can be made, the log stays where it is."""
    fresh = watched.path.parent / archives.new_name("a.log")
    fresh.mkdir()
    with pytest.raises((OSError, Error)):
        turn(watched, writer)
    assert rotate.known(watched) == []
    assert everything(watched) == writer.written


if os.geteuid() == 0:

    @pytest.mark.parametrize("where", ["the log", "the archive", "its directory"])
    def test_a_service_cannot_lead_root_out_of_its_directory(where: str) -> None:
        """A link in place of a log or directory reaches what the service itself reaches; root's files stay closed."""
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            place.chmod(0o711)
            secret, own = place / "secret", place / "own"
            secret.mkdir(mode=0o700)
            (secret / "a.log").write_bytes(b"root's secret\n" * 100)
            own.mkdir(mode=0o700)
            os.chown(own, 65534, 65534)
            logs, target = own / "logs", secret / "a.log"
            if where == "its directory":
                logs.symlink_to(secret)
            else:
                logs.mkdir()
                os.chown(logs, 65534, 65534)
                link = "a.log" if where == "the log" else archives.following([], "a.log", NOW)
                (logs / link).symlink_to(target)
            lured = Log(path=logs / "a.log", writer="w", signal=1, owner=Owner(65534, 65534), keep_bytes=1, keep_days=1)
            with contextlib.suppress(Error, OSError):
                rotate.rotate(lured, 10, NOW, lambda *_: None)
            assert os.geteuid() == 0
            assert target.read_bytes() == b"root's secret\n" * 100
            assert [path.name for path in secret.iterdir()] == ["a.log"]
            if where != "its directory":
                assert not list(logs.glob("*.zst"))
