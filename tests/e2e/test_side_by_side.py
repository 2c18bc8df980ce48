"""A second stack beside the first, opened by a person: own settings, ports and secrets, and bad days of its own.

Its settings lie in a directory of their own, its state in one with an inconvenient name; ``./nasos`` is the checkout's.
As an ordinary user only, since two stacks of root differ in nothing that is tried here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.stack import Walk, api_login, free_base_port, until

pytestmark = pytest.mark.parametrize("stack", ["ordinary"], indirect=True, scope="session")

TRIED = """
import sys
from pathlib import Path
from nasos.errors import Error
from nasos.settings import AppRole, VaultConnection
from nasos.vault import VaultClient
address, ca, credential = sys.argv[1:]
try:
    login = AppRole("", secret_id_file=Path(credential))
    VaultClient(VaultConnection(address, Path(ca), login), prefix="nasos").read("_meta/bootstrap")
    print("let in")
except Error as error:
    print(type(error).__name__)
"""


def settings(walk: Walk, strategy: str = "NASOSv5_mod3", seal: str = "shamir") -> None:
    """Write the second stack's nasos.toml; its interpreter has another name than the default's."""
    python = (walk.project / "nasos").resolve().parent / ".venv-bot" / "bin" / "python3"
    toml = f'[vault]\nseal = "{seal}"\n[bot]\nstrategy = "{strategy}"\npython = "{python}"\n'
    (walk.project / "nasos.toml").write_text(toml)


@pytest.fixture(scope="module")
def second(stack: Walk) -> Iterator[Walk]:
    """A second stack, up for the first time."""
    place = stack.project.parent / "second"
    place.mkdir()
    (place / "nasos").symlink_to(stack.project / "nasos")
    environment = stack.environment | {
        "NASOS_HOME": str(place / "my státe (2), & more"), "NASOS_KEY_DIR": str(place / "key"),
    }  # fmt: skip
    walk = replace(
        stack, project=place, home=Path(environment["NASOS_HOME"]), port=free_base_port(), environment=environment
    )
    settings(walk)
    if walk.user:
        subprocess.run(["/usr/bin/chown", "-R", walk.user, str(place)], check=True)
    try:
        yield replace(walk, setup=walk.nasos("up", "--port", str(walk.port)))
    finally:
        walk.nasos("down", check=False)
        shutil.rmtree(place)


def share(walk: Walk) -> str:
    """The key share of the recovery file."""
    [key] = json.loads((walk.home / "recovery.json").read_text())["keys"]
    return str(key)


def states(walk: Walk) -> dict[str, str]:
    """Program -> what status says of it."""
    return {entry["name"]: entry["evidence"] for entry in walk.json("status")["programs"]}


def test_both_are_healthy_at_once_with_nothing_in_common(stack: Walk, second: Walk) -> None:
    """Own id, ports, CA and secrets; and no unseal key was made for the one that a person opens."""
    assert stack.healthy()
    assert second.healthy()
    records = [json.loads((walk.home / "stack.json").read_text()) for walk in (stack, second)]
    assert records[0]["id"] != records[1]["id"]
    assert not set(records[0]["ports"].values()) & set(records[1]["ports"].values())
    assert stack.ca_file.read_bytes() != second.ca_file.read_bytes()
    for path, field in (("bots/nasos/api", "password"), ("bots/nasos/db", "password"), ("bots/nasos/api", "ws_token")):
        assert stack.secret(path, field) != second.secret(path, field)
    assert list(second.project.rglob("unseal.key")) == []
    recovery = json.loads((second.home / "recovery.json").read_text())
    assert (recovery["kind"], recovery["threshold"], len(recovery["keys"])) == ("unseal key", 1, 1)
    assert "it opens Vault after each start" in second.setup.stdout


def test_a_credential_of_the_one_is_refused_by_the_other(stack: Walk, second: Walk) -> None:
    """Its CA is another one; and with the right CA the RoleID is unknown. Its own credential is let in."""
    python = str(stack.project / ".venv" / "bin" / "python")

    def tried(address: Walk, ca: Walk, credential: Walk) -> str:
        words = (
            f"https://127.0.0.1:{address.port + 1}",
            str(ca.ca_file),
            str(credential.home / "credentials/operator.json"),
        )
        return stack.run(python, "-c", TRIED, *words).stdout.strip()

    assert tried(second, second, second) == "let in"
    assert tried(second, second, stack) == "CredentialRejected"
    assert tried(second, stack, stack) == "CertificateRefused"
    assert api_login(second, "nasos", stack.secret("bots/nasos/api", "password")) is None


def test_the_bot_runs_by_the_settings_of_its_own_directory(second: Walk) -> None:
    """supervisord starts the launcher elsewhere; still it is this nasos.toml that says with which interpreter."""
    launcher = second.pid("bot")
    assert launcher
    bots = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    [started] = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] for pid in bots]
    assert started.endswith(b".venv-bot/bin/python3")


def test_the_bot_trades_on_while_its_vault_is_sealed(second: Walk) -> None:
    """kill -9 of Vault: it comes back sealed, status says so and what to type, the bot stays, a share opens it."""
    bot, vault = second.pid("bot"), second.pid("vault")
    assert vault
    os.kill(vault, signal.SIGKILL)
    until(lambda: "sealed" in states(second)["vault"], 30)
    told = second.nasos("status", check=False)
    assert told.returncode == 1
    assert "nasos: hint: nasos vault unseal" in told.stderr
    assert "it answers; its login cannot be proven: vault is sealed" in states(second)["bot"]
    assert second.pings()
    wrong = second.nasos("vault", "unseal", stdin="AAAA" * 11 + "\n", check=False)
    assert wrong.returncode == 3
    assert share(second) not in wrong.stderr
    assert "vault is unsealed" in second.nasos("vault", "unseal", stdin=share(second) + "\n").stdout
    until(second.healthy, 60)
    assert second.pid("bot") == bot


def test_after_a_start_vault_waits_for_a_person(second: Walk) -> None:
    """`up` says what to type; with the share it goes on to a bot that cannot start, and says why; mended, it ends."""
    second.nasos("down")
    done = second.nasos("up", check=False)
    assert done.returncode == 3
    assert "vault is sealed" in done.stderr
    assert "./nasos vault unseal, then ./nasos up" in done.stderr
    second.nasos("vault", "unseal", stdin=share(second) + "\n")
    settings(second, strategy="NoSuchStrategy")
    failed = second.nasos("up", check=False)
    assert failed.returncode == 3
    assert "Impossible to load Strategy 'NoSuchStrategy'" in failed.stderr
    assert "nasos: hint: ./nasos logs bot" in failed.stderr
    settings(second)
    second.nasos("up")
    assert second.healthy()


def test_the_seal_of_a_vault_cannot_be_changed_by_a_setting(second: Walk) -> None:
    """Refused before anything is touched; all parts run on."""
    settings(second, seal="static")
    done = second.nasos("up", check=False)
    settings(second)
    assert done.returncode == 3
    assert 'seal = "shamir"' in done.stderr
    assert second.healthy()
    shutil.rmtree(second.project / "key", ignore_errors=True)


def test_another_port_is_refused_while_it_runs(second: Walk) -> None:
    """And says which one it has."""
    done = second.nasos("up", "--port", str(free_base_port()), check=False)
    assert done.returncode == 3
    assert f"the stack runs on port {second.port}" in done.stderr
    assert "./nasos down" in done.stderr


def test_logs_end_at_ctrl_c(second: Walk) -> None:
    """`logs -f` shows what comes in; Ctrl-C is exit code 130, without a word."""
    with subprocess.Popen(
        [second.project / "nasos", "logs", "-f", "-n", "1", "nginx"], cwd=second.project, env=second.environment,
        user=second.user, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  a test run in the background ignores it
    ) as following:  # fmt: skip
        assert following.stdout
        assert following.stderr
        assert following.stdout.readline()
        os.kill(following.pid, signal.SIGINT)
        assert following.wait(10) == 130
        assert following.stderr.read() == ""


def test_only_programs_can_be_restarted(second: Walk) -> None:
    """The supervisor is none of them."""
    done = second.nasos("restart", "supervisord", check=False)
    assert done.returncode == 2
    assert "'supervisord' is not one of" in done.stderr


def test_status_of_an_orphaned_stack_says_what_to_do(stack: Walk, second: Walk) -> None:
    """kill -9 of supervisord: what runs on is named; down ends it, twice is fine, and the first stack never noticed."""
    supervisor = int((second.home / "run" / "supervisord" / "process").read_text().split(" ", 1)[0])
    orphan = second.pid("vault")
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: "without its supervisor" in states(second)["vault"], 10)
    told = second.nasos("status", check=False)
    assert told.returncode == 1
    assert "orphaned" in told.stdout
    assert "nasos: hint: ./nasos up" in told.stderr
    refused = second.nasos("restart", "nginx", check=False)
    assert refused.returncode == 3
    assert "the stack is not running" in refused.stderr
    assert "left by a killed supervisor" in second.nasos("down").stderr
    until(lambda: not Path(f"/proc/{orphan}").exists(), 10)
    assert "nothing was running" in second.nasos("down").stderr
    assert stack.healthy()
