"""What the stack's companion reaches, in a process of its own under the kernel's Landlock."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nasos.bot.sandbox import TCP, supported
from nasos.cloudflare.standing import LOOSE, Standing, proven, running, write
from nasos.errors import ProgramFailed
from nasos.files import atomic_write
from nasos.settings.cloudflare import CloudflareTable
from nasos.stack.companion.duties import Duties

ABI = supported()

TRY = """
import json, os, socket, sys
from pathlib import Path
from nasos.bot.sandbox import enter
from nasos.files import atomic_write
from nasos.stack.companion.confinement import confinement
from nasos.stack.companion.duties import Duties
from nasos.stack.companion.opener import Opener

def outcome(act):
    try:
        return act()
    except OSError as error:
        return type(error).__name__

def connect(family, where):
    with socket.socket(family) as line:
        line.connect(where)
    return "done"

def opened(letter):
    with os.fdopen(opener.open(letter), "rb") as file:
        return file.read().decode()

duties = Duties.decode(sys.argv[1])
opener = Opener({"k": duties.credential, "c": Path(duties.containers)})
enter(confinement(duties))
print("confined", flush=True)
for line in sys.stdin:
    verb, what = json.loads(line)
    said = outcome({
        "read": lambda: Path(what).read_text(),
        "list": lambda: str(os.listdir(what)),
        "write": lambda: atomic_write(Path(what), b"x") or "done",
        "opened": lambda: opened(what),
        "unix": lambda: connect(socket.AF_UNIX, what),
        "tcp": lambda: connect(socket.AF_INET, ("127.0.0.1", what)),
        "signal": lambda: os.kill(what, 0) or "done",
    }[verb])
    print(json.dumps(said), flush=True)
"""


class Confined:
    """A companion's sandbox, and somebody in it who does what he is told."""

    def __init__(self, duties: Duties) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRY, duties.encode()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "confined\n"

    def tries(self, verb: str, what: Path | str | int) -> str:
        """What came of it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([verb, what if isinstance(what, int) else str(what)]) + "\n")
        self.process.stdin.flush()
        said: str = json.loads(self.process.stdout.readline() or '"ended"')
        return said

    def end(self) -> int:
        """No more is asked of him."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.communicate()
        return self.process.returncode


Start = Callable[[Duties], Confined]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts such a process; none outlives the test."""
    with contextlib.ExitStack() as ends:

        def started(duties: Duties) -> Confined:
            confined = Confined(duties)
            ends.callback(confined.end)
            return confined

        yield started


@pytest.fixture
def home() -> Iterator[Path]:
    """A state directory with somebody else's secrets; a short path, because a unix socket is in it."""
    with tempfile.TemporaryDirectory(prefix="nasos-c.") as place:
        home = Path(place)
        for name in ("credentials", "tls", "own", "ledger", "audit", "key"):
            (home / name).mkdir()
        for name in SECRETS:
            (home / name).write_text("a secret")
        (home / "credentials/companion.json").write_text("its own")
        (home / "tls/ca.pem").write_text("the authority")
        (home / "compose.yml").write_text("services")
        yield home


SECRETS = ("credentials/rotator.json", "credentials/operator.json", "tls/vault.key", "key/unseal.key",
           "audit/audit.log", "recovery.json", ".env")  # fmt: skip


def duties(home: Path, vault: int, api: int, containers: str = "") -> Duties:
    """As the stack would tell them to an ordinary user's companion."""
    return Duties(
        owner="home", containers=containers or str(home / "compose.yml"), zone_id=None,
        table=CloudflareTable(api=f"http://127.0.0.1:{api}/client/v4"), vault=f"https://127.0.0.1:{vault}",
        ca_file=home / "tls/ca.pem", credential=home / "credentials/companion.json", directory=home / "own",
        ledger=home / "ledger/events.jsonl",
    )  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_nobody_elses_secret_is_in_its_reach(home: Path, start: Start, name: str) -> None:
    """Files of the same user, which it could read if it were not confined; nor does it see what there is."""
    inside = start(duties(home, 1, 2))
    assert (home / name).read_text() == "a secret"
    assert inside.tries("read", home / name) == ("PermissionError" if ABI else "a secret")
    assert (inside.tries("list", home) == "PermissionError") == bool(ABI)
    assert inside.end() == 0


