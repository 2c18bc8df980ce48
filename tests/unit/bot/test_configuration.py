"""freqtrade's JSON with comments, its merging, and what may stand in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.bot.configuration import merged, parse, read_files
from nasos.bot.database import completed, needs_login
from nasos.bot.freqtrade import base_config, read_operator, secrets_in
from nasos.errors import BotError
from nasos.settings import BotSettings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DEMO = {"name": "binance", "pair_whitelist": ["BTC/USDT"]}
URL = "postgresql+psycopg://127.0.0.1:5432/nasos?sslmode=verify-full&sslrootcert=/ca.pem"


@given(st.dictionaries(st.text(), JSON))
def test_plain_json_is_read_as_json(content: dict[str, object]) -> None:
    """Also with slashes, commas and quotes in strings, and with trailing commas and comments around it."""
    text = json.dumps(content, indent=1)
    assert parse(text, "x") == content
    lenient = text.replace("\n}", ",\n}") if content else text
    assert parse(f"// first\n{lenient} /* last */", "x") == content


def test_comments_and_trailing_commas_are_accepted() -> None:
    """As freqtrade accepts them."""
    text = '{"a": "http://x", // not "b": 1\n/* "c": 2,\n */ "d": [1, 2, ], "e": "\\"//\\"",}'
    assert parse(text, "x") == {"a": "http://x", "d": [1, 2], "e": '"//"'}


def test_a_syntax_error_names_line_and_column_and_shows_nothing() -> None:
    """freqtrade prints 80 characters around it, secrets included."""
    with pytest.raises(BotError, match=r"conf\.json line 3 column 13") as caught:
        parse('{ // c\n"key": "planted-one", /* x\n*/ "secret" "planted-two"}', "conf.json")
    assert "planted" not in str(caught.value)


def test_later_files_win_and_a_file_wins_over_what_it_adds(tmp_path: Path) -> None:
    """Tables merge, lists are replaced, added files are relative to theirs."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.json").write_text('{"a": {"x": 1, "y": 1}, "l": [1], "add_config_files": ["two.json"]}')
    (tmp_path / "sub" / "two.json").write_text('{"a": {"y": 2, "z": 2}}')
    (tmp_path / "last.json").write_text('{"a": {"x": 3}, "l": [2]}')
    found = read_files([tmp_path / "sub" / "one.json", tmp_path / "last.json"])
    assert found["a"] == {"x": 3, "y": 1, "z": 2}
    assert found["l"] == [2]


def test_files_that_add_each_other_are_an_error(tmp_path: Path) -> None:
    """Not an endless loop."""
    (tmp_path / "a.json").write_text('{"add_config_files": ["a.json"]}')
    with pytest.raises(BotError, match="more than 5 deep"):
        read_files([tmp_path / "a.json"])


def test_merging_changes_no_layer() -> None:
    """The result is new."""
    below: dict[str, object] = {"a": {"x": 1}}
    assert merged(below, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}
    assert below == {"a": {"x": 1}}


@pytest.mark.parametrize("url", [None, "", "sqlite:///x.sqlite"])
def test_a_database_without_login_needs_none(url: str | None) -> None:
    """SQLite and none at all."""
    assert needs_login(url) is False


def test_a_postgresql_database_gets_plugin_and_descriptor() -> None:
    """What the operator wrote stays."""
    assert needs_login(URL)
    assert completed(URL, 9) == f"{URL}&plugin=nasos&credfd=9"
    assert completed(f"{URL}&plugin=nasos&credfd=3", 9) == f"{URL}&plugin=nasos&credfd=9"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:planted@h/d?sslmode=verify-full",
        "postgresql://u@h/d?sslmode=verify-full",
        "postgresql://h/d?password=planted&sslmode=verify-full",
        "postgresql://h/d?sslmode=require",
        "postgresql://h/d",
        5,
    ],
)
def test_a_database_url_with_login_or_without_verification_is_refused(url: object) -> None:
    """And not repeated."""
    with pytest.raises(BotError) as caught:
        needs_login(url)
    assert "planted" not in str(caught.value)


def demo(**changes: object) -> dict[str, object]:
    """The stack's configuration."""
    settings = BotSettings(**changes)  # type: ignore[arg-type]  # the test's own values
    return base_config(settings, exchange=DEMO, api_port=8446, db_url=URL, project=None)


