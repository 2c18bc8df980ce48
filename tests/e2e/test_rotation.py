"""Rotation on the trading bot of the walk: what was open stays open, what was valid before is refused after."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

import pytest
from psycopg import sql

from fixtures.stack import Walk
from nasos.database import Endpoint, Login, connect
from nasos.secret import Secret


def rotation_of(walk: Walk, *arguments: str) -> str:
    """`rotate_secrets.sh` with these options; what it printed."""
    return walk.run("./scripts/rotate_secrets.sh", *arguments).stdout


def test_everything_rotates_under_the_trading_bot(bot: Walk) -> None:
    """Database login and JWT secrets are new versions; the bot is the same process, proven healthy, its trades open."""
    before = {row["name"]: row for row in bot.json("rotate", "list")}
    pid = bot.pid("bot")
    printed = rotation_of(bot, "--all")
    assert "the old password is refused" in printed
    assert "jwt_secret_key of before refused" in printed
    assert "ws_token of before refused" in printed
    after = {row["name"]: row for row in bot.json("rotate", "list")}
    for name in ("bots/nasos/db", "bots/nasos/jwt"):
        assert after[name]["version"] == before[name]["version"] + 1
    assert bot.healthy()
    assert bot.pid("bot") == pid


def test_a_rollback_brings_the_database_login_back_with_the_same_proofs(bot: Walk) -> None:
    """The value of before is current again, as a new version, and what was current is refused."""
    rotation_of(bot, "--db")
    printed = rotation_of(bot, "--rollback", "bots/nasos/db")
    assert "the old password is refused" in printed
    assert bot.healthy()


def test_a_dry_run_changes_nothing(bot: Walk) -> None:
    """It says what would be done, and every version is the same afterwards."""
    before = bot.json("rotate", "list")
    assert "would make a new version" in rotation_of(bot, "--all", "--dry-run")
    assert "would go back to version" in rotation_of(bot, "--rollback", "bots/nasos/db", "--dry-run")
    assert bot.json("rotate", "list") == before


def test_the_ledger_and_the_log_tell_each_step_and_no_value(bot: Walk) -> None:
    """Set, test, promote, deliver, retire; the values of before and after stand in neither."""
    rotation_of(bot, "--db")
    password = bot.secret("bots/nasos/db", "password")
    events = bot.json("ledger", "show", "-n", "200")
    steps = [event["detail"]["step"] for event in events if event["event"] == "rotation.step"]
    assert steps[-5:] == ["set", "test", "promote", "deliver", "retire"]
    log = (bot.home / "log" / "rotate.log").read_text()
    assert "rotation.end" in log
    assert password not in log
    assert password not in f"{events}"


def test_the_doctor_finds_and_mends_a_password_that_was_changed_by_hand(bot: Walk) -> None:
    """PostgreSQL no longer takes what Vault holds: said, mended with Vault's, and the bot is healthy."""
    assert bot.json("rotate", "doctor")
    login = bot.secret("bots/nasos/db", "username")
    admin = Login(bot.secret("postgres/admin", "username"), Secret(bot.secret("postgres/admin", "password")))
    with connect(Endpoint(bot.port + 2, bot.ca_file), admin) as db:
        db.execute(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(login)))
    looked = bot.nasos("rotate", "doctor", "--dry-run", check=False)
    assert (looked.returncode, "what is stored is refused" in looked.stdout) == (1, True)
    assert [row["health"] for row in bot.json("rotate", "doctor")][:2] == ["mended", "sound"]
    assert bot.healthy()


def test_the_doctor_lets_the_administrator_in_again(bot: Walk) -> None:
    """PostgreSQL no longer takes what Vault holds of him, as with a Vault of another day: mended, the bot is well."""
    pid, login = bot.pid("bot"), bot.secret("postgres/admin", "username")
    admin = Login(login, Secret(bot.secret("postgres/admin", "password")))
    with connect(Endpoint(bot.port + 2, bot.ca_file), admin) as db:
        db.execute(sql.SQL("ALTER ROLE {} PASSWORD NULL").format(sql.Identifier(login)))
    looked = bot.nasos("rotate", "doctor", "postgres/admin", "--dry-run", check=False)
    assert (looked.returncode, "what is stored is refused" in looked.stdout) == (1, True)
    assert [row["health"] for row in bot.json("rotate", "doctor", "postgres/admin")] == ["mended"]
    bot.until(bot.healthy, 120)
    assert bot.pid("bot") == pid


def test_a_rehearsal_says_that_the_database_login_can_rotate(bot: Walk) -> None:
    """And changes nothing."""
    before = bot.json("rotate", "list")
    names = ("bots/nasos/db", "bots/nasos/jwt", "bots/nasos/password", "postgres/admin", "gateway/signing")
    said = bot.nasos("rotate", "rehearse", *names).stdout
    assert all(f"✓ {name} can rotate" in said for name in names)
    assert bot.json("rotate", "list") == before


def test_what_leaked_cannot_come_back(bot: Walk) -> None:
    """The values of before are destroyed in Vault: a rollback finds nothing to go back to."""
    assert "destroyed" in bot.nasos("rotate", "now", "bots/nasos/password", "--leaked").stdout
    refused = bot.nasos("rotate", "rollback", "bots/nasos/password", check=False)
    assert (refused.returncode, "no version before the present one" in refused.stderr) == (3, True)
    assert bot.healthy()


