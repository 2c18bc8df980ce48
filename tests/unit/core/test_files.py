from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nasos.errors import AlreadyRunning, Error, FileRefused
from nasos.files import (
    ExclusiveLock,
    anonymous_file,
    atomic_write,
    fsync_directory,
    private_directory,
    read_private,
    umask,
)

OLD, NEW = b"old\n" * 4096, b"new!\n" * 65536


def in_child(work: Callable[[], None]) -> int:
    """Fork, do the work, and return the child's pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def mode_of(path: Path) -> int:
    """Permission bits of what stands at ``path``."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_killed_anywhere_leaves_the_old_or_the_new_file(tmp_path: Path, seed: int) -> None:
    """After kill -9 at a random instant the file is whole, and neither it nor a left-over is readable by others."""
    path, chance = tmp_path / "state.json", random.Random(seed)  # noqa: S311  a repeatable choice of instants
    atomic_write(path, OLD)

    def write_for_ever() -> None:
        while True:
            atomic_write(path, NEW)
            atomic_write(path, OLD)

    with umask(0):
        for _ in range(25):
            pid = in_child(write_for_ever)
            time.sleep(chance.uniform(0, 0.004))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            assert path.read_bytes() in (OLD, NEW)
            assert {mode_of(each) for each in tmp_path.iterdir()} == {0o600}


def test_the_content_is_never_readable_by_others_even_with_an_open_umask(tmp_path: Path) -> None:
    """The mode stands before the first byte: a watcher never sees a file of ours with another mode."""
    path = tmp_path / "key.pem"

    def write_many() -> None:
        for _ in range(300):
            atomic_write(path, OLD)

    with umask(0):
        pid = in_child(write_many)
        seen = set()
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            for each in os.scandir(tmp_path):
                try:
                    seen.add(stat.S_IMODE(each.stat().st_mode))
                except FileNotFoundError:
                    continue
    assert seen == {0o600}


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644])
def test_the_mode_is_exact_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    """Umask neither widens nor narrows what was asked for; replacing changes the mode too."""
    path = tmp_path / "file"
    for mask in (0, 0o022, 0o077):
        with umask(mask):
            atomic_write(path, b"x", mode)
        assert mode_of(path) == mode


def test_a_link_at_the_path_is_replaced_not_followed(tmp_path: Path) -> None:
    """Writing through a planted symlink does not touch its target."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "link").symlink_to(target)
    atomic_write(tmp_path / "link", b"ours")
    assert target.read_bytes() == b"precious"
    assert (tmp_path / "link").read_bytes() == b"ours"
    assert not (tmp_path / "link").is_symlink()


def test_failed_writes_are_refused_with_a_hint_and_leave_nothing_behind(tmp_path: Path) -> None:
    """A missing directory and a directory in the way are told apart; no temporary file stays."""
    with pytest.raises(FileRefused, match="no such file") as missing:
        atomic_write(tmp_path / "no" / "file", b"x")
    assert missing.value.hint == f'"mkdir -p {tmp_path / "no"}" if that directory should exist'
    (tmp_path / "dir").mkdir()
    with pytest.raises(FileRefused, match="is a directory"):
        atomic_write(tmp_path / "dir", b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["dir"]


def test_a_file_size_limit_leaves_the_old_file(tmp_path: Path) -> None:
    """Running out of room in mid-write is refused; the old content stands and the partial copy is gone."""
    path = tmp_path / "file"
    atomic_write(path, OLD)

    def write_too_much() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(NEW) // 2, resource.RLIM_INFINITY))
        try:
            atomic_write(path, NEW)
        except FileRefused:
            os._exit(7)

    _, status = os.waitpid(in_child(write_too_much), 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


FULL_DISK = """
import sys
from pathlib import Path
from nasos.errors import FileRefused
from nasos.files import atomic_write
path = Path(sys.argv[1]) / "file"
try:
    atomic_write(path, b"n" * (1 << 20))
except FileRefused as error:
    print(error.message, "|", error.hint)
