"""Rotation of a database password, side by side with the database engine's static roles of OpenBao, and with the floor.

``.venv/bin/python benchmarks/rotation.py [rotations] [kills]`` starts and ends servers of its own and prints:

* milliseconds per rotation: the floor (``ALTER ROLE`` and a login that proves it), OpenBao's ``rotate-role`` (which
  proves nothing), ours (journal, two roles, proof by login and by refusal); they take turns;
* readers that fetch the login from Vault and connect with it, eight at a time, while it rotates without a pause: how
  many are refused;
* ``kill -9`` of the Vault server and of whoever asked it to rotate, at a random moment: how often the stored login is
  refused afterwards, before and after what heals it (ours: the next rotator's resume; static roles: 15 s of waiting);
* the memory of a process that rotates once, beside one of the same interpreter that does nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from fixtures.postgres import Process, server_below  # noqa: E402  found by the line above
from fixtures.vault import Server  # noqa: E402  found by the line above
from nasos.database import Endpoint, Login, can_login, connect, set_password  # noqa: E402  after the path to the fixtures
from nasos.errors import Error  # noqa: E402  after the path to the fixtures
from nasos.rotation.engine import Engine  # noqa: E402  after the path to the fixtures
from nasos.rotation.journal import Fields  # noqa: E402  after the path to the fixtures
from nasos.rotation.postgres import AlternatingRoles  # noqa: E402  after the path to the fixtures
from nasos.rotation.rotator import Consumer, Part, Sight, Unit  # noqa: E402  after the path to the fixtures
from nasos.secret import Secret  # noqa: E402  after the path to the fixtures
from nasos.settings import Token  # noqa: E402  after the path to the fixtures
from nasos.stack import postgres as pg  # noqa: E402  after the path to the fixtures
from nasos.vault import system  # noqa: E402  after the path to the fixtures
from nasos.vault.client import VaultApi  # noqa: E402  after the path to the fixtures
from nasos.vault.kv import KvStore  # noqa: E402  after the path to the fixtures
from nasos.vault.session import Session  # noqa: E402  after the path to the fixtures

BOT, STATIC = "bench", "bench_static"
FORK = multiprocessing.get_context("fork")
READERS = 8
HEALING = 15.0


@dataclass
class Ground:
    """Both servers, and a way to ask Vault for anything."""

    vault: Server
    root: Secret
    server: Endpoint
    admin: Login

    @property
    def store(self) -> KvStore:
        """A client of its own for each caller."""
        return KvStore(Session(VaultApi(self.vault.address, self.vault.ca_file), Token(self.root)))

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        """One request as root."""
        api = VaultApi(self.vault.address, self.vault.ca_file)
        return api.request(method, path, dict(body or {}), token=self.root)

    def engine(self, *consumers: Consumer) -> Engine:
        """Ours."""
        name = f"bots/{BOT}/db"
        rotator = AlternatingRoles(self.server, lambda: self.admin, BOT)
        units = {name: Unit(name, (Part(name, rotator),), consumers, 10.0)}
        return Engine(self.store, units, lambda *_: None, lambda: datetime.now(UTC), 20.0)


@contextmanager
def ground(place: Path) -> Iterator[Ground]:
    """OpenBao with its database engine, PostgreSQL with a bot and a role for the engine."""
    vault = Server(place / "home", place / "key" / "unseal.key")
    vault.start()
    root = vault.bootstrap_keeping_root()
    server, admin, login = (
        server_below(place),
        Login("nasos_admin", Secret.random()),
        Login(f"{BOT}_a", Secret.random(), BOT),
    )
    pg.initialize(server, admin)
    pg.configure(server, place / "tls")
    process = Process(server, place / "postgres.log")
    process.start(admin)
    try:
        pg.provision(server, admin, BOT, login)
        it = Ground(vault, root, server, admin)
        it.store.write(f"nasos/bots/{BOT}/db", {"username": login.username, "role": "a", "password": login.password})
        _static_role(it)
        yield it
    finally:
        process.kill()
        vault.stop()


def _static_role(it: Ground) -> None:
    with connect(it.server, it.admin) as db:
        db.execute(f"CREATE ROLE {STATIC} LOGIN")
        db.execute(f"GRANT CONNECT ON DATABASE {BOT} TO {STATIC}")
    url = f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{it.server.port}/postgres?sslmode=verify-full"
    it.ask("POST", "sys/mounts/database", {"type": "database"})
    it.ask("POST", "database/config/bench", {
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
        "connection_url": f"{url}&sslrootcert={it.server.ca_file}",
        "username": it.admin.username, "password": it.admin.password.reveal(),
        "password_authentication": "scram-sha-256",
    })  # fmt: skip
    it.ask("POST", f"database/static-roles/{STATIC}", {
        "db_name": "bench", "username": STATIC, "rotation_period": 86400,
    })  # fmt: skip


def static_login(it: Ground, api: VaultApi) -> Login:
    """What a reader of the static role gets."""
    data: Any = api.request("GET", f"database/static-creds/{STATIC}", token=it.root)["data"]
    return Login(data["username"], Secret(data["password"]), BOT)


def our_login(store: KvStore) -> Login:
    """What a reader of ours gets."""
    record = store.read(f"nasos/bots/{BOT}/db")
    return Login(record.fields["username"].reveal(), record.fields["password"], BOT)


def milliseconds(work: Callable[[], object]) -> float:
    """Of one call."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def speed(it: Ground, rotations: int) -> None:
    """The three take turns."""
    engine, api = it.engine(), VaultApi(it.vault.address, it.vault.ca_file)
    with connect(it.server, it.admin) as db:
        db.execute("CREATE ROLE bench_floor LOGIN")
        db.execute(f"GRANT CONNECT ON DATABASE {BOT} TO bench_floor")

        def floor() -> None:
            login = Login("bench_floor", Secret.random(), BOT)
            set_password(db, login)
            assert can_login(it.server, login)

        contestants: dict[str, Callable[[], object]] = {
            "floor: ALTER ROLE + login": floor,
            "OpenBao rotate-role": lambda: api.request("POST", f"database/rotate-role/{STATIC}", {}, token=it.root),
            "ours, proven": lambda: engine.rotate(f"bots/{BOT}/db", actor="bench", reason="bench"),
        }
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rotations):
            for name, work in contestants.items():
                taken[name].append(milliseconds(work))
    floor_median = statistics.median(taken["floor: ALTER ROLE + login"])
    for name, values in taken.items():
        median, worst = statistics.median(values), statistics.quantiles(values, n=100)[98]
        print(
            f"{name:28} p50 {median:7.1f} ms  p99 {worst:7.1f} ms  {1000 / statistics.fmean(values):6.1f}/s"
            f"  {median / floor_median:5.2f} x floor  (n={rotations})"
        )