def test_the_base_configuration_holds_no_secret_and_listens_on_loopback() -> None:
    """It may lie on disk."""
    config = demo(name="one", strategy="Mine")
    assert list(secrets_in(config)) == []
    assert (config["bot_name"], config["strategy"], config["dry_run"]) == ("one", "Mine", True)
    assert config["api_server"] == {
        "enabled": True,
        "listen_ip_address": "127.0.0.1",
        "listen_port": 8446,
        "verbosity": "error",
        "enable_openapi": False,
        "CORS_origins": [],
    }
    assert config["exchange"] == DEMO
    assert config["initial_state"] == "running"


def test_the_demo_exchange_never_trades_live() -> None:
    """There is nothing real to trade."""
    with pytest.raises(BotError, match="no real orders"):
        demo(dry_run=False)


def operator(tmp_path: Path, content: object) -> Path:
    """The operator's file."""
    (tmp_path / "mine.json").write_text(json.dumps(content))
    return tmp_path


def test_the_operators_file_lies_between_our_defaults_and_what_is_ours(tmp_path: Path) -> None:
    """Stakes are the operator's; where the API listens, the database and dry-run are not."""
    content = {
        "max_open_trades": 7,
        "dry_run": False,
        "db_url": "sqlite:///mine",
        "exchange": {"name": "kraken", "key": "", "secret": ""},
        "api_server": {"listen_ip_address": "0.0.0.0", "password": "", "username": "me"},  # noqa: S104  refused below
    }
    settings = BotSettings(config="mine.json", exchange="config")
    project = operator(tmp_path, content)
    config = base_config(settings, exchange=None, api_port=8446, db_url=URL, project=project)
    assert (config["max_open_trades"], config["dry_run"], config["db_url"]) == (7, True, URL)
    assert config["exchange"] == {"name": "kraken"}
    assert isinstance(config["api_server"], dict)
    assert config["api_server"]["listen_ip_address"] == "127.0.0.1"
    assert "password" not in config["api_server"]


def test_a_bot_without_exchange_is_refused() -> None:
    """Nobody named one."""
    with pytest.raises(BotError, match="names no exchange"):
        base_config(BotSettings(exchange="config"), exchange=None, api_port=8446, db_url=URL, project=None)


@pytest.mark.parametrize(
    ("content", "key", "command"),
    [
        ({"exchange": {"key": "planted"}}, "exchange.key", "nasos bot import"),
        ({"exchange": {"secret": "planted"}}, "exchange.secret", "nasos bot import"),
        ({"api_server": {"jwt_secret_key": "planted"}}, "api_server.jwt_secret_key", "nasos bot import"),
        ({"api_server": {"ws_token": ["planted"]}}, "api_server.ws_token", "nasos bot import"),
        ({"telegram": {"token": "planted"}}, "telegram.token", "nasos bot import"),
        ({"webhook": {"url": "https://planted"}}, "webhook.url", "nasos bot import"),
        ({"db_url": "postgresql://u:planted@h/d"}, "db_url", "nasos bot import"),
        ({"exchange": {"ccxt_config": {"apiKey": "planted"}}}, "exchange.ccxt_config.apiKey", "nasos bot import"),
        (
            {"exchange": {"ccxt_config": {"httpsProxy": "http://u:planted@h"}}},
            "exchange.ccxt_config.httpsProxy",
            "nasos bot import",
        ),
        (
            {"external_message_consumer": {"producers": [{}, {"ws_token": "planted"}]}},
            "external_message_consumer.producers",
            "nasos bot import",
        ),
    ],
)
def test_a_secret_in_the_operators_file_is_refused_by_its_key(
    tmp_path: Path, content: object, key: str, command: str
) -> None:
    """Never quoted; the hint stores it."""
    with pytest.raises(BotError) as caught:
        read_operator(operator(tmp_path, content) / "mine.json", "b")
    assert f"holds secrets: {key}" in caught.value.message
    assert command in (caught.value.hint or "")
    assert "planted" not in f"{caught.value}{caught.value.hint}"


def test_names_that_open_nothing_may_stay_in_the_file(tmp_path: Path) -> None:
    """User name and chat."""
    content = {"api_server": {"username": "me"}, "telegram": {"chat_id": "123", "enabled": True}}
    assert read_operator(operator(tmp_path, content) / "mine.json", "b") == content
