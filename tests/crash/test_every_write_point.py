"""Every place of ours that writes to a disk: it is known here, and a fault at each of its system calls was tried.

Always: an error of ours with a hint, what stood there before or what was to be there, and the next try succeeds.
"""

from __future__ import annotations

import ast
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from fixtures.archives import gathered
from fixtures.housekeeping import log
from nasos.compress import compress, opened
from nasos.errors import Error
from nasos.gateway.storage import Storage
from nasos.ledger import Outcome, read
from nasos.stack.backup import archive, files
from nasos.stack.backup.encryption import Identities, Recipients, new_identity
from nasos.stack.backup.save import to_file
from nasos.stack.backup.staging import Staging
from nasos.stack.home import Home
from nasos.stack.housekeeping import ballast, rotate
from nasos.stack.rotation.record import recorder
from nasos.stack.users import Users
from nasos.tls import issue_all
from nasos.vault.server import make_unseal_key
from simulators.faults import every_fault, ours, said

ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT]
MOST = [errno.ENOSPC, errno.EIO]
ALONE = Users(separate=False)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def faults(work: Callable[[], object], error: int) -> Iterator[tuple[int, bool]]:
    """A fault at each point in turn; whether the work was done all the same."""
    points, told = 0, ""
    for number, outcome in every_fault(said(work), error):
        told = outcome.said
        assert ours(told), (number, told)
        points += outcome.met
        yield number, told == "done"
    assert (points > 1, told) == (True, "done")


@pytest.mark.parametrize("error", MOST, ids=errno.errorcode.get)
def test_a_first_start_goes_on_where_the_disk_stopped_it(tmp_path: Path, error: int) -> None:
    """Directories, unseal key, CA and certificates: a key that was made stays the key, and the next run completes."""
    home, key = Home(tmp_path / "home", ALONE), tmp_path / "key" / "unseal.key"

    def begin() -> None:
        home.prepare("mine")
        make_unseal_key(key)

    made = b""
    for number, _ in faults(begin, error):
        now = key.read_bytes() if key.exists() else b""
        assert len(now) in (0, 32), number
        assert made in (b"", now), "another key opens nothing"
        made = now
        if number % 2 and not made:
            shutil.rmtree(tmp_path / "home", ignore_errors=True)
    assert {path.name for path in key.parent.iterdir()} == {"unseal.key"}


def test_certificates_are_whole_pairs_wherever_the_disk_fails(tmp_path: Path) -> None:
    """A new CA and every leaf, full at each point: what there is fits together, and the next run completes it."""
    (tmp_path / "tls").mkdir(mode=0o700)
    for number, _ in faults(lambda: issue_all(tmp_path / "tls", ["localhost"], now=NOW), errno.ENOSPC):
        names = {path.name for path in (tmp_path / "tls").glob("*")}
        assert not [name for name in names if name.endswith(".tmp")], number
    assert not [leaf for leaf in issue_all(tmp_path / "tls", ["localhost"], now=NOW) if leaf.issued]