print(path.read_bytes() == b"old", [each.name for each in path.parent.iterdir()])
"""


def _namespace() -> list[str]:
    """How to get a mount namespace of our own, if this machine grants one."""
    for flags in (["--mount"], ["--mount", "--map-root-user"]):
        command = [shutil.which("unshare") or "", *flags, "--propagation", "private"]
        if command[0] and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


NAMESPACE = _namespace()
MOUNTS = {
    "full": "mount -t tmpfs -o size=64k none $0 && printf old > $0/file",
    "read-only": "mount -t tmpfs none $0 && printf old > $0/file && mount -o remount,ro $0",
}
REASONS = {"full": "no space left on device", "read-only": "read-only file system"}
HINTS = {"full": "df -h", "read-only": "NASOS_HOME"}


if NAMESPACE:  # a machine that grants none has the size limit above as its only full disk

    @pytest.mark.parametrize("disk", list(MOUNTS))
    def test_a_full_and_a_read_only_disk_are_refused_with_their_own_hint(tmp_path: Path, disk: str) -> None:
        """On a real full or read-only file system the old file stays, alone, and the hint says what to do."""
        script = f'{MOUNTS[disk]} && exec "$1" -c "$2" $0'
        result = subprocess.run(
            [*NAMESPACE, "sh", "-c", script, str(tmp_path), sys.executable, FULL_DISK],
            capture_output=True,
            text=True,
            check=True,
        )
        refusal, rest = result.stdout.splitlines()
        assert REASONS[disk] in refusal
        assert HINTS[disk] in refusal
        assert rest == "True ['file']"


def test_a_private_file_is_read(tmp_path: Path) -> None:
    """The positive twin of the refusals: owner-only, regular, small enough."""
    for mode in (0o600, 0o400):
        atomic_write(tmp_path / "secret", b"value", mode)
        assert read_private(tmp_path / "secret") == b"value"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_file_that_others_can_reach_is_refused_with_the_chmod_line(tmp_path: Path, mode: int) -> None:
    """Any bit for group or others refuses, and the hint is what to type."""
    path = tmp_path / "secret"
    path.write_bytes(b"value")
    path.chmod(mode)
    with pytest.raises(FileRefused, match="other users") as refusal:
        read_private(path)
    assert refusal.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    assert read_private(path) == b"value"


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """A private file that a third user owns is not trusted; one of root's is."""
    path = tmp_path / "secret"
    atomic_write(path, b"value")
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        with pytest.raises(FileRefused, match="belongs to uid 12345"):
            read_private(path)
    else:
        with pytest.raises(FileRefused):
            read_private(Path("/etc/shadow"))


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    """Links, pipes, directories and devices are not read, and a pipe without a writer does not hang."""
    atomic_write(tmp_path / "real", b"value")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "dir").mkdir(mode=0o700)
    for name in ("link", "pipe", "dir", "missing"):
        with pytest.raises(FileRefused):
            read_private(tmp_path / name)
    with pytest.raises(FileRefused):
        read_private(Path("/dev/null"))


def test_a_refused_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """Refusals close what they opened."""
    (tmp_path / "dir").mkdir(mode=0o700)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("dir", "missing"):
        with pytest.raises(FileRefused):
            read_private(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    """The limit is exact, and protects against being fed a disk image."""
    atomic_write(tmp_path / "secret", b"x" * 100)
    assert len(read_private(tmp_path / "secret", limit=100)) == 100
    with pytest.raises(FileRefused, match="larger than 99"):
        read_private(tmp_path / "secret", limit=99)


def test_a_private_directory_is_made_ours_alone(tmp_path: Path) -> None:
    """It is created or tightened to 0700; a link or a file in its place is refused."""
    with umask(0):
        assert mode_of(private_directory(tmp_path / "a" / "b")) == 0o700
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert mode_of(private_directory(tmp_path / "open")) == 0o700
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "open")
    for name in ("file", "link"):
        with pytest.raises(FileRefused):
            private_directory(tmp_path / name)


def test_a_directory_that_cannot_be_synced_is_an_error_of_ours(tmp_path: Path) -> None:
    """A directory that vanished raises FileRefused, not OSError."""
    with pytest.raises(FileRefused):
        fsync_directory(tmp_path / "gone")


def test_a_memfd_has_no_path_and_its_own_mode() -> None:
    """The content is readable through the descriptor, and children do not inherit it unasked."""
    fd = anonymous_file("config", b"secret")
    try:
        assert os.read(fd, 100) == b"secret"
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o400
        assert not os.get_inheritable(fd)
        assert "/memfd:config" in str(Path(f"/proc/self/fd/{fd}").readlink())
    finally:
        os.close(fd)


def test_a_lock_is_exclusive_between_processes_and_freed_by_kill(tmp_path: Path) -> None:
    """A second process is refused and told the holder's pid; kill -9 of the holder frees the lock."""
    path = tmp_path / "lock"
    ready_r, ready_w = os.pipe()

    def hold() -> None:
        with ExclusiveLock(path, "start-up"):
            os.write(ready_w, b"x")
            signal.pause()

    pid = in_child(hold)
    try:
        assert os.read(ready_r, 1) == b"x"
        with (
            pytest.raises(AlreadyRunning, match=f"start-up is already under way \\(pid {pid}\\)"),
            ExclusiveLock(path, "start-up"),
        ):
            pytest.fail("two holders")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready_r)
        os.close(ready_w)
    with ExclusiveLock(path, "start-up"):
        assert path.read_text() == f"{os.getpid()}\n"


def test_only_one_of_many_racing_processes_holds_the_lock(tmp_path: Path) -> None:
    """Two processes are never inside at once: a plain counter under the lock loses no step."""
    path, counter = tmp_path / "lock", tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        done = 0
        while done < 20:
            try:
                with ExclusiveLock(path, "counting"):
                    counter.write_text(str(int(counter.read_text()) + 1))
                    done += 1
            except AlreadyRunning:
                os.sched_yield()

    children = [in_child(count) for _ in range(4)]
    for pid in children:
        os.waitpid(pid, 0)
    assert counter.read_text() == "80"


def test_a_lock_is_free_again_after_its_block_whatever_happened(tmp_path: Path) -> None:
    """Leaving the block by an exception frees the lock."""
    with pytest.raises(Error, match="inside"), ExclusiveLock(tmp_path / "lock", "work"):
        raise Error("inside")
    with ExclusiveLock(tmp_path / "lock", "work"):
        pass
    with pytest.raises(FileRefused), ExclusiveLock(tmp_path / "no" / "lock", "work"):
        pytest.fail("no lock could be made there")
