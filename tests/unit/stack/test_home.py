"""The state directory: what is refused before anything is made, and what is never changed."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from nasos.errors import Error, FileRefused, StackError
from nasos.settings import Settings, load
from nasos.stack.home import Home, Record, require_spellable
from nasos.stack.ports import Ports
from nasos.stack.users import Users

RECORD = Record(id="abcd1234", ports=Ports.following(9000))


def home_of(root: Path) -> Home:
    """As an ordinary user has it: one uid for all."""
    return Home(root, Users(separate=False))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Nothing is configured."""
    return load({"HOME": str(tmp_path), "NASOS_PROJECT": str(tmp_path)}, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe", b"null", b'{"id": "abcd1234"}', b'{"id": "../../etc", "ports": {}}',
        b'{"id":"x","ports":{"https":0,"vault":1,"postgres":2,"bot":3,"exchange":4,"vault_cluster":5}}',
        b'{"id":"x/y","ports":{"https":9,"vault":1,"postgres":2,"bot":3,"exchange":4,"vault_cluster":5}}',
    ],
)  # fmt: skip
def test_a_damaged_record_is_named_and_left_as_it_is(tmp_path: Path, settings: Settings, content: bytes) -> None:
    """Ports and id are not guessed: a second stack would be made beside the first one's data."""
    home = home_of(tmp_path)
    home.record_path.write_bytes(content)
    with pytest.raises(StackError, match=r"stack\.json is damaged") as caught:
        home.settle(settings, None)
    assert caught.value.hint
    assert home.record_path.read_bytes() == content


def test_a_record_that_is_a_directory_is_an_error_of_ours(tmp_path: Path) -> None:
    """No traceback for anything that may lie there."""
    home_of(tmp_path).record_path.mkdir()
    with pytest.raises(FileRefused, match="cannot be read"):
        home_of(tmp_path).record()


def test_a_state_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its mode and owner stay as they are."""
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir(mode=0o755)
        os.chown(theirs, 65534, -1)
    else:
        theirs = Path("/usr")
    before = theirs.stat()
    with pytest.raises(FileRefused, match="belongs to uid"):
        home_of(theirs).prepare("nasos")
    assert (theirs.stat().st_mode, theirs.stat().st_uid) == (before.st_mode, before.st_uid)


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """In bytes, not characters; with a shorter one as hint."""
    for name in ("x" * 100, "é" * 50):
        root = tmp_path / name
        with pytest.raises(StackError, match="too long") as caught:
            home_of(root).prepare("nasos")
        assert "NASOS_HOME" in str(caught.value.hint)
        assert not root.exists()


@pytest.mark.parametrize("sign", list("\"'\\$%;#`\n\t\x7f\u2028\udcff"))
def test_a_path_that_a_configuration_file_cannot_hold_is_refused(sign: str) -> None:
    """The character is named, printably."""
    with pytest.raises(StackError, match="has the character") as caught:
        require_spellable(Path(f"/srv/na{sign}sos"), "NASOS_HOME")
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", ["my bot", "bötchen", "봇", "a+b&c=d,e", "(old) [2]", "x@y:z~", "{a}"])
def test_other_paths_are_taken(name: str) -> None:
    """Spaces and all alphabets; the side-by-side stack runs in such a one."""
    require_spellable(Path("/srv") / name, "NASOS_HOME")


def test_the_key_and_the_state_never_lie_one_in_the_other(tmp_path: Path, settings: Settings) -> None:
    """Neither way round, nor through a link."""
    home = home_of(tmp_path / "state" / "home")
    home.root.mkdir(parents=True)
    (tmp_path / "link").symlink_to(home.root)
    for key_dir in (home.root, home.root / "keys", tmp_path / "link" / "keys", home.root.parent, tmp_path):
        with pytest.raises(StackError, match=r"inside"):
            home.key_path(replace(settings, key_dir=key_dir), RECORD)
    beside = tmp_path / "keys"
    assert home.key_path(replace(settings, key_dir=beside), RECORD) == beside / "unseal.key"


def test_a_directory_that_is_used_for_something_else_stays_as_it_is(tmp_path: Path, settings: Settings) -> None:
    """NASOS_KEY_DIR=~ must not close the home directory; nor is the parent of a good one touched."""
    home, theirs = home_of(tmp_path / "home"), tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    theirs.chmod(0o755)
    (theirs / "photos").touch()
    with pytest.raises(StackError, match=r"holds other things \(photos\)"):
        home.prepare_key_directory(replace(settings, key_dir=theirs), RECORD)
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755
    key = home.prepare_key_directory(replace(settings, key_dir=theirs / "key"), RECORD)
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_a_key_directory_in_use_is_taken_again(tmp_path: Path, settings: Settings) -> None:
    """Also with another private file of the operator's beside the key."""
    home, chosen = home_of(tmp_path / "home"), replace(settings, key_dir=tmp_path / "key")
    key = home.prepare_key_directory(chosen, RECORD)
    key.touch()
    (key.parent / "note").touch()
    assert home.prepare_key_directory(chosen, RECORD) == key


def test_a_protected_key_makes_a_directory_the_keys_own_too(tmp_path: Path, settings: Settings) -> None:
    """`unseal.key.age` in place of the key."""
    home, chosen = home_of(tmp_path / "home"), replace(settings, key_dir=tmp_path / "key")
    key = home.prepare_key_directory(chosen, RECORD)
    key.with_name("unseal.key.age").touch()
    assert home.prepare_key_directory(chosen, RECORD) == key


def test_where_a_key_stands_in_memory(settings: Settings) -> None:
    """The system's place for root, whatever session sudo left in the environment; the session's for others."""
    mine = replace(settings, session_dir=Path("/run/user/7"))
    root, person = Home(Path("/h"), Users(separate=True)), Home(Path("/h"), Users(separate=False))
    assert root.memory_key(mine, RECORD) == Path("/run/nasos") / RECORD.id / "unseal.key"
    assert person.memory_key(mine, RECORD) == Path("/run/user/7/nasos") / RECORD.id / "unseal.key"
    alone = replace(settings, session_dir=None)
    assert person.memory_key(alone, RECORD) == Path(f"/run/user/{os.geteuid()}/nasos") / RECORD.id / "unseal.key"
    for home in (root, person):
        named = replace(mine, runtime_dir=Path("/mnt/ram"))
        assert home.memory_key(named, RECORD) == Path("/mnt/ram") / RECORD.id / "unseal.key"


def test_a_closed_door(tmp_path: Path) -> None:
    """A file where a directory should be: two lines, no traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(Error, match="cannot write"):
        home_of(tmp_path / "file" / "home").prepare("nasos")
