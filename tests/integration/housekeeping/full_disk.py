"""Cases for test_full_disk.py: each runs in a mount namespace of its own, on small disks that are really full."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec
import pytest

from fixtures.housekeeping import duties, keeping, log
from fixtures.postgres import Process, server_below
from fixtures.stack import until
from fixtures.vault import Server
from nasos import database, disk, ledger
from nasos.cli.root import run
from nasos.errors import DatabaseError, Error, FileRefused, LedgerError, OutcomeUnknown, VaultError, VaultUnreachable
from nasos.files import atomic_write
from nasos.ledger import Ledger
from nasos.secret import Secret
from nasos.stack import postgres as pg
from nasos.stack.home import Record
from nasos.stack.housekeeping import ballast
from nasos.stack.ports import Ports
from nasos.vault import system

MB = 1 << 20
_LIBC = ctypes.CDLL(None, use_errno=True)
_REMOUNT, _READ_ONLY = 32, 1  # MS_REMOUNT, MS_RDONLY (mount(2))


def small_disk(path: Path, size: int) -> Path:
    """A file system of its own with so many bytes."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount(b"tmpfs", path, 0, f"size={size},mode=700".encode())
    return path


def mount(source: bytes, path: Path, flags: int, options: bytes) -> None:
    """By system call: the program `mount` wants to be root's."""
    if _LIBC.mount(source, bytes(path), b"tmpfs", flags, options) != 0:
        raise OSError(ctypes.get_errno(), "mount", str(path))


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The disk as the kernel leaves it after an error."""
    mount(b"tmpfs", path, _REMOUNT | _READ_ONLY, b"")
    try:
        yield
    finally:
        mount(b"tmpfs", path, _REMOUNT, b"")


@contextlib.contextmanager
def full(path: Path) -> Iterator[Path]:
    """Somebody else's file takes all that is left, until the block ends."""
    filler = path / "filler"
    fill(filler)
    try:
        yield filler
    finally:
        filler.unlink()


