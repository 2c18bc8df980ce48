from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nasos.compress import compress, opened
from nasos.errors import FileRefused

LINES = b"".join(b'{"n": %d}\n' % n for n in range(20000))


def test_a_closed_file_becomes_small_and_reads_the_same(tmp_path: Path) -> None:
    """Content, mode and time of change stay; only the plain file goes."""
    plain = tmp_path / "access.log.1"
    plain.write_bytes(LINES)
    plain.chmod(0o640)
    os.utime(plain, (1_700_000_000, 1_700_000_000))
    packed = compress(plain)
    assert [path.name for path in tmp_path.iterdir()] == ["access.log.1.zst"]
    assert packed.stat().st_size < len(LINES) / 10
    assert stat.S_IMODE(packed.stat().st_mode) == 0o640
    assert packed.stat().st_mtime == 1_700_000_000
    with opened(packed) as file:
        assert file.read() == LINES


def test_both_files_left_by_a_kill_are_one_again(tmp_path: Path) -> None:
    """Killed between the two steps, the next run ends with the compressed file alone."""
    plain = tmp_path / "log.1"
    plain.write_bytes(LINES)
    compress(plain)
    plain.write_bytes(LINES)
    with opened(compress(plain)) as file:
        assert file.read() == LINES
    assert [path.name for path in tmp_path.iterdir()] == ["log.1.zst"]


@pytest.mark.parametrize("damage", ["cut", "not zstd"])
def test_a_damaged_file_is_not_taken_for_a_short_one(tmp_path: Path, damage: str) -> None:
    """What cannot be unpacked whole is refused, not read as less."""
    plain = tmp_path / "log.1"
    plain.write_bytes(LINES)
    packed = compress(plain)
    content = packed.read_bytes()
    packed.write_bytes({"cut": content[: len(content) // 2], "not zstd": LINES}[damage])
    with pytest.raises(FileRefused, match="damaged"), opened(packed) as file:
        file.read()


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    """Nothing is left behind."""
    with pytest.raises(FileRefused, match="cannot compress"):
        compress(tmp_path / "gone")
    assert not list(tmp_path.iterdir())
