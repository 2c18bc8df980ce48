"""``nasos run`` as it is typed, with a real OpenBao behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures.postgres import BotDatabase
from fixtures.vault import VaultUnderTest
from nasos.files import atomic_write
from nasos.ledger import Event, read
from nasos.secret import Secret
from nasos.vault import VaultClient
from simulators.fake_freqtrade import digest
from simulators.launched import API, DATABASE, EXCHANGE, JWT, LOGIN, alive, eventually, traces


@dataclass
class Terminal:
    """A directory with a configuration, and ``nasos`` typed there."""

    here: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """To its end."""
        return subprocess.run(
            [sys.executable, "-m", "nasos", "run", *words],
            capture_output=True, text=True, check=False, env=self.environment, cwd=self.here, timeout=60,
        )  # fmt: skip

    def bot(self, act: str, *options: str) -> subprocess.Popen[str]:
        """A bot, in the background; its report is in ``report``, its output in ``log``."""
        line = ["freqtrade", "trade", "-c", "base.json", "--report", str(self.here / "report"), "--act", act]
        with (self.here / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "nasos", "run", "--bot", "other", *options, "--", *line],
                stdout=log, stderr=log, text=True, env=self.environment, cwd=self.here,
            )  # fmt: skip
        self.started.append(process)
        return process

    def log(self) -> str:
        """What the bot and its launcher said."""
        return (self.here / "log").read_text()

    def reports(self) -> list[dict[str, object]]:
        """What the bot found at each start."""
        path = self.here / "report"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def terminal(
    tmp_path: Path, vault: VaultUnderTest, fake_python: Path, planted_database: BotDatabase
) -> Iterator[Terminal]:
    """With the session's Vault, and a bot that does as it is told."""
    (tmp_path / "nasos.toml").write_text(f'[bot]\nname = "other"\npython = "{fake_python}"\n')
    (tmp_path / "base.json").write_text(json.dumps({"db_url": planted_database.url}))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NASOS_PROJECT": str(tmp_path),
        "NASOS_HOME": str(vault.home),
        "VAULT_ADDR": vault.address,
        "VAULT_CACERT": str(vault.ca_file),
    }
    found = Terminal(tmp_path, environment)
    yield found
    for process in found.started:
        process.kill()
        process.wait()


@pytest.fixture
def root(vault: VaultUnderTest) -> Iterator[VaultClient]:
    """Writes what an operator and a rotator would have written."""
    with VaultClient(vault.root_connection, prefix="nasos") as client:
        for name, fields in (("api", API), ("jwt", JWT), ("exchange", EXCHANGE), ("db", DATABASE)):
            client.write(f"bots/other/{name}", {key: Secret(value) for key, value in fields.items()})
        client.write("app/db", {"value": Secret("planted-app-value-2K"), "user": Secret("me")})
        client.write("bots/nasos/api", {"password": Secret("of another bot")})
        yield client


@pytest.mark.usefixtures("root")
def test_isolated_the_environment_and_the_options_say_all(terminal: Terminal, fake_python: Path) -> None:
    """As supervisord starts it: neither a .env nor a nasos.toml on the way matters; without it they do."""
    (terminal.here / "nasos.toml").write_text("[bot]\npython = '/nowhere/python'\n")
    (terminal.here / ".env").write_text("VAULT_ADDR=https://203.0.113.1:8200\nthis line is broken\n")
    assert terminal.bot("exit:7", "--once", "--isolated", "--python", str(fake_python)).wait(60) == 7
    assert terminal.bot("exit:7", "--once").wait(60) == 2
    assert "line 2 is not NAME=value" in terminal.log()


@pytest.mark.usefixtures("root")
def test_a_bot_gets_its_records_from_vault_and_nobody_elses(terminal: Terminal) -> None:
    """Document and database login, as they stand in Vault; the ledger knows the start."""
    assert terminal.bot("exit:7", "--once").wait(60) == 7
    (report,) = terminal.reports()
    assert report["document"] == {
        **{f"api_server.{name}": digest(value) for name, value in LOGIN.items()},
        "exchange.api_key": digest(EXCHANGE["key"]),
        "exchange.secret": digest(EXCHANGE["secret"]),
    }
    assert isinstance(report["login"], list)
    assert report["login"][1:] == [DATABASE["username"], digest(DATABASE["password"])]
    events = list(read(Path(terminal.environment["NASOS_HOME"]) / "ledger" / "events.jsonl"))
    assert [(e.actor, e.event, e.target) for e in events[-2:]] == [
        ("bot-other", "bot.start", "other"),
        ("bot-other", "bot.exit", "other"),
    ]


@pytest.mark.parametrize("how", ["killed", "sealed"])
def test_the_bot_trades_on_without_vault_and_catches_up(
    how: str, terminal: Terminal, vault: VaultUnderTest, root: VaultClient
) -> None:
    """Vault killed or sealed under a running bot: same bot, one warning; back again, a new login is taken over."""
    launcher = terminal.bot("hang")
    eventually(lambda: "ready" in terminal.log())
    pid = int(str(terminal.reports()[0]["pid"]))
    if how == "killed":
        vault.kill()
    else:
        vault.api.request("PUT", "sys/seal", token=vault.root_token)
    eventually(lambda: "the bot goes on with those it has" in terminal.log(), 60)
    vault.restart()
    version = root.write("bots/other/db", {name: Secret(value) for name, value in DATABASE.items()})
    eventually(lambda: "secrets are refreshed again" in terminal.log(), 60)
    ledger = Path(terminal.environment["NASOS_HOME"]) / "ledger" / "events.jsonl"
    eventually(lambda: [e for e in read(ledger) if e.event == "bot.secret" and e.detail["version"] == str(version)])
    assert alive(pid)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(30) == 130
    assert len(terminal.reports()) == 1