def fill(filler: Path) -> None:
    """Grow it until nothing is left."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


def audit(place: Path) -> None:
    """Both audit logs on one full disk: every call is refused while health says 200; the ballast opens it again."""
    small_disk(place / "home" / "audit", 6 * MB)
    server = Server(place / "home", place / "key" / "unseal.key")
    server.start()
    try:
        _audit(server)
    finally:
        server.kill()


def _audit(server: Server) -> None:
    token = server.bootstrap_keeping_root()
    assert server.process
    disk_of_logs = server.home / "audit"
    acknowledged: dict[str, str] = {}

    def write(name: str) -> None:
        server.api.request("POST", f"kv/data/nasos/app/{name}", {"data": {"value": name}}, token=token)
        acknowledged[name] = name

    logs = [log(path, "vault", signal.SIGHUP) for path in server.audit_files]
    plan = duties(server.home, *logs, above=16 * MB, ballast=2 * MB)
    write("before")
    with keeping(plan, vault=server.process.pid) as keeper:
        held = server.audit_files[0].parent / ballast.NAME
        until(lambda: ballast.held(held) >= 2 * MB, 10)
        with full(disk_of_logs) as filler:
            # The ballast is given up: Vault serves again although nobody made room.
            until(lambda: not held.exists(), 10)
            patiently(lambda: write("on-the-ballast"))
            until(lambda: events(server.home) == [("host.disk", "failed", "full")], 10)
            keeper.kill()
            fill(filler)
            _refused_while_healthy(server, write)
            assert "is full" in (disk.fullness([disk_of_logs]) or "")
            _said_by_every_command(server)
            keeper.start()
        patiently(lambda: write("afterwards"))
        until(lambda: ballast.held(held) >= 2 * MB, 10)
        until(lambda: [each[1] for each in events(server.home)][-1] == "ok", 10)
    for name, value in acknowledged.items():
        answer = server.api.request("GET", f"kv/data/nasos/app/{name}", token=token)
        assert answer["data"]["data"] == {"value": value}  # type: ignore[index]
    assert {"before", "on-the-ballast", "afterwards"} <= set(acknowledged)


def _refused_while_healthy(server: Server, write: Callable[[str], None]) -> None:
    assert isinstance(until_refused(VaultError, lambda _: write("while-full")), OutcomeUnknown | VaultUnreachable)
    assert system.health(server.api).active


def _said_by_every_command(server: Server) -> None:
    """The cause, and what to type: by a command that failed, and by the check."""
    ports = Ports.following(server.port - 1)
    atomic_write(server.home / "stack.json", msgspec.json.encode(Record(id="full", ports=ports)), 0o644)
    os.environ["NASOS_HOME"] = str(server.home)
    code, said = typed("secret", "list", "app")
    assert code == 3, said
    assert f"error: the disk of {server.home / 'audit' / 'primary'} is full" in said
    assert "hint: make room (df -h" in said
    code, said = typed("check", "host", "--json")
    [finding] = [each for each in msgspec.json.decode(said)["findings"] if each["id"] == "host.disk"]
    assert finding["state"] == "fail"
    assert "audit disk full" in finding["evidence"]


def typed(*words: str) -> tuple[int, str]:
    """A command, and what it said."""
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()) as said:
        code = run(list(words))
    return code, said.getvalue() + errors.getvalue()


def second(place: Path) -> None:
    """The first audit log's disk is full, the second's is not: Vault serves on, and each request is recorded there."""
    small_disk(place / "home" / "audit" / "primary", 2 * MB)
    server = Server(place / "home", place / "key" / "unseal.key")
    server.start()
    try:
        token = server.bootstrap_keeping_root()
        with full(server.audit_files[0].parent):
            for number in range(20):
                server.api.request("POST", f"kv/data/nasos/app/s-{number}", {"data": {"value": "x"}}, token=token)
        written = server.audit_files[1].read_text()
        assert all(written.count(f'"path":"kv/data/nasos/app/s-{number}"') == 2 for number in range(20))
    finally:
        server.kill()


def raft(place: Path) -> None:
    """Vault's own storage is full: nothing that was acknowledged is lost, and it serves again once there is room."""
    data = small_disk(place / "home" / "vault" / "data", 8 * MB)
    server = Server(place / "home", place / "key" / "unseal.key")
    server.start()
    try:
        token = server.bootstrap_keeping_root()
        acknowledged: list[str] = []

        def write(name: str) -> None:
            value = name + "x" * 50_000
            server.api.request("POST", f"kv/data/nasos/app/{name}", {"data": {"value": value}}, token=token)
            acknowledged.append(name)

        write("before")
        with full(data):
            until_refused(VaultError, lambda number: write(f"while-{number}"))
        if server.process and server.process.poll() is not None:
            server.process = None
            server.start()  # what the supervisor does
        system.wait_active(server.api, 30)
        patiently(lambda: write("afterwards"))
        for name in acknowledged:
            answer = server.api.request("GET", f"kv/data/nasos/app/{name}", token=token)
            assert answer["data"]["data"]["value"].startswith(name)  # type: ignore[index]
        assert {"before", "afterwards"} <= set(acknowledged)
    finally:
        server.kill()


def postgres(place: Path) -> None:
    """The database's disk is full: what was committed is there when there is room again."""
    cluster = place / "cluster"
    cluster.mkdir()
    small_disk(cluster / "pg", 120 * MB)
    (cluster / "pg").chmod(0o700)
    server = server_below(cluster)
    admin = database.Login("nasos_admin", Secret.random())
    pg.initialize(server, admin)
    pg.configure(server, cluster / "tls")
    process = Process(server, place / "postgres.log")
    process.start(admin)
    committed: list[int] = []
    try:
        with database.connect(server, admin) as db:
            db.execute("CREATE TABLE t (n int PRIMARY KEY, pad text)")

        def insert(number: int) -> None:
            with database.connect(server, admin) as db:
                db.execute("INSERT INTO t VALUES (%s, repeat(md5(random()::text), 20000))", (number,))
            committed.append(number)

        insert(0)
        with full(cluster / "pg"):
            until_refused(DatabaseError, lambda number: insert(number + 1))
        if process.running and process.running.poll() is not None:
            process.running = None
            process.start(admin)  # what the supervisor does
        until(lambda: process.answers(admin), 60)
        insert(1000)
        with database.connect(server, admin) as db:
            found = {row[0] for row in db.execute("SELECT n FROM t").fetchall()}
        assert set(committed) <= found, set(committed) - found
    finally:
        process.kill()


