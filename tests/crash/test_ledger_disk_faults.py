"""The ledger on a disk that fails at every point in turn, injected by the kernel, and on real small file systems."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nasos.errors import Error, LedgerError
from nasos.ledger import Ledger, read, verify
from nasos.ledger.files import parts
from simulators.faults import every_fault

BROKEN = errno.EIO
ERRORS = [errno.ENOSPC, BROKEN, errno.EROFS, errno.EDQUOT]


def acknowledged(text: str) -> set[str]:
    """The targets whose append returned."""
    return set(text.split()) - {"refused"}


@pytest.mark.parametrize("limit", [1 << 20, 1500], ids=["growing", "closing parts"])
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_the_ledger_keeps_what_it_acknowledged_wherever_the_disk_fails(tmp_path: Path, error: int, limit: int) -> None:
    """One chain that verifies, every acknowledged event in it once, the next append goes through, no file too many."""
    ledger = Ledger(tmp_path / "ledger" / "events.jsonl", "tester", limit=limit)
    told: set[str] = set()

    def work() -> str:
        words = []
        for n in range(3):
            target = f"{number}-{n}"
            try:
                ledger.append("secret.write", target)
            except Error as refused:
                words.append("refused" if refused.hint else f"UNEXPECTED no hint: {refused.message}")
            else:
                words.append(target)
        return " ".join(words)

    number = 1
    for number, outcome in every_fault(work, error):
        assert "UNEXPECTED" not in outcome.said, (number, outcome)
        assert "refused" not in outcome.said or outcome.met
        told |= acknowledged(outcome.said)
        found = verify(ledger.path)
        assert found.intact, (number, found.damages)
        number += 1  # noqa: PLW2901  the next run's events
        names = {entry.name for entry in ledger.path.parent.iterdir()} if ledger.path.parent.exists() else set()
        closed = {part.name for part in parts(ledger.path)}  # compressed, and the plain one not yet removed: read once
        assert names <= {"events.jsonl", "events.head", *closed, *(f"{name}.zst" for name in closed)}, number
    events = read(ledger.path)
    assert told <= {event.target for event in events}
    assert len({event.target for event in events}) == len(events), "nothing twice"
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


def test_a_ledger_that_the_disk_does_not_give_back_is_not_judged(tmp_path: Path) -> None:
    """EIO at each read in turn, of parts and of the remembered end: neither intact nor damaged, and never shorter."""
    ledger = Ledger(tmp_path / "ledger" / "events.jsonl", "tester", limit=1500)
    for number in range(20):
        ledger.append("secret.write", f"app/{number}")
    assert {part.suffix for part in parts(ledger.path)} == {".zst", ".jsonl"}

    def told() -> str:
        try:
            found = verify(ledger.path)
            return f"{found.events} {found.damages} {len(read(ledger.path))}"
        except LedgerError as error:
            return "refused with a hint" if error.hint else f"no hint: {error.message}"

    assert told() == "20 () 20"
    said = {outcome.said: outcome.met for _, outcome in every_fault(told, BROKEN, ("read", "open"))}
    assert said == {"refused with a hint": True, "20 () 20": False}


def _namespace() -> list[str]:
    """How to get a mount namespace of our own, if this machine grants one."""
    for flags in (["--mount"], ["--mount", "--map-root-user"]):
        command = [shutil.which("unshare") or "", *flags, "--propagation", "private"]
        if command[0] and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


NAMESPACE = _namespace()

ON_A_SMALL_DISK = """
import os, subprocess, sys
from pathlib import Path
from nasos.errors import LedgerError
from nasos.ledger import Ledger, read, verify
place = Path(sys.argv[1])
ledger = Ledger(place / "ledger" / "events.jsonl", "tester", limit=4000)
told, refused = [], []
for n in range(3000):
    try:
        told.append(ledger.append("secret.write", f"app/{n}").target)
    except LedgerError as error:
        refused.append(error)
        if len(refused) == 20:
            break
assert refused, "the disk never got full"
assert all("no space left" in error.message or "only part" in error.message for error in refused), refused[0].message
assert all("df -h" in error.hint for error in refused)
assert verify(ledger.path).intact
assert [event.target for event in read(ledger.path)] == told, "exactly what was acknowledged"
(place / "ballast").unlink()
told.append(ledger.append("secret.write", "again").target)
assert [event.target for event in read(ledger.path)] == told
subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
try:
    ledger.append("secret.write", "never")
except LedgerError as error:
    assert "read-only" in error.message and "NASOS_HOME" in error.hint, error.message
else:
    raise AssertionError("written to a read-only disk")
assert [event.target for event in read(ledger.path)] == told
print("held", len(told))
"""


if NAMESPACE:  # a machine that grants none has the injected faults above

    @pytest.mark.parametrize("options", ["size=128k", "size=1m,nr_inodes=6"])
    def test_the_ledger_on_a_real_small_disk(tmp_path: Path, options: str) -> None:
        """A tmpfs that gets full (of bytes, or of inodes), has room again, and is then read-only."""
        script = 'mount -t tmpfs -o $2 none $0 && head -c 64k /dev/zero > $0/ballast && exec "$1" -c "$3" $0'
        done = subprocess.run(
            [*NAMESPACE, "sh", "-c", script, str(tmp_path), sys.executable, options, ON_A_SMALL_DISK],
            capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.stdout.startswith("held"), done.stderr
