"""What one stack has to keep in order: complete, without a secret, and nothing of a secret in reach."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from nasos.bot.sandbox import enter, supported
from nasos.settings import Settings, load
from nasos.stack.home import Home
from nasos.stack.housekeeping.__main__ import confinement
from nasos.stack.housekeeping.duties import Duties, audit_files, duties, second_device
from nasos.stack.programs import ORDER
from nasos.stack.users import Users


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a stack in this directory."""
    return load({"NASOS_HOME": str(tmp_path / "home")}, tmp_path, files=False)


@pytest.fixture
def home(settings: Settings) -> Home:
    """Its directories."""
    home = Home(settings.home, Users(separate=False))
    home.prepare("nasos")
    return home


def test_every_log_of_the_stack_is_looked_after(home: Home, settings: Settings) -> None:
    """Each program's output, supervisord's own, both audit logs, nginx's two."""
    names = {each.path.relative_to(home.root).as_posix() for each in duties(home, settings).logs}
    assert names == {
        *(f"log/{name}.log" for name in (*ORDER, "supervisord", "rotate")),
        *("audit/primary/audit.log", "audit/second/audit.log", "nginx/access.log", "nginx/error.log"),
    }


def test_they_travel_as_one_argument(home: Home, settings: Settings) -> None:
    """Encoded and decoded they are the same."""
    made = duties(home, settings)
    assert Duties.decode(made.encode()) == made


def test_a_second_audit_log_elsewhere_is_another_device(settings: Settings) -> None:
    """Vault never becomes active when a device of the same name has moved; so its name follows its path."""
    assert second_device(settings) == "second"
    moved = [structs.replace(settings.housekeeping, second_audit_dir=place) for place in ("/srv/a", "/srv/b")]
    names = {second_device(replaced(settings, each)) for each in moved}
    assert len(names) == 2
    assert "second" not in names
    home = Home(settings.home, Users(separate=False))
    assert audit_files(home, replaced(settings, moved[0]))[1] == Path("/srv/a/audit.log")


def replaced(settings: Settings, housekeeping: object) -> Settings:
    """The settings with another table."""
    from dataclasses import replace

    return replace(settings, housekeeping=housekeeping)  # type: ignore[arg-type]


def outcome(work: Callable[[], object]) -> str:
    """Whether it was allowed."""
    try:
        work()
    except PermissionError:
        return "refused"
    return "done"


def test_no_secret_is_in_its_reach(home: Home, settings: Settings, tmp_path: Path) -> None:
    """Confined, it writes to logs and ledger, and reads no key, credential, state or home; unconfined it could."""
    secrets = [
        home.credentials / "operator.json", home.tls / "ca.key", home.root / "vault" / "bootstrap.json",
        home.root / "recovery.json", home.run("vault") / "process", tmp_path / "unseal.key",
    ]  # fmt: skip
    for path in secrets:
        path.touch(mode=0o600)
    own = [path.parent / "probe" for path in (home.ledger, *audit_files(home, settings), home.log / "x")]
    assert {outcome(path.read_bytes) for path in secrets} == {"done"}
    plan = duties(home, settings)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            enter(confinement(plan))
            said = [outcome(path.read_bytes) for path in secrets] + [outcome(path.touch) for path in own]
            os.write(write, " ".join(said).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read().split()
    os.waitpid(pid, 0)
    allowed = "refused" if supported() else "done"
    assert said == [allowed] * len(secrets) + ["done"] * len(own)
