"""Things die; the stack comes back and nothing stored is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest

from fixtures.stack import Walk, until
from nasos.ledger import Event
from nasos.notify import worth


def _trades(walk: Walk) -> int:
    until(lambda: walk.https("/api/v1/count", walk.bearer)[0] == 200, 90)
    _, _, body = walk.https("/api/v1/trades", walk.bearer)
    return int(json.loads(body)["total_trades"]) + len(json.loads(walk.https("/api/v1/status", walk.bearer)[2]))


@pytest.mark.parametrize(
    "program", ["vault", "exchange", "postgres", "nginx", "gateway", "bot", "housekeeping", "rotator"]
)
def test_a_killed_program_comes_back(bot: Walk, program: str) -> None:
    """kill -9 of any supervised process: it is back and proven healthy, and no other was restarted."""
    before = {entry["name"]: entry["pid"] for entry in bot.json("status")["programs"]}
    os.kill(before[program], signal.SIGKILL)
    until(lambda: bot.pid(program) not in (None, before[program]) and bot.healthy(), 90)
    after = {entry["name"]: entry["pid"] for entry in bot.json("status")["programs"]}
    assert {name for name in before if before[name] != after[name]} == {program}


def test_the_bot_trades_on_while_vault_is_down(bot: Walk) -> None:
    """Vault dead for every client: the same bot answers, one event and one alert say so, and one that it is over."""
    from_before, bots, told = bot.pid("bot"), _freqtrades(bot), len(_refresh(bot))
    alerts = _alerts(bot)
    vault = bot.pid("vault")
    assert vault
    os.kill(vault, signal.SIGSTOP)  # alive for the supervisor, dead for every client
    try:
        assert bot.pings()
        until(lambda: _refresh(bot)[told:] == ["failed"], 90)
        assert _freqtrades(bot) == bots
        assert [name for name, _ in _alerts(bot) - alerts] == ["bot.refresh"]
    finally:
        os.kill(vault, signal.SIGKILL)
    until(bot.healthy, 60)
    until(lambda: _refresh(bot)[told:] == ["failed", "ok"], 90)
    assert bot.pid("bot") == from_before
    assert _freqtrades(bot) == bots


def test_a_restarted_database_does_not_end_the_bot(bot: Walk) -> None:
    """PostgreSQL restarted under the bot: freqtrade alone would die within seconds; ours goes on or comes back."""
    trades = _trades(bot)
    bot.nasos("restart", "postgres")
    until(bot.healthy, 90)
    assert _trades(bot) >= trades


def test_a_second_up_at_the_same_time_is_refused(stack: Walk) -> None:
    """Two `nasos up`: one works, the other says that it is under way."""
    lock = stack.home / "up.lock"
    holder = subprocess.Popen(["/usr/bin/flock", str(lock), "sleep", "30"])
    try:
        until(lambda: subprocess.run(["/usr/bin/flock", "-n", str(lock), "true"], check=False).returncode, 5)
        done = stack.nasos("up", check=False)
        assert done.returncode == 3
        assert "already under way" in done.stderr
    finally:
        subprocess.run(["/usr/bin/pkill", "-P", str(holder.pid)], check=False)
        holder.kill()
        holder.wait()


def test_the_bot_ends_with_its_supervisor_and_up_ends_the_rest(bot: Walk) -> None:
    """kill -9 of supervisord: no bot without a keeper; the next `up` ends the orphans and brings all back."""
    trades = _trades(bot)
    pids = {entry["name"]: entry["pid"] for entry in bot.json("status")["programs"]}
    os.kill(_supervisor(bot), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pids['bot']}").exists(), 60)
    assert _freqtrades(bot) == []
    assert Path(f"/proc/{pids['vault']}").exists()
    bot.nasos("up")
    assert bot.healthy()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert _trades(bot) >= trades


def test_everything_killed_at_once_comes_back_with_all_that_was_stored(bot: Walk) -> None:
    """kill -9 of all: the next `up` recovers; secrets and trades are there."""
    trades = _trades(bot)
    bot.nasos("secret", "set", "app/before-the-crash", stdin="still-here-after-the-crash")
    victims = [entry["pid"] for entry in bot.json("status")["programs"]]
    for pid in (_supervisor(bot), *victims, *_freqtrades(bot)):
        os.kill(pid, signal.SIGKILL)
    bot.nasos("up")
    assert bot.healthy()
    assert bot.secret("app/before-the-crash", "value") == "still-here-after-the-crash"
    assert _trades(bot) >= trades


def test_a_taken_port_is_named_with_its_holder(stack: Walk) -> None:
    """A foreign listener on our port: the error names port and process, the hint another port."""
    stack.nasos("down")
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("127.0.0.1", stack.port + 2))
        foreign.listen()
        done = stack.nasos("up", check=False)
    assert done.returncode == 3
    assert f"port {stack.port + 2} (postgres)" in done.stderr
    assert "--port" in done.stderr
    stack.nasos("up")
    assert stack.healthy()


def test_an_interrupted_up_completes_when_run_again(stack: Walk) -> None:
    """kill -9 of `up` half-way, five times at different moments: the last one completes."""
    for delay in ("0.3", "0.7", "1.2", "2", "3"):
        stack.nasos("down")
        stack.run("/usr/bin/timeout", "-s", "KILL", delay, "./nasos", "up", check=False)
    stack.nasos("up")
    assert stack.healthy()


def _events(walk: Walk) -> list[Event]:
    """Every event of the stack, also of services that keep their own where they have a user of their own."""
    places = ("run/bot", "run/gateway", "ledger")
    return [
        msgspec.json.decode(line, type=Event)
        for place in places
        for line in walk.run(
            "/bin/sh", "-c", 'cat "$0"/events.jsonl || true', str(walk.home / place)
        ).stdout.splitlines()
    ]


def _refresh(walk: Walk) -> list[str]:
    """What the launcher told of Vault."""
    return [event.outcome for event in _events(walk) if event.event == "bot.refresh"]


def _alerts(walk: Walk) -> set[tuple[str, str]]:
    """Events that a person is told of, with when they happened."""
    return {(event.event, event.time) for event in _events(walk) if worth(event)}


def _supervisor(walk: Walk) -> int:
    return int((walk.home / "run" / "supervisord" / "process").read_text().split(" ", 1)[0])


def _freqtrades(walk: Walk) -> list[int]:
    """Bot processes of this stack, whoever their parent is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(walk.home / "bot").encode() in command and b"nasos.bot.entry" in command:
            found.append(int(process.name))
    return found


