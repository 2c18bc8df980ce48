"""The credential page: one writer, and readers that never see half of it."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.bot.credential import PAGE, Credential, CredentialPage, decode, encode, read
from nasos.errors import BotError
from nasos.secret import Secret


def credential(version: int, text: str = "p") -> Credential:
    """Whose halves tell whether they belong together."""
    return Credential(version, f"user-{version}", Secret(f"{text}-{version}"))


@given(st.integers(1), st.text(), st.text())
def test_what_was_written_is_read(version: int, username: str, password: str) -> None:
    """Any text that fits."""
    found = decode(encode(Credential(version, username, Secret(password))))
    assert found == Credential(version, username, Secret(password))


@given(st.integers(0, PAGE), st.integers(1, 9), st.integers(10, 99))
def test_old_and_new_mixed_are_not_taken_for_either(cut: int, old: int, new: int) -> None:
    """Any prefix of the new page over the rest of the old one."""
    first, second = encode(credential(old)), encode(credential(new, "q"))
    mixed = second[:cut] + first[cut:]
    assert decode(mixed) in ({first: credential(old), second: credential(new, "q")}.get(mixed), None)


@given(st.binary(max_size=PAGE + 1))
def test_anything_else_is_no_page(content: bytes) -> None:
    """Zeros, rubbish, too short or too long."""
    assert decode(content) is None


def test_a_reader_beside_a_busy_writer_never_sees_a_torn_login() -> None:
    """Ten thousand reads while the page changes all the time."""
    page, done = CredentialPage(credential(1)), threading.Event()

    def write() -> None:
        version = 1
        while not done.is_set():
            version += 1
            page.write(credential(version, "long" * (version % 300)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [read(page.fd) for _ in range(10_000)]
    finally:
        done.set()
        writer.join()
    assert all(found.username == f"user-{found.version}" for found in seen)
    assert all(found.password.reveal().endswith(f"-{found.version}") for found in seen)
    assert len({found.version for found in seen}) > 1
    page.close()


def test_nobody_but_the_writer_can_change_the_page() -> None:
    """Not by writing, mapping, growing, shrinking, re-opening or unsealing, not even its owner."""
    page = CredentialPage(credential(1))
    again = os.open(f"/proc/self/fd/{page.fd}", os.O_RDWR)
    for change in (
        lambda: os.pwrite(again, b"x", 0),
        lambda: os.ftruncate(again, 0),
        lambda: os.ftruncate(again, 2 * PAGE),
        lambda: mmap.mmap(again, PAGE),
        lambda: fcntl.fcntl(again, fcntl.F_ADD_SEALS, 0),
    ):
        with pytest.raises(PermissionError):
            change()
    page.write(credential(2))
    assert read(again).version == 2
    os.close(again)
    page.close()


def test_a_login_that_does_not_fit_leaves_the_old_one() -> None:
    """The error holds none of it."""
    page = CredentialPage(credential(1))
    with pytest.raises(BotError, match="too large"):
        page.write(Credential(2, "u", Secret("x" * PAGE)))
    assert read(page.fd).version == page.version == 1
    page.close()


def test_a_withheld_login_is_not_there_until_it_is_given() -> None:
    """Nor does a newer one show it; a reader with patience gets the newest as soon as it may."""
    page = CredentialPage(credential(1), withheld=True)
    with pytest.raises(BotError, match="withholds"):
        read(page.fd)
    page.write(credential(2))
    assert not any(os.pread(page.fd, PAGE, 0))
    threading.Timer(0.05, page.give).start()
    assert read(page.fd, 30).version == page.version == 2
    page.withhold()
    with pytest.raises(BotError, match="withholds"):
        read(page.fd, 0.05)
    page.close()


def test_a_closed_page_is_not_waited_for() -> None:
    """Its launcher is gone."""
    page = CredentialPage(credential(1))
    again = os.dup(page.fd)
    page.close()
    with pytest.raises(BotError, match="holds no database login"):
        read(again, 600)
    os.close(again)


def test_a_descriptor_without_a_page_is_a_clear_error() -> None:
    """Something else, or nothing."""
    with open("/dev/null") as other, pytest.raises(BotError, match="no database login"):  # noqa: PTH123  a descriptor
        read(other.fileno())
    with pytest.raises(BotError, match="bad file descriptor"):
        read(1 << 20)