@dataclass
class Readers:
    """Eight threads that fetch and connect; as a `Consumer` they are seen when each has used what is current."""

    fetch: Callable[[], Callable[[], Login]]
    server: Endpoint
    name: str = "readers"

    def __post_init__(self) -> None:
        self.tried, self.refused = 0, 0
        self.seen: list[Secret | None] = [None] * READERS
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(number,)) for number in range(READERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self, number: int) -> None:
        fetch = self.fetch()
        while not self._stop.is_set():
            login = fetch()
            works = can_login(self.server, login)
            self.tried += 1
            self.refused += not works
            self.seen[number] = login.password

    def deliver(self, *, urgent: bool) -> None:
        """See `Consumer.deliver`: they read by themselves."""

    def look(self, current: Mapping[str, Fields]) -> Sight:
        """See `Consumer.look`."""
        password = current[f"bots/{BOT}/db"]["password"]
        return Sight.CONFIRMED if all(seen == password for seen in self.seen) else Sight.WAITING


def reading(it: Ground, rotations: int) -> None:
    """Refusals while it rotates without a pause."""

    def ours() -> Callable[[], Login]:
        store = it.store
        return lambda: our_login(store)

    def theirs() -> Callable[[], Login]:
        api = VaultApi(it.vault.address, it.vault.ca_file)
        return lambda: static_login(it, api)

    with Readers(ours, it.server) as readers:
        engine = it.engine(readers)
        for _ in range(rotations):
            ended = engine.rotate(f"bots/{BOT}/db", actor="bench", reason="bench")
            assert not ended.failure, ended
    _told("ours", readers, rotations)
    with Readers(theirs, it.server) as readers:
        for _ in range(rotations):
            it.ask("POST", f"database/rotate-role/{STATIC}")
            time.sleep(0.1)  # so that there are about as many readings per rotation as with ours
    _told("OpenBao static role", readers, rotations)