def test_every_credential_lost_comes_back_with_the_recovery_key(bot: Walk) -> None:
    """All credential files gone under a running stack: one command, and the same bot process never noticed."""
    key, pid, serving = (
        json.loads((bot.home / "recovery.json").read_text())["keys"][0],
        bot.pid("bot"),
        bot.pid("vault"),
    )
    for path in (bot.home / "credentials").iterdir():
        path.unlink()
    refused = bot.nasos("vault", "recover", stdin="", check=False)
    assert (refused.returncode, "0 of 1 key shares given" in refused.stderr) == (3, True), refused
    assert bot.pid("vault") == serving, "who has no key stops nothing"
    done = bot.nasos("vault", "recover", stdin=f"{key}\n")
    assert key not in done.stdout + done.stderr
    until(bot.healthy, 120)
    assert Path(f"/proc/{pid}").exists()
    assert bot.pid("bot") == pid
    assert bot.json("vault", "status")["active"]


def test_the_unseal_key_is_replaced_under_a_running_bot(bot: Walk) -> None:
    """Another key, proven, while the bot trades on; Vault opens with it after a restart too."""
    pid = bot.pid("bot")
    path = Path(bot.nasos("vault", "seal-key", "rotate").stdout.strip())
    assert path.stat().st_size == 32
    assert not path.with_name("unseal.key.next").exists()
    until(bot.healthy, 120)
    bot.nasos("restart", "vault")
    until(bot.healthy, 120)
    assert bot.pid("bot") == pid
