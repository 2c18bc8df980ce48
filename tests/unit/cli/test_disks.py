"""Which other disks the checks are told of."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasos.cli.target import other_disks


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="nasos-disks-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def as_nobody(home: Path, mounts: Path) -> str:
    """What an ordinary user is told; in a child, because there is no way back from another uid."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            answer = repr([str(path) for path in other_disks(home, mounts)])
        except BaseException as error:  # noqa: BLE001  it is the answer
            answer = repr(error)
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answers:
        told = answers.read()
    os.waitpid(child, 0)
    return told


def test_a_disk_that_this_user_cannot_reach_is_none_for_him(place: Path) -> None:
    """Below somebody else's closed directory (as Docker's is) it is left out, and another one is still told."""
    mounts, closed = place / "mounts", place / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0)
    mounts.write_text(f"/dev/vdb1 {closed}/data ext4 rw 0 0\n/dev/vdc1 /dev/shm ext4 rw 0 0\n")
    assert as_nobody(place, mounts) == "['/dev/shm']"
    closed.chmod(0o700)