OWN = """
[rotation.secrets."app/own"]
rotator = "random"
[rotation.secrets."app/commanded"]
rotator = "command"
program = [{python}, {program}, {accepts}, "honest"]
overlap = 0
"""


@pytest.fixture
def own(bot: Walk) -> Iterator[Walk]:
    """Two secrets of the user's own, one with a program of his; named in nasos.toml, which `up` has read."""
    document, accepts = bot.project / "nasos.toml", bot.project / "accepts.json"
    before = document.read_text() if document.exists() else None
    accepts.write_text('["first value"]')
    accepts.chmod(0o666)
    bot.project.chmod(0o777)
    program = bot.project / "tests" / "fixtures" / "rotator_program.py"
    values = {"python": bot.project / ".venv" / "bin" / "python", "program": program, "accepts": accepts}
    for name in ("app/own", "app/commanded"):
        bot.nasos("secret", "set", name, stdin="first value")
    document.write_text((before or "") + OWN.format(**{key: f'"{value}"' for key, value in values.items()}))
    try:
        bot.run("./nasos", "up")
        yield bot
    finally:
        document.unlink() if before is None else document.write_text(before)
        bot.project.chmod(0o755)
        bot.run("./nasos", "up")


def test_secrets_of_the_users_own_rotate_and_no_others(own: Walk) -> None:
    """As nasos.toml says; the target of a program takes the new one and not the old; a rollback brings it back."""
    first = own.secret("app/own", "value")
    assert "rotated" in own.nasos("rotate", "now", "app/own").stdout
    assert own.secret("app/own", "value") != first
    assert "refuses the old one" in own.nasos("rotate", "now", "app/commanded").stdout
    accepted = json.loads((own.project / "accepts.json").read_text())
    assert accepted == [own.secret("app/commanded", "value")] != ["first value"]
    own.nasos("rotate", "rollback", "app/commanded")
    assert json.loads((own.project / "accepts.json").read_text()) == ["first value"]
    refused = own.nasos("rotate", "now", "app/anything", check=False)
    assert refused.returncode == 2
    assert "nothing rotates under the name app/anything" in refused.stderr


def test_what_is_no_record_rotates_by_the_same_command(bot: Walk) -> None:
    """The administrator, the gateway's keys, Vault's keyring, a SecretID: each proven, the bot healthy, all told."""
    for name, proof in {
        "postgres/admin": "the old password is refused",
        "gateway/signing": "signs and verifies",
        "vault/keyring": "what was written before is readable",
        "credentials/backup": "old ones are refused",
    }.items():
        assert proof in bot.nasos("rotate", "now", name).stdout
    assert bot.healthy()
    assert "no way back" in bot.nasos("rotate", "rollback", "vault/keyring", check=False).stderr
    ended = [event for event in bot.json("ledger", "show", "-n", "60") if event["event"] == "rotation.end"]
    assert {"vault/keyring", "credentials/backup"} <= {event["target"] for event in ended if event["outcome"] == "ok"}


@pytest.mark.long
def test_fifty_rotations_of_everything_under_the_trading_bot(bot: Walk) -> None:
    """Same process, trades kept, healthy; prints how long the bot's API was away at most."""
    trades, pid = opened(bot), bot.pid("bot")
    gap, stop = Gap(bot), threading.Event()
    watching = threading.Thread(target=gap.watch, args=(stop,))
    watching.start()
    begun = time.monotonic()
    try:
        for _ in range(50):
            for name in ("db", "jwt", "password"):
                bot.nasos("rotate", "now", f"bots/nasos/{name}")
    finally:
        stop.set()
        watching.join()
    seconds = time.monotonic() - begun
    print(f"\n150 rotations in {seconds:.0f} s; {gap.answers} answers, longest gap {gap.longest:.2f} s")  # noqa: T201
    assert bot.pid("bot") == pid
    assert bot.healthy()
    # Some may have been closed at their target meanwhile; none is lost.
    assert trades <= known(bot)
    assert gap.answers


def opened(bot: Walk) -> set[int]:
    """Ids of the open trades, as its database has them."""
    return trades_where(bot, "is_open")


def known(bot: Walk) -> set[int]:
    """Ids of all its trades."""
    return trades_where(bot, "true")


def trades_where(bot: Walk, condition: LiteralString) -> set[int]:
    """Looked up in its database."""
    login = Login(bot.secret("bots/nasos/db", "username"), Secret(bot.secret("bots/nasos/db", "password")), "nasos")
    with connect(Endpoint(bot.port + 2, bot.ca_file), login) as db:
        return {int(row[0]) for row in db.execute(sql.SQL("SELECT id FROM trades WHERE ") + sql.SQL(condition))}


@dataclass
class Gap:
    """Asks the bot's API through nginx, again and again."""

    bot: Walk
    answers: int = 0
    longest: float = 0.0

    def watch(self, stop: threading.Event) -> None:
        """Until told to end."""
        last = time.monotonic()
        while not stop.is_set():
            with contextlib.suppress(OSError):
                if self.bot.https("/api/v1/ping", self.bot.bearer)[0] == 200:
                    self.answers += 1
                    self.longest = max(self.longest, time.monotonic() - last)
                    last = time.monotonic()
            stop.wait(0.02)
        self.longest = max(self.longest, time.monotonic() - last)
