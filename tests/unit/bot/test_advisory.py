"""Who is who among the sessions of a database, by the names that they give themselves."""

from __future__ import annotations

import os
import socket

from nasos.bot.advisory import KEY, Holder, Tag
from nasos.bot.database import parameters


def test_a_tag_names_bot_host_and_process() -> None:
    """And is another one for each launcher, whatever pids and host names repeat."""
    tag = Tag.make("testbot")
    assert tag.launcher == f"nasos run {tag.token} {os.getpid()} testbot@{socket.gethostname()}"[:63]
    assert tag.bot.startswith(f"nasos bot {tag.token} ")
    assert Tag.make("testbot").token != tag.token


def test_a_tag_fits_into_what_the_server_keeps() -> None:
    """It would cut a longer one itself, in the middle of a letter."""
    assert len(Tag("0" * 8, "1 " + "ü" * 99).launcher.encode()) <= 63


def test_a_holder_is_told_in_words() -> None:
    """Also one that is not ours, or has no name."""
    who = 'a launcher of the bot "mine" on host.example, pid 7,'
    assert str(Holder("nasos run 0badcafe 7 mine@host.example")) == who
    assert str(Holder("nasos bot 0badcafe 7 mine@host.example")).startswith("a bot that its launcher left behind")
    assert str(Holder("psql")) == "another program (psql)"
    assert str(Holder("")) == "another program (without a name)"
    assert str(Holder("nasos run")) == "another program (nasos run)"


def test_the_key_is_what_every_launcher_uses() -> None:
    """Of any version: another key would be no lock between them."""
    assert KEY == -1_227_047_994_609_488_342


def test_the_drivers_options_are_the_urls() -> None:
    """Without our own, and without what is empty."""
    url = "postgresql+psycopg://db.example:5433/bot?sslmode=verify-full&sslrootcert=/ca.pem&plugin=nasos&credfd=9"
    where = {"host": "db.example", "port": "5433", "dbname": "bot"}
    assert parameters(url) == where | {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}
    assert parameters("postgresql://h/b?host=other") == {"host": "other", "dbname": "b"}