@pytest.mark.parametrize("error", MOST, ids=errno.errorcode.get)
def test_a_log_loses_no_line_wherever_the_disk_fails(tmp_path: Path, error: int) -> None:
    """Put aside and compressed: each line stands in exactly one place that can be read whole, or in both."""
    path = tmp_path / "log" / "rotate.log"
    path.parent.mkdir()
    kept, written = log(path), 0
    reopened = kept.__class__(path=path, reopened=True, keep_bytes=kept.keep_bytes, keep_days=kept.keep_days)
    packed = path.with_name("warm")
    packed.write_bytes(b"x")
    compress(packed)  # the library is loaded before the disk fails
    path.with_name("warm.zst").unlink()

    def work() -> None:
        try:
            rotate.rotate(reopened, 10, NOW, lambda *_told: None)
        except OSError as refused:  # as the rounds take it: told, and done again
            assert refused.errno == error  # noqa: PT017  in a child
            raise Error("refused by the disk", "df -h") from None

    path.write_text("")
    for number, _ in faults(work, error):
        lines: set[str] = set()
        for each in path.parent.iterdir():
            if each.name.startswith("."):
                continue
            with opened(each) as file:
                lines |= set(file.read().decode().split())
        assert lines >= {f"line-{n}-padded" for n in range(written)}, number
        written += 1
        with path.open("ab") as growing:
            growing.write(f"line-{written - 1}-padded\n".encode())


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_ballast_is_taken_whole_or_not_at_all(tmp_path: Path, error: int) -> None:
    """Half of one would be given up for nothing."""
    path = tmp_path / "ballast"
    kinds = ("open", "sync", "allocate")
    for _, outcome in every_fault(lambda: str(ballast.take(path, 1 << 20)), error, kinds):
        assert outcome.said == str(not outcome.met)
        assert ballast.held(path) in ((0,) if outcome.met else range(1 << 20, 2 << 20))
        ballast.give_up(path)


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_step_of_a_rotation_is_in_the_ledger_or_refused(tmp_path: Path, error: int) -> None:
    """A full log directory costs the second record only: the rotation goes on."""
    home = Home(tmp_path / "home", ALONE)
    home.prepare("mine")
    (home.log / "rotate.log").touch(0o600)
    steps = 0
    for _, done in faults(lambda: recorder(home)("rotation.step", "bots/mine/db", Outcome.OK, {}), error):
        steps += done
        assert len(read(home.ledger)) >= steps
    assert steps > 1, "the ledger was written, and the log was not"


@pytest.mark.parametrize("error", MOST, ids=errno.errorcode.get)
def test_an_unpacked_backup_is_taken_over_or_the_old_state_stands(tmp_path: Path, error: int) -> None:
    """Decrypted, unpacked, put into its place, exchanged: at each fault the old state, or the new one whole."""
    text, recipient = new_identity()
    file, home = tmp_path / "b.age", tmp_path / "home"
    content = {"state/bot/mine/x": os.urandom(3000)}
    to_file(file, gathered(tmp_path / "parts", content), tmp_path / "parts", Recipients((recipient,)), force=True)
    staging = Staging(home, ALONE)

    def work() -> None:
        try:
            with staging.held("then"):
                manifest = archive.read(file, Identities(text), lambda _manifest: None, staging.parts)
                files.put_back(staging.parts, manifest.parts, staging.home, lambda _service: None)
                staging.take_over("then", existed=True)
        except OSError as refused:  # as `restore` says it
            assert refused.errno == error  # noqa: PT017  in a child
            raise Error("not restored", "df -h") from None

    for number, done in faults(work, error):
        new = home / "bot" / "mine" / "x"
        assert (home / "old").exists() != new.exists() or number == 1, number
        assert not done or new.read_bytes() == content["state/bot/mine/x"]
        for each in tmp_path.glob("home*"):
            if each.is_dir():
                shutil.rmtree(each)
        home.mkdir(mode=0o700)
        (home / "old").touch()


def test_the_gateways_file_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """SQLite meets a full disk at each point: a change is stored or refused, and never half."""
    path = tmp_path / "gateway" / "sessions.db"
    Storage.open(path).close()
    acknowledged: set[str] = set()

    def change() -> None:
        storage = Storage.open(path)
        with storage.change() as db:
            db.execute("INSERT INTO spent_codes VALUES (?, 1)", (f"n{number}",))
        storage.close()

    number = 1
    for number, done in faults(change, errno.ENOSPC):
        storage = Storage.open(path)
        stored = {row[0] for row in storage.look("SELECT name FROM spent_codes")}
        storage.close()
        acknowledged |= {f"n{number}"} if done else set()
        assert acknowledged <= stored
        number += 1  # noqa: PLW2901  the next change's name