def test_it_has_what_its_work_needs_also_when_that_is_replaced(home: Path, start: Start) -> None:
    """Compose file and credential take other inodes' places and are opened for it; its own directory it writes to."""
    inside = start(duties(home, 1, 2))
    for letter, path in (("c", home / "compose.yml"), ("k", home / "credentials/companion.json")):
        for content in ("another", "and another"):
            atomic_write(path, content.encode())
            assert inside.tries("opened", letter) == content
        path.unlink()
        assert inside.tries("opened", letter) == "FileNotFoundError"
        atomic_write(path, b"back")
        assert inside.tries("opened", letter) == "back"
        assert inside.tries("read", path) == ("PermissionError" if ABI else "back")
    assert inside.tries("read", home / "tls/ca.pem") == "the authority"
    assert {inside.tries("write", home / place) for place in ("own/state.json", "ledger/events.jsonl")} == {"done"}
    assert (inside.tries("write", home / "credentials/companion.json") == "done") == (not ABI)


def test_it_reaches_vault_and_cloudflare_and_no_other_port(home: Path, start: Start) -> None:
    """Two of three listeners; a unix socket only where containers are looked for at one."""
    with socket.create_server(("127.0.0.1", 0)) as vault, socket.create_server(("127.0.0.1", 0)) as api, \
            socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_UNIX) as engine:  # fmt: skip
        ports = [each.getsockname()[1] for each in (vault, api, other)]
        engine.bind(str(home / "e.sock"))
        engine.listen()
        inside = start(duties(home, ports[0], ports[1]))
        refused = "PermissionError" if ABI >= TCP else "done"
        assert [inside.tries("tcp", port) for port in ports] == ["done", "done", refused]
        assert inside.tries("unix", home / "e.sock") == "PermissionError"
        assert inside.end() == 0
        beside = start(duties(home, ports[0], ports[1], f"unix://{home}/e.sock"))
        assert beside.tries("unix", home / "e.sock") == "done"
        assert beside.end() == 0


def test_nobody_outlives_the_other(home: Path, start: Start) -> None:
    """Killed with -9, it takes the one who opens files with it; without that one it ends, and is started again."""
    inside = start(duties(home, 1, 2))
    [opener] = children(inside.process.pid)
    inside.process.kill()
    inside.end()
    wait_for_end(opener)
    inside = start(duties(home, 1, 2))
    [opener] = children(inside.process.pid)
    os.kill(opener, 9)
    assert inside.tries("opened", "c") == "ended"
    assert inside.end() == 1


def children(pid: int) -> list[int]:
    """Of one process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_end(pid: int) -> None:
    """A zombie has ended too: its new parent is init, which may take its time."""
    deadline = time.monotonic() + 60
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize(("confined", "said"), [(None, ""), (0, f"; {LOOSE}"), (6, "")])
def test_a_companion_that_is_not_confined_says_so(tmp_path: Path, confined: int | None, said: str) -> None:
    """A finding of the security test, and a word of `status`; in a container nobody promised it."""
    write(tmp_path, Standing(feed="f", written=running(), zones=("example.com",), wanted=1, confined=confined))
    assert proven(tmp_path) == f"1 records wanted in example.com{said}"
    if said:
        with pytest.raises(ProgramFailed, match="no Landlock"):
            proven(tmp_path, strict=True)
    else:
        assert proven(tmp_path, strict=True)


def test_the_opener_reads_from_its_directories_alone(home: Path, start: Start) -> None:
    """It is asked for what was named at the start; a letter that was not named ends it, and with it who asked."""
    inside = start(duties(home, 1, 2))
    assert inside.tries("opened", "x") == "ended"
    assert inside.end() == 1