@pytest.mark.usefixtures("root")
def test_another_program_reads_its_secret_from_a_file(terminal: Terminal) -> None:
    """The path is in the variable, the value is not, and the environment is clean."""
    done = terminal.run("--file", "F=app/db", "--file", "U=app/db:user", "--", "sh", "-c", 'env; cat "$F"; cat "$U"')
    assert done.stdout.endswith("planted-app-value-2Kme")
    shown = done.stdout.removesuffix("planted-app-value-2Kme")
    assert "F=/proc/self/fd/" in shown
    assert not traces(shown.encode(), ["planted-app-value-2K"])
    assert "VAULT_" not in shown
    assert "NASOS_" not in shown


@pytest.mark.usefixtures("root")
def test_another_program_gets_its_secret_in_a_variable_when_asked(terminal: Terminal) -> None:
    """And only what it was asked to keep besides."""
    done = terminal.run("--env", "V=app/db", "--keep", "NASOS_HOME", "--", "sh", "-c", 'echo "$V"; exit 9')
    assert (done.stdout, done.returncode) == ("planted-app-value-2K\n", 9)


def test_a_program_without_secrets_needs_no_vault(terminal: Terminal) -> None:
    """A clean environment is all it gets."""
    terminal.environment |= {"VAULT_ADDR": "https://127.0.0.1:1"}
    assert terminal.run("--", "env").stdout.splitlines()[0].startswith(("PATH=", "HOME="))


Words = Callable[[], list[str]]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ("--file F=bots/other/api:password -- true", "bots/other/api", 3),
        ("--file F=app/none -- true", "app/none", 3),
        ("--file F=app/db:nothing -- true", "no field 'nothing'", 3),
        ("--file F -- true", "is not variable=path", 2),
        ("--role nobody --file F=app/db -- true", "credential for the role nobody", 2),
        ("--bot other --file F=app/db -- freqtrade trade", "for other programs", 2),
        ("--bot other -- python", "freqtrade's own command", 2),
        ("--bot ../x -- freqtrade trade -c base.json", "cannot be a bot's name", 2),
        ("--bot third -- freqtrade trade -c base.json", "credential for the role bot-third", 2),
        ("--bot other -- freqtrade trade -c none.json", "none.json does not exist", 3),
        ("--", "missing argument", 2),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_started(terminal: Terminal, words: str, said: str, code: int) -> None:
    """One line, a hint, and no traceback."""
    done = terminal.run(*words.split())
    assert said in done.stderr.lower()
    assert "nasos: hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == code
    assert not terminal.reports()


def events_of(terminal: Terminal, name: str, after: int) -> list[Event]:
    """Events with this name, besides the first ``after`` of all."""
    found = list(read(Path(terminal.environment["NASOS_HOME"]) / "ledger" / "events.jsonl"))
    return [event for event in found[after:] if event.event == name]


def test_a_refused_login_is_told_with_what_to_type(
    terminal: Terminal, root: VaultClient, vault: VaultUnderTest
) -> None:
    """Token revoked, SecretID worth nothing: the bot goes on, and ledger and log say so once; mended, they say that."""
    before = len(read(Path(terminal.environment["NASOS_HOME"]) / "ledger" / "events.jsonl"))
    process = terminal.bot("hang")
    eventually(lambda: "ready" in terminal.log(), 60)
    path = vault.home / "credentials" / "bot-other.json"
    good = path.read_bytes()
    try:
        atomic_write(path, json.dumps({**json.loads(good), "secret_id": "no-such-secret-id"}).encode())
        for accessor in root.session.request("LIST", "auth/token/accessors")["data"]["keys"]:  # type: ignore[index]
            meta = root.session.exchange("POST", "auth/token/lookup-accessor", {"accessor": accessor}).body.get("data")
            if isinstance(meta, dict) and (meta.get("meta") or {}).get("role_name") == "nasos-bot-other":
                root.session.request("POST", "auth/token/revoke-accessor", {"accessor": accessor})
        (failed,) = eventually(lambda: events_of(terminal, "bot.refresh", before), 60)
        assert failed.detail == {
            "reason": "vault refused the RoleID or SecretID: wrong, expired or used up",
            "hint": "nasos vault credentials renew",
        }
        assert "hint: nasos vault credentials renew" in terminal.log()
    finally:
        atomic_write(path, good)
    eventually(
        lambda: [event.outcome.value for event in events_of(terminal, "bot.refresh", before)] == ["failed", "ok"], 60
    )
    assert process.poll() is None
    assert len(terminal.reports()) == 1


LEDGER = """
import os, pathlib, sys
from nasos.cli.run import ledger_path
if os.geteuid() == 0:
    os.setuid(65534)
print(ledger_path(pathlib.Path(sys.argv[1])).relative_to(sys.argv[1]))
"""


def test_a_bot_that_may_not_write_the_operators_ledger_keeps_its_own() -> None:
    """As root each service has its own user, and none of them can forge what the operator did."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        home.chmod(0o711)
        (home / "ledger").mkdir()
        (home / "ledger").chmod(0o511)
        ask = [sys.executable, "-c", LEDGER, directory]
        assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == "run/bot/events.jsonl\n"
        (home / "ledger").chmod(0o777)
        assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == "ledger/events.jsonl\n"
