from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from canary import Canary, Hit
from nasos.notify import Channel, Notice, deliver
from nasos.notify.delivery import Order
from nasos.notify.notice import Urgency
from nasos.secret import Secret
from simulators.receiver import Receiver, http_receiver, mail_server

NOTICE = Notice("bot.exit nasos failed", "nasos: bot.exit failed (nasos)", "target: nasos", Urgency.FAILURE)
TOKEN = "XyZ123-a-token-in-a-path-7f3e9b"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with http_receiver() as running:
        yield running


def channel(url: str, name: str = "phone") -> Channel:
    """A channel with this URL."""
    return Channel(name, Secret(url))


def test_a_notice_arrives_over_http_and_by_mail(receiver: Receiver) -> None:
    """Title, body and urgency, through real apprise to a real socket; each channel answers for itself."""
    with mail_server() as mail:
        sent = deliver([channel(receiver.url(TOKEN)), channel(mail.url, "mail")], NOTICE)
    assert [(each.channel, each.delivered, each.reason) for each in sent] == [("phone", True, ""), ("mail", True, "")]
    [message] = receiver.messages
    assert (message["title"], message["message"], message["type"]) == (NOTICE.title, NOTICE.body, "failure")
    assert receiver.paths == [f"/{TOKEN}"]
    [letter] = mail.letters
    assert NOTICE.title in letter


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_each_failure_is_told_for_its_own_channel(receiver: Receiver) -> None:
    """Nobody listens, the receiver refuses, the URL is none, all at once: the good channel is not held up."""
    with http_receiver() as refusing:
        refusing.status = 503
        sent = deliver(
            [
                channel(f"json://127.0.0.1:{_closed_port()}/{TOKEN}", "down"),
                channel(refusing.url(TOKEN), "refusing"),
                channel(f"tgram://{TOKEN}/", "wrong"),
                channel(f"nonsense-{TOKEN}", "nonsense"),
                channel(receiver.url(TOKEN), "good"),
            ],
            NOTICE,
        )
    assert {each.channel: each.reason for each in sent} == {
        "down": "the receiver cannot be reached",
        "refusing": "the receiver answered 503",
        "wrong": "its URL is none that apprise understands",
        "nonsense": "its URL is none that apprise understands",
        "good": "",
    }
    assert len(receiver.messages) == 1


def test_a_receiver_that_hangs_is_given_up(receiver: Receiver) -> None:
    """The one that answers is heard, the one that does not is told as such, and no process is left."""
    with http_receiver() as hanging:
        hanging.hanging = threading.Event()
        url = hanging.url(TOKEN) + "?rto=300"
        sent = deliver([channel(url, "hanging"), channel(receiver.url(), "good")], NOTICE, patience=12)
        assert {each.channel: each.reason for each in sent} == {"hanging": "no answer within 12 s", "good": ""}
    left = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    assert "notify.sender" not in left.stdout


def test_no_url_and_no_token_is_in_what_others_can_see(receiver: Receiver, tmp_path: Path) -> None:
    """Not in command lines, not in environments, not in what the sending process writes, even when it fails."""
    canary = Canary({"token": TOKEN.encode()})
    receiver.hanging = threading.Event()
    found: list[Hit] = []

    def look() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and thread.is_alive():
            found.extend(canary.in_processes())

    thread = threading.Thread(target=deliver, args=([channel(receiver.url(TOKEN))], NOTICE), kwargs={"patience": 6})
    thread.start()
    look()
    thread.join()
    assert found == []
    for url in (f"tgram://{TOKEN}/", f"json://user:{TOKEN}@127.0.0.1:{_closed_port()}/{TOKEN}", f"://{TOKEN}"):
        order = msgspec.json.encode(Order("t", "b", "info", {"phone": url}))
        done = subprocess.run(
            [sys.executable, "-m", "nasos.notify.sender"], input=order, capture_output=True, check=True, cwd=tmp_path
        )
        assert not list(canary.in_bytes(done.stdout + done.stderr, "output"))
        assert done.stderr == b""
        assert re.fullmatch(rb'\{"channel":"phone","delivered":false,"reason":"[^"]+"\}\n', done.stdout)
    assert not list(tmp_path.iterdir())


def test_the_canary_would_see_a_token_on_a_command_line() -> None:
    """The negative twin: the same search finds a token where one is."""
    process = subprocess.Popen(["sh", "-c", "sleep 60; :", f"json://x/{TOKEN}"], start_new_session=True)
    try:
        assert list(Canary({"token": TOKEN.encode()}).in_processes())
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_without_apprise_it_says_what_to_install(receiver: Receiver, tmp_path: Path) -> None:
    """An installation without the extra is told plainly."""
    (tmp_path / "apprise.py").write_text("raise ImportError('not here')")
    order = msgspec.json.encode(Order("t", "b", "info", {"phone": receiver.url()}))
    done = subprocess.run(
        [sys.executable, "-m", "nasos.notify.sender"],
        input=order, capture_output=True, check=True, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert b"nasos[alerts]" in done.stdout


def test_no_channel_is_nothing_to_do() -> None:
    """No process is started."""
    assert deliver([], NOTICE) == []


if os.geteuid() == 0:  # an ordinary user has one uid only

    def test_started_by_root_the_sender_is_another_user(receiver: Receiver) -> None:
        """What speaks to the internet has no rights here."""
        receiver.hanging = threading.Event()
        thread = threading.Thread(
            target=deliver, args=([channel(receiver.url())], NOTICE), kwargs={"patience": 15, "user": 65534}
        )
        thread.start()
        seen: set[str] = set()
        while thread.is_alive():
            listing = subprocess.run(
                ["ps", "-eo", "uid=,ppid=,args="], capture_output=True, text=True, check=True
            ).stdout
            rows = [line.split(maxsplit=2) for line in listing.splitlines() if "nasos.notify.sender" in line]
            seen |= {uid for uid, parent, _ in rows if parent == str(os.getpid())}  # not another stack's
        thread.join()
        assert seen == {"65534"}
