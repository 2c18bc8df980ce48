"""`nasos up` where it cannot work: two lines, exit code 3, and nothing was made."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fixtures.unshared import typed
from nasos.stack.home import Record
from nasos.stack.ports import Ports

PREPARE = """
import sys
from pathlib import Path
from nasos.cli.output import report
from nasos.errors import Error
from nasos.stack.home import Home
from nasos.stack.users import Users
try:
    Home(Path(sys.argv[1]), Users(separate=False)).prepare("nasos")
except Error as error:
    report(error)
"""


RECORD = msgspec.json.encode(Record(id="0a1b2c3d", ports=Ports.following(8443))).decode()


def test_a_disk_that_is_nearly_full_is_refused(tmp_path: Path) -> None:
    """A database or an audit device would soon stop everything; free and needed space are named."""
    full = tmp_path / "full"
    full.mkdir()
    home = full / "home"
    done = typed("-m", "nasos", "up", home=home, mounts=f"mount -t tmpfs -o size=100m none '{full}'")
    assert done.returncode == 3
    assert f"MB are free on the disk of {home}, 300 are needed" in done.stderr
    assert f"nasos: hint: df -h {full}" in done.stderr
    assert list(full.iterdir()) == []


def test_a_read_only_place_is_refused(tmp_path: Path) -> None:
    """With another place as hint; the twin: the same place, writable, is prepared."""
    place = tmp_path / "place"
    place.mkdir()
    home = place / "home"
    done = typed("-c", PREPARE, str(home), home=home, mounts=f"mount -t tmpfs -o ro none '{place}'")
    assert "read-only file system" in done.stderr
    assert "NASOS_HOME" in done.stderr
    assert typed("-c", PREPARE, str(home), home=home, mounts=f"mount -t tmpfs none '{place}'").stderr == ""


SRV = Path("/srv")
"""Where every user of the machine can go; what is mounted over it is seen by the test alone."""


def test_up_on_a_read_only_disk_says_so_and_makes_nothing() -> None:
    """A first start: the mount is named by a command that shows it; neither state nor key is begun."""
    made = f"mount -t tmpfs -o ro none {SRV}; trap 'find {SRV}' EXIT"
    done = typed("-m", "nasos", "up", home=SRV / "home", mounts=made, exec_=False, itself=True)
    assert done.returncode == 3
    assert f"cannot write {SRV / 'home'}: read-only file system" in done.stderr
    assert f'nasos: hint: "findmnt -T {SRV}" shows the mount' in done.stderr
    assert done.stdout.split() == [str(SRV)]


@pytest.mark.parametrize("command", ["up", "down", "restart bot"])
def test_a_stack_whose_disk_became_read_only_is_left_as_it_is(tmp_path: Path, command: str) -> None:
    """What stood there stands there byte for byte; the command says why it did nothing, and that it is not recorded."""
    home, sums = SRV / "home", f"find {SRV} -type f -exec sha256sum {{}} + | sort"
    made = (
        f"mount -t tmpfs none {SRV} && mkdir {home} && echo '{RECORD}' > {home}/stack.json"
        f" && {sums} > '{tmp_path}/before' && mount -o remount,ro {SRV}; trap \"{sums} > '{tmp_path}/after'\" EXIT"
    )
    done = typed("-m", "nasos", *command.split(), home=home, mounts=made, exec_=False, itself=True)
    assert done.returncode == 3
    assert "read-only file system" in done.stderr
    assert f'"findmnt -T {SRV}' in done.stderr
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text() != ""


@pytest.mark.parametrize("name", ["100%", "it's", 'a "b"', "$HOME", "back\\slash", "a;b", "new\nline"])
def test_an_unspellable_home_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    """The whole chain could not hold it; the character is named."""
    done = typed("-m", "nasos", "up", home=tmp_path / name)
    assert done.returncode == 3
    assert "NASOS_HOME " in done.stderr
    assert "has the character" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_directory_that_is_not_its_own_is_refused_by_name(tmp_path: Path) -> None:
    """An unspellable one before anything is made."""
    done = typed("-m", "nasos", "up", home=tmp_path / "home", extra={"NASOS_KEY_DIR": str(tmp_path / "50%")})
    assert done.returncode == 3
    assert "NASOS_KEY_DIR " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_home_below_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    """No traceback where a directory on the way is none."""
    (tmp_path / "file").touch()
    done = typed("-c", PREPARE, str(tmp_path / "file" / "home"), home=tmp_path / "home")
    assert done.stderr.startswith(f"nasos: error: cannot write {tmp_path / 'file' / 'home'}")


@pytest.mark.parametrize(
    ("command", "code"), [(["status"], 3), (["down"], 3), (["restart", "bot"], 3), (["logs", "bot"], 2)]
)
def test_without_a_stack_each_command_says_how_to_get_one(tmp_path: Path, command: list[str], code: int) -> None:
    """No stack.json: nothing is made, and `./nasos up` is the hint."""
    done = typed("-m", "nasos", *command, home=tmp_path / "home")
    assert done.returncode == code
    assert "nasos: hint: ./nasos up" in done.stderr
    assert list(tmp_path.iterdir()) == []