def events_disk(place: Path) -> None:
    """The ledger's disk is full: an event is refused, none that was acknowledged is lost, and the chain stays whole."""
    directory = small_disk(place / "ledger", 1 * MB)
    book = Ledger(directory / "events.jsonl", "operator")
    acknowledged: list[int] = []

    def append(target: str) -> None:
        acknowledged.append(book.append("stack.up", target, detail={"pad": "x" * 3000}).seq)

    append("before")
    with full(directory):
        refused = until_refused(LedgerError, lambda number: append(f"while {number}"))
        assert "df -h" in str(refused.hint)
    append("afterwards")
    read = [each.seq for each in ledger.read(book.path)]
    assert set(acknowledged) <= set(read)
    assert read == sorted(read)
    with read_only(directory):
        with pytest.raises(LedgerError, match=r"(?i)read-only"):
            book.append("stack.up", "read-only")
        assert "read-only" in (disk.fullness([directory]) or "")
    book.append("stack.up", "writable again")
    assert [each.target for each in ledger.read(book.path)][-1] == "writable again"


def files(place: Path) -> None:
    """Secret files: the old one stands whole, whatever the disk says; nothing half-made is left."""
    directory = small_disk(place / "credentials", 1 * MB)
    path = directory / "app.json"
    atomic_write(path, b"old" * 1000)
    with full(directory):
        with pytest.raises(FileRefused, match="no space left") as refused:
            atomic_write(path, b"new" * 100_000)
        assert "df -h" in str(refused.value.hint)
        assert path.read_bytes() == b"old" * 1000
    with read_only(directory), pytest.raises(FileRefused, match="read-only"):
        atomic_write(path, b"new")
    assert [each.name for each in directory.iterdir()] == ["app.json"]
    atomic_write(path, b"new" * 100_000)


def housekeeping_read_only(place: Path) -> None:
    """Its own disk read-only: it goes on, says so when it can, and the logs lose nothing."""
    home = small_disk(place / "home", 8 * MB)
    (home / "ledger").mkdir(mode=0o700)
    path = home / "log" / "bot.log"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"live\n")
    path.with_name("bot.log.1").write_bytes(b"rolled\n")
    with read_only(home):
        pass
    plan = duties(home, log(path), ballast=1 * MB)
    with keeping(plan) as keeper:
        held = plan.disks[0] / ballast.NAME
        until(lambda: ballast.held(held) >= MB, 10)
        with read_only(home):
            time.sleep(0.5)
            assert keeper.process
            assert keeper.process.poll() is None
            assert held.exists()
        until(lambda: [each[1:] for each in events(home)] == [("failed", "read-only"), ("ok", "has room again")], 10)
    assert not path.with_name("bot.log.1").exists()


def until_refused(kind: type[Error], work: Callable[[int], None], most: int = 200) -> Error:
    """Repeat it until the disk says no; return how it was told."""
    for number in range(most):
        try:
            work(number)
        except kind as error:
            return error
    raise AssertionError("a full disk stopped nothing")


def patiently(work: Callable[[], None], seconds: float = 20) -> None:
    """Until it is done."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def events(home: Path) -> list[tuple[str, str, str]]:
    """Name, outcome and what of each event in the ledger."""
    return [
        (each.event, str(each.outcome), each.detail["disk"]) for each in ledger.read(home / "ledger" / "events.jsonl")
    ]


CASES = {
    "audit": audit, "second": second, "raft": raft, "postgres": postgres, "ledger": events_disk, "files": files,
    "housekeeping": housekeeping_read_only,
}  # fmt: skip


if __name__ == "__main__":
    CASES[sys.argv[1]](Path(sys.argv[2]))
