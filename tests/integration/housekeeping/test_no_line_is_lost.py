"""Writers at full speed, rotation as often as it can, housekeeping killed in the middle: every line is there once."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.edge import Edge
from fixtures.housekeeping import Housekeeper, duties, everything, keeping, log, until_packed
from fixtures.stack import until
from fixtures.vault import VaultUnderTest
from nasos.errors import SecretNotFound
from nasos.stack.housekeeping.duties import Duties
from nasos.vault.client import VaultApi


@contextlib.contextmanager
def writing(one: Callable[[str], object], name: str, writers: int = 3) -> Iterator[list[str]]:
    """Call ``one`` with fresh markers, as fast as it goes, from several threads; yields those that were answered."""
    answered: list[str] = []
    over = threading.Event()

    def work(number: int) -> None:
        count = 0
        while not over.is_set():
            marker = f"{name}-{number}-{count}-end"
            one(marker)
            answered.append(marker)
            count += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        over.set()
        for thread in threads:
            thread.join()


def stir(plan: Duties, pids: dict[str, int]) -> None:
    """Kill housekeeping at random moments, then let it finish."""
    Housekeeper(plan, pids).killed_at_random(8, seed=3)
    with keeping(plan, **pids):
        for each in plan.logs:
            until_packed(each, 3)


def test_no_audit_line_is_lost_by_real_openbao(vault: VaultUnderTest, tmp_path: Path) -> None:
    """Each request stands in both audit logs exactly twice (request and response), in order of their numbers."""
    assert vault.server.process
    logs = [log(path, "vault", signal.SIGHUP) for path in vault.server.audit_files]
    local = threading.local()

    def read(marker: str) -> None:
        if not hasattr(local, "api"):
            local.api = VaultApi(vault.address, vault.ca_file)
        with contextlib.suppress(SecretNotFound):
            local.api.request("GET", f"kv/data/nasos/app/{marker}", token=vault.root_token)

    def all_written() -> bool:
        read("after")
        return all(path.is_file() and path.stat().st_size for path in vault.server.audit_files)

    with writing(read, "line") as answered:
        stir(duties(tmp_path, *logs), {"vault": vault.server.process.pid})
    # The last one may have been ended between rename and signal; the session's other tests read the log by its name.
    vault.server.process.send_signal(signal.SIGHUP)
    until(all_written, 30)
    assert len(answered) > 200
    for each in logs:
        seen = Counter(re.findall(rb'"path":"kv/data/nasos/app/(line-[\d-]+-end)"', b"\n".join(everything(each))))
        assert {marker: seen[marker.encode()] for marker in answered} == dict.fromkeys(answered, 2)


@pytest.mark.parametrize("binary", ["wheel"], indirect=True)
def test_no_access_line_is_lost_by_real_nginx(edge: Edge, tmp_path: Path) -> None:
    """Each answered request stands in the access log exactly once, whatever the answer was."""
    logs = [log(edge.directory / name, "nginx", signal.SIGUSR1) for name in ("access.log", "error.log")]
    access = logs[0]
    with writing(lambda marker: edge.get(f"/api/v1/{marker}"), "hit") as answered:
        Housekeeper(duties(tmp_path, *logs, above=4096), {"nginx": edge.pid}).killed_at_random(8, seed=4)
        with keeping(duties(tmp_path, *logs, above=4096), nginx=edge.pid):
            until_packed(access, 3)

    def seen() -> Counter[str]:
        found = re.findall(rb"/api/v1/(hit-[\d-]+-end)", b"\n".join(everything(access)))
        return Counter(marker.decode() for marker in found)

    assert len(answered) > 50
    # nginx logs a request after its answer went out: the last one of each writer may not be there yet.
    until(lambda: seen().keys() >= set(answered), 10)
    times = seen()
    assert {marker: times[marker] for marker in answered} == dict.fromkeys(answered, 1)