def _told(name: str, readers: Readers, rotations: int) -> None:
    share = 100 * readers.refused / max(1, readers.tried)
    print(f"{name:28} {readers.refused} of {readers.tried} readers refused ({share:.2f} %) in {rotations} rotations")


def killing(it: Ground, kills: int) -> None:
    """The server ends at a random moment of a rotation."""
    chance = random.Random(1)  # noqa: S311  a schedule, no key
    spans = {
        "ours": _span(lambda: _rotate(it)),
        "static": _span(lambda: it.ask("POST", f"database/rotate-role/{STATIC}")),
    }
    wrong = {"ours": [0, 0], "static": [0, 0]}
    for _ in range(kills):
        _killed(it, lambda: _rotate(it), chance.uniform(0, spans["ours"]))
        wrong["ours"][0] += not can_login(it.server, our_login(it.store))
        it.engine().resume()
        wrong["ours"][1] += not can_login(it.server, our_login(it.store))
        _killed(it, lambda: it.ask("POST", f"database/rotate-role/{STATIC}"), chance.uniform(0, spans["static"]))
        works = _static_works(it)
        wrong["static"][0] += not works
        deadline = time.monotonic() + HEALING
        while not works and time.monotonic() < deadline:
            time.sleep(1)
            works = _static_works(it)
        if not works:
            wrong["static"][1] += 1
            with suppress(Error):  # it is counted; another rotation may mend it
                it.ask("POST", f"database/rotate-role/{STATIC}")
    for name, (before, after) in wrong.items():
        print(f"{name:28} {before} of {kills} kills left a stored login that is refused; {after} after healing")


def _rotate(it: Ground) -> None:
    it.engine().rotate(f"bots/{BOT}/db", actor="bench", reason="bench")


def _static_works(it: Ground) -> bool:
    return can_login(it.server, static_login(it, VaultApi(it.vault.address, it.vault.ca_file)))


def _span(work: Callable[[], object]) -> float:
    return statistics.median(milliseconds(work) for _ in range(5)) / 1000


def _killed(it: Ground, work: Callable[[], object], after: float) -> None:
    def attempt() -> None:
        with suppress(Error):
            work()

    # In a process of its own: one that lives on would hold its lease, and wait for Vault for half a minute.
    child = FORK.Process(target=attempt)
    child.start()
    time.sleep(after)
    it.vault.kill()
    child.kill()
    child.join()
    it.vault.start()
    system.wait_active(it.vault.api, 30)


def memory(it: Ground) -> None:
    """At most, by the kernel's count, of processes that begin anew."""
    told = {
        "address": it.vault.address, "vault_ca": str(it.vault.ca_file), "token": it.root.reveal(),
        "port": it.server.port, "postgres_ca": str(it.server.ca_file),
        "admin": it.admin.username, "admin_password": it.admin.password.reveal(), "bot": BOT,
    }  # fmt: skip
    for name, work in (("a Python that does nothing", "pass"), ("ours, one rotation", _ROTATES_ONCE)):
        done = subprocess.run(
            [sys.executable, "-c", f"{work}\n{_PEAK}"], input=json.dumps(told),
            env={"PYTHONPATH": str(PROJECT / "tests")}, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        print(f"{name:28} {int(done.stdout) / 1024:.0f} MiB at most")


_PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
_ROTATES_ONCE = """
import json, sys
from pathlib import Path
from fixtures.rotation_child import Place
told = json.load(sys.stdin)
place = Place(**{name: Path(value) if name.endswith("_ca") else value for name, value in told.items()})
assert not place.engine.rotate(place.name, actor="bench", reason="bench").failure
"""


def main(rotations: int, kills: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="nasos-bench-") as directory:
        Path(directory).chmod(0o711)
        with ground(Path(directory)) as it:
            speed(it, rotations)
            reading(it, rotations)
            killing(it, kills)
            memory(it)


if __name__ == "__main__":
    main(*(int(word) for word in (*sys.argv[1:], "100", "20")[:2]))
