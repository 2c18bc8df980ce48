"""Secrets reach the bot in memory, whole, and stand nowhere else."""

from __future__ import annotations

import base64
import json
import os
import signal
from pathlib import Path
from urllib.parse import quote

from fixtures.postgres import BotDatabase
from nasos.bot.credential import read
from simulators.fake_freqtrade import digest
from simulators.launched import (
    API,
    DATABASE,
    EXCHANGE,
    LOGIN,
    SECOND_LOGIN,
    HeldVault,
    Launched,
    Start,
    eventually,
    traces,
)


def process_text(pid: int) -> bytes:
    """Arguments and environment, as everybody who may look sees them."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()


def test_every_record_arrives_under_the_name_that_freqtrade_wants(start: Start) -> None:
    """The document holds each secret of Vault, the exchange key as ``api_key`` whatever it was called."""
    report = start().first()
    wanted = {f"api_server.{name}": digest(value) for name, value in LOGIN.items()}
    wanted |= {"exchange.api_key": digest(EXCHANGE["key"]), "exchange.secret": digest(EXCHANGE["secret"])}
    assert report["document"] == wanted


def test_the_bots_environment_and_arguments_are_clean(start: Start) -> None:
    """No secret and no setting of ours in environment or arguments of launcher and bot."""
    launched = start()
    report = launched.first()
    assert not traces(process_text(report["pid"]))
    assert not [name for name in report["environ"] if name.startswith(("VAULT_", "NASOS_", "SOMETHING"))]
    assert not traces(Path(f"/proc/{launched.process.pid}/cmdline").read_bytes())


def test_no_secret_is_written_to_disk(
    start: Start, held_vault: HeldVault, tmp_path: Path, planted_database: BotDatabase
) -> None:
    """State directory, logs, ledger and everything else that the run wrote hold no planted value."""
    held_vault.put("db", DATABASE)
    launched = start("blab", database_url=planted_database.url, restart=False)
    launched.process.wait(30)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert launched.out in files
    assert not {str(path): found for path in files if (found := traces(path.read_bytes()))}


def test_the_search_for_traces_finds_a_planted_one(tmp_path: Path) -> None:
    """The negative twin: a leak of each form is found."""
    value = API["password"]
    for form in (value, base64.b64encode(value.encode()).decode(), value.encode().hex(), quote(value, safe="")):
        leak = tmp_path / "leak"
        leak.write_text(json.dumps({"x": form}))
        assert traces(leak.read_bytes()) == {value}


def test_the_bot_gets_its_own_descriptors_only(
    start: Start, held_vault: HeldVault, planted_database: BotDatabase
) -> None:
    """Standard ones, the order line and the page; no document, no lock, nothing that the launcher was given."""
    held_vault.put("db", DATABASE)
    fds = start(database_url=planted_database.url).first()["fds"]
    beyond = sorted(target.split(" ")[0] for fd, target in fds.items() if int(fd) > 2 and "/proc/" not in target)
    assert [target.partition(":[")[0] for target in beyond] == ["/memfd:nasos-database", "socket"]
    assert fds["0"] == "/dev/null"


def test_the_bot_cannot_change_what_it_was_handed(
    start: Start, held_vault: HeldVault, planted_database: BotDatabase
) -> None:
    """The credential page is sealed: not even its owner writes it, re-opened or not."""
    held_vault.put("db", DATABASE)
    assert start(database_url=planted_database.url).first()["writable"] is False


def test_the_database_login_is_on_the_page_and_not_in_the_document(
    start: Start, held_vault: HeldVault, planted_database: BotDatabase
) -> None:
    """The URL names plugin and descriptor; user and password are on that descriptor only."""
    held_vault.put("db", DATABASE)
    report = start(database_url=planted_database.url).first()
    assert report["login"] == [1, "testbot_a", digest(DATABASE["password"])]
    assert report["db_url"].startswith(f"{planted_database.url}&plugin=nasos&credfd=")
    assert not [key for key in report["document"] if "db" in key]


def test_a_new_database_login_replaces_the_old_one_while_the_bot_runs(
    start: Start, held_vault: HeldVault, planted_database: BotDatabase
) -> None:
    """Within a poll, in place, and told as an event without its value."""
    held_vault.put("db", DATABASE)
    launched = start(database_url=planted_database.url)
    launched.first()
    held_vault.put("db", SECOND_LOGIN)
    (event,) = eventually(lambda: [event for event in launched.events() if event.event == "bot.secret"])
    assert (event.target, event.detail["version"]) == ("bots/testbot/db", "2")
    assert page_of(launched) == (2, "testbot_b")
    assert launched.process.poll() is None


def test_a_changed_api_record_is_told_and_not_yet_used(start: Start, held_vault: HeldVault) -> None:
    """The event says that the next start uses it."""
    launched = start()
    launched.first()
    held_vault.put("api", {**API, "password": "planted-new-password-4G"})
    (event,) = eventually(lambda: [event for event in launched.events() if event.event == "bot.secret"])
    assert event.target == "bots/testbot/api"
    assert event.detail["applied"] == "in use after the next start of the bot"


def test_vault_going_away_leaves_the_bot_alone(
    start: Start, held_vault: HeldVault, planted_database: BotDatabase
) -> None:
    """One warning when it begins, one line when it is over, and the same bot all the time."""
    held_vault.put("db", DATABASE)
    launched = start(database_url=planted_database.url)
    pid = launched.first()["pid"]
    held_vault.vanish()
    eventually(lambda: [e for e in launched.events() if e.event == "bot.refresh"])
    held_vault.answer()
    eventually(lambda: b"refreshed again" in launched.error.read_bytes())
    assert [e.outcome.value for e in launched.events() if e.event == "bot.refresh"] == ["failed", "ok"]
    assert launched.error.read_bytes().count(b"cannot be refreshed") == 1
    assert [report["pid"] for report in launched.reports()] == [pid]


def test_a_bot_that_crashes_while_vault_is_away_starts_with_the_last_secrets(
    start: Start, held_vault: HeldVault
) -> None:
    """A restart does not need Vault."""
    launched = start(policy={"first_delay": 0.01})
    pid = launched.first()["pid"]
    held_vault.vanish()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(launched.reports()) == 2)
    reports = launched.reports()
    assert reports[1]["document"] == reports[0]["document"]


def test_the_first_start_needs_vault(start: Start, held_vault: HeldVault) -> None:
    """No secrets, no bot: exit 3, and nothing was started."""
    held_vault.vanish()
    launched = start()
    assert launched.process.wait(30) == 3
    assert not launched.reports()


def test_the_bots_output_is_redacted(start: Start) -> None:
    """Values in standard output and error, also on a last line without an end, are cut out; the words around stay."""
    launched = start("blab", restart=False)
    launched.process.wait(30)
    assert launched.out.read_text() == "password is [redacted]\n"
    assert "and half a line [redacted]" in launched.error.read_text()


def page_of(launched: Launched) -> tuple[int, str]:
    """Version and user on the page that the bot of ``launched`` holds."""
    report = launched.reports()[0]
    fd = next(fd for fd, target in report["fds"].items() if "nasos-database" in target)
    page = os.open(f"/proc/{report['pid']}/fd/{fd}", os.O_RDONLY)
    try:
        found = read(page)
    finally:
        os.close(page)
    return found.version, found.username