HERE: Final = "crash/test_every_write_point.py"
FAULTS: Final = "crash/test_disk_faults.py"
LEDGER: Final = "crash/test_ledger_disk_faults.py"
FULL: Final = "integration/housekeeping/full_disk.py"
COMMAND: Final = "unit/cli/test_root.py::test_a_disk_that_fails_is_said_and_no_traceback"
WRITERS: Final[Mapping[str, str]] = {
    "files.py": f"{FAULTS}::test_a_file_is_the_old_or_the_new_one_wherever_the_disk_fails",
    "compress.py": f"{FAULTS}::test_a_log_is_compressed_or_still_there",
    "ledger/append.py": f"{LEDGER}::test_the_ledger_keeps_what_it_acknowledged_wherever_the_disk_fails",
    "ledger/files.py": f"{LEDGER}::test_the_ledger_keeps_what_it_acknowledged_wherever_the_disk_fails",
    "ledger/memory.py": f"{LEDGER}::test_the_ledger_keeps_what_it_acknowledged_wherever_the_disk_fails",
    "tls/dev_ca.py": f"{HERE}::test_certificates_are_whole_pairs_wherever_the_disk_fails",
    "tls/pairs.py": "crash/test_pairs_kill.py::test_a_disk_that_fails_at_any_point_loses_nothing",
    "vault/server.py": f"{HERE}::test_a_first_start_goes_on_where_the_disk_stopped_it",
    "stack/housekeeping/rotate.py": f"{HERE}::test_a_log_loses_no_line_wherever_the_disk_fails",
    "stack/housekeeping/ballast.py": f"{HERE}::test_a_ballast_is_taken_whole_or_not_at_all",
    "stack/rotation/record.py": f"{HERE}::test_a_step_of_a_rotation_is_in_the_ledger_or_refused",
    "stack/backup/archive.py": f"{HERE}::test_an_unpacked_backup_is_taken_over_or_the_old_state_stands",
    "stack/backup/files.py": f"{HERE}::test_an_unpacked_backup_is_taken_over_or_the_old_state_stands",
    "stack/backup/staging.py": f"{HERE}::test_an_unpacked_backup_is_taken_over_or_the_old_state_stands",
    "stack/backup/save.py": f"{FAULTS}::test_a_backup_appears_whole_or_not_at_all_wherever_the_disk_fails",
    "gateway/storage.py": f"{HERE}::test_the_gateways_file_keeps_what_it_acknowledged",
    "stack/postgres.py": f"{FULL}::postgres",
    # A command's own: what stood there stands there, and it is said.
    **dict.fromkeys(
        ("bot/moving/converter.py", "bot/moving/trades.py", "cli/bot.py", "stack/aside.py", "stack/backup/database.py",
         "stack/backup/key.py", "stack/backup/restore.py", "stack/edge.py", "stack/seal/rotation.py",
         "stack/supervisor.py", "vault/snapshot.py"),
        COMMAND,
    ),
}  # fmt: skip
"""Module that opens, renames or links files by itself -> the test that makes its disk fail."""


def writes(node: ast.AST) -> bool:
    """Whether a file is made, changed or moved here."""
    if isinstance(node, ast.Attribute):
        return node.attr in {"O_CREAT", "O_WRONLY"}
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "open":
        words = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return any(set(word) & set("wxa+") and set(word) <= set("rwxab+t") for word in words)
    if name == "replace":  # a path's; text and dataclasses take more
        return len(node.args) == 1 and not node.keywords
    return name in {
        "write_text", "write_bytes", "copyfile", "copy2", "copytree", "posix_fallocate", "mkstemp", "mkdtemp",
        "NamedTemporaryFile", "rename", "link", "symlink", "symlink_to", "hardlink_to",
    }  # fmt: skip


def test_every_module_that_writes_is_made_to_fail_by_a_test() -> None:
    """A new one fails here until it has its line, and a test stands behind each line."""
    source = Path(rotate.__file__).parents[2]
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(writes(node) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert found == set(WRITERS)
    tests = Path(__file__).parents[1]
    for place in set(WRITERS.values()):
        file, name = place.split("::")
        assert f"def {name}(" in (tests / file).read_text(), place
