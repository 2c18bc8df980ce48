"""What every probe promises, each against the simulator made of its exchange's documentation."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.demo_exchange import BOT_BIN, PROJECT
from nasos.errors import ClockOff, ExchangeBusy, ExchangeError, ExchangeUnreachable, NotAsked, UsageError
from nasos.exchange import known
from nasos.exchange.key import Answer, ApiKey, Facts, Refused, Right, Why
from nasos.secret import Secret
from nasos.settings import child_environment
from simulators.exchanges.base import Key, Reply, Simulator, in_days
from simulators.exchanges.binance import Binance
from simulators.exchanges.bybit import Bybit
from simulators.exchanges.kraken import Kraken
from simulators.exchanges.okx import Okx

SECRET = base64.b64encode(b"a secret of some length").decode()  # Kraken's are base64
ALL = (Binance, Bybit, Okx, Kraken)


@pytest.fixture(params=ALL, ids=lambda kind: kind.name)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """One of them, with one good key."""
    simulator: Simulator = request.param()
    simulator.add(Key("good-key-0123", SECRET, "pass"))
    with simulator.running():
        yield simulator


def asked(
    simulator: Simulator, key: str = "good-key-0123", secret: str = SECRET, *, at: datetime | None = None
) -> Answer:
    """The answer to our probe."""
    signing = ApiKey(Secret(key), Secret(secret), Secret("pass"))
    return known.probe(simulator.name, simulator.origin, signing, at or datetime.now(UTC))


def facts(simulator: Simulator) -> Facts:
    """What it tells of its good key."""
    found = asked(simulator)
    assert isinstance(found, Facts)
    return found


def changed(simulator: Simulator, **change: object) -> None:
    """Its good key is another one now."""
    simulator.keys["good-key-0123"] = replace(simulator.keys["good-key-0123"], **change)  # type: ignore[arg-type]


def test_a_good_key_is_told_with_rights_place_and_owner(exchange: Simulator) -> None:
    """It may read and trade and nothing else, from here only, and whose it is is known."""
    found = facts(exchange)
    assert found.rights == {Right.READ, Right.TRADE}
    assert found.bound
    assert found.account == "354937868"
    assert exchange.accepted


@pytest.mark.parametrize("right", ["withdraw", "transfer", "futures"])
def test_a_right_too_many_is_seen(exchange: Simulator, right: str) -> None:
    """Each right that the exchange tells of is told, where it has one of that kind."""
    changed(exchange, rights=frozenset({"read", "trade", right}))
    told = {("okx", "transfer"), ("kraken", "futures")}  # part of trading there; another platform
    assert (Right(right) in facts(exchange).rights) == ((exchange.name, right) not in told)


def test_a_key_that_only_reads_does_not_trade(exchange: Simulator) -> None:
    """Reading alone is read, and nothing more is taken for granted."""
    changed(exchange, rights=frozenset({"read"}))
    assert facts(exchange).rights == {Right.READ}


def test_a_key_without_addresses_is_not_bound(exchange: Simulator) -> None:
    """And OKX, which removes such a key when it is idle, says so."""
    changed(exchange, addresses=())
    found = facts(exchange)
    assert found.bound is False
    assert (found.idle_days == 14) == (exchange.name == "okx")


def test_an_end_that_the_exchange_knows_is_told(exchange: Simulator) -> None:
    """To the second, where the exchange has such a date; none where the key has none."""
    assert facts(exchange).expires is None
    end = in_days(20).replace(microsecond=0)
    changed(exchange, expires=end)
    found = datetime.now(UTC) + timedelta(milliseconds=5)  # a nonce of its own
    answer = asked(exchange, at=found)
    assert isinstance(answer, Facts)
    assert answer.expires == (None if exchange.name == "okx" else end)


def test_a_key_that_is_gone_is_refused(exchange: Simulator) -> None:
    """By each exchange's own word for it; Binance's word is one for three things."""
    del exchange.keys["good-key-0123"]
    found = asked(exchange)
    assert isinstance(found, Refused)
    assert found.why is (Why.UNTOLD if exchange.name == "binance" else Why.UNKNOWN)


def test_a_wrong_secret_is_refused_as_that(exchange: Simulator) -> None:
    """The key is known, the signature is not its own."""
    found = asked(exchange, secret=base64.b64encode(b"another").decode())
    assert isinstance(found, Refused)
    assert found.why is Why.SECRET


def test_another_address_is_refused_as_that(exchange: Simulator) -> None:
    """Where the exchange has a word of its own for it, and as untold where it has not."""
    exchange.client = "198.51.100.7"
    found = asked(exchange)
    assert isinstance(found, Refused)
    assert found.why is (Why.ADDRESS if exchange.name in {"bybit", "okx"} else Why.UNTOLD)


def test_a_blocked_key_is_refused(exchange: Simulator) -> None:
    """It exists and may nothing."""
    changed(exchange, frozen=True)
    assert isinstance(asked(exchange), Refused)


def test_a_wrong_clock_is_said_with_the_difference() -> None:
    """Not a word about the key, but by how much the clocks differ and in which direction."""
    for kind, ahead, which in ((Binance, 600.0, "behind"), (Bybit, -600.0, "ahead of"), (Okx, 900.0, "behind")):
        simulator = kind(ahead=ahead)
        simulator.add(Key("good-key-0123", SECRET, "pass"))
        with simulator.running(), pytest.raises(ClockOff, match=rf"about \d{{3}} s {which} its clock"):
            asked(simulator)


def test_krakens_used_up_nonce_is_no_word_about_the_key() -> None:
    """A nonce that is not larger than the last one is an error of time."""
    simulator = Kraken()
    simulator.add(Key("good-key-0123", SECRET))
    now = datetime.now(UTC)
    with simulator.running():
        assert isinstance(asked(simulator, at=now), Facts)
        with pytest.raises(ClockOff):
            asked(simulator, at=now)


def test_our_nonce_leaves_the_bots_next_one_valid() -> None:
    """Kraken refuses a nonce that is not larger than the last: ours counts as ccxt does, in milliseconds."""
    simulator = Kraken()
    simulator.add(Key("good-key-0123", SECRET))
    with simulator.running():
        assert isinstance(asked(simulator), Facts)
    assert simulator.nonces["good-key-0123"] <= simulator.now() * 1000


@pytest.mark.parametrize("status", [403, 418, 429])
def test_too_many_requests_are_no_word_about_the_key(exchange: Simulator, status: int) -> None:
    """When to come back is passed on."""
    exchange.next.append(Reply(status, {}, {"Retry-After": "17"}))
    with pytest.raises(ExchangeBusy) as error:
        asked(exchange)
    assert "17 s" in str(error.value.hint)


BUSY = {
    "binance": Reply(429, {"code": -1003, "msg": "Too many requests queued."}),
    "bybit": Reply(200, {"retCode": 10006, "retMsg": "Too many visits!"}),
    "okx": Reply(200, {"code": "50001", "msg": "Service temporarily unavailable."}),
    "kraken": Reply(200, {"error": ["EAPI:Rate limit exceeded"]}),
}
ODD = {
    "binance": Reply(400, {"code": -1100, "msg": "Illegal characters found in a parameter."}),
    "bybit": Reply(200, {"retCode": 10016, "retMsg": "Internal server error"}),
    "okx": Reply(400, {"code": "50000", "msg": "Body can not be empty"}),
    "kraken": Reply(200, {"error": ["EGeneral:Unknown method"]}),
}


def test_an_exchange_that_is_busy_says_nothing_about_the_key(exchange: Simulator) -> None:
    """In its own words, with its own code."""
    exchange.next.append(BUSY[exchange.name])
    with pytest.raises(ExchangeBusy):
        asked(exchange)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, {"msg": "maintenance"}),
        Reply(200, None, raw=b"<html>please log in to the hotel's network</html>"),
        Reply(200, []),
        Reply(200, {}),
        Reply(200, {"retCode": 0, "code": "0", "error": [], "data": [{}], "result": {"permissions": 7}}),
        Reply(200, {"unexpected": True}),
        Reply(302, {}, {"Location": "http://198.51.100.7/"}),
        Reply(200, None, raw=b"x" * (1 << 20) + b"y"),
    ],
    ids=["maintenance", "portal", "list", "empty", "half", "strange", "redirect", "endless"],
)
def test_an_answer_that_is_none_is_never_a_yes_or_a_no(exchange: Simulator, reply: Reply) -> None:
    """Whatever comes, the key is neither valid nor refused."""
    exchange.next.append(reply)
    with pytest.raises(ExchangeError):
        asked(exchange)


def test_a_code_that_nobody_knows_is_quoted_and_decides_nothing(exchange: Simulator) -> None:
    """The code is there to be looked up; the exchange's own words are not repeated."""
    exchange.next.append(ODD[exchange.name])
    with pytest.raises(ExchangeError) as error:
        asked(exchange)
    assert "says nothing of the key" in error.value.message


def test_an_exchange_that_is_away_is_unreachable(exchange: Simulator) -> None:
    """Nobody listens there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        exchange.origin = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ExchangeUnreachable):
            asked(exchange)


def test_nothing_is_sent_without_tls_but_to_this_machine(exchange: Simulator) -> None:
    """A plain address elsewhere is refused before a name is looked up."""
    exchange.origin = "http://api.example.com"
    with pytest.raises(UsageError, match="without TLS"):
        asked(exchange)


def test_no_error_shows_the_key(exchange: Simulator) -> None:
    """Neither key nor secret is in any message, hint or representation."""
    exchange.next.append(Reply(400, {"code": "good-key-0123 " + SECRET, "retCode": SECRET, "error": [SECRET]}))
    with pytest.raises(ExchangeError) as error:
        asked(exchange)
    assert SECRET not in f"{error.value!r} {error.value.hint}"
    assert "good-key" not in f"{error.value!r} {error.value.hint}"


def test_an_okx_key_without_its_passphrase_is_incomplete() -> None:
    """It is said before anything is sent; a wrong one is told apart from a wrong secret."""
    simulator = Okx()
    simulator.add(Key("good-key-0123", SECRET, "another"))
    with simulator.running():
        found = asked(simulator)
        assert isinstance(found, Refused)
        assert found.why is Why.PASSPHRASE
        with pytest.raises(UsageError, match="passphrase"):
            known.probe("okx", simulator.origin, ApiKey(Secret("k"), Secret("s")), datetime.now(UTC))


def test_bybits_and_krakens_expired_keys_are_refused() -> None:
    """A key whose time is over is refused, whatever else is right."""
    for kind in (Bybit, Kraken):
        simulator = kind()
        simulator.add(Key("good-key-0123", SECRET, expires=in_days(-1)))
        with simulator.running():
            assert isinstance(asked(simulator), Refused)


@pytest.mark.parametrize("name", [*known.UNASKED, "never-heard-of"])
def test_an_exchange_that_nobody_tried_is_not_asked(name: str) -> None:
    """It is said that it is not asked, and nothing that could be taken for a yes."""
    with pytest.raises(NotAsked, match="cannot be asked"):
        known.probe(name, None, ApiKey(Secret("k"), Secret("s")), datetime.now(UTC))


def test_a_key_pair_is_not_asked_about() -> None:
    """Ed25519 and RSA keys cannot be signed with here."""
    pem = Secret("-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----")
    with pytest.raises(NotAsked, match="key pair"):
        known.probe("binance", None, ApiKey(Secret("k"), pem), datetime.now(UTC))


def test_ccxt_is_accepted_and_refused_alike() -> None:
    """The simulators take what ccxt signs, and ccxt understands their refusals: they mirror the exchanges, not us."""
    simulators = [kind() for kind in ALL]
    for simulator in simulators:
        simulator.add(Key("good-key-0123", SECRET, "pass"))
    order = {simulator.name: "" for simulator in simulators}
    with simulators[0].running(), simulators[1].running(), simulators[2].running(), simulators[3].running():
        order = {simulator.name: simulator.origin for simulator in simulators}
        script = PROJECT / "tests" / "simulators" / "exchanges" / "ccxt_oracle.py"
        done = subprocess.run(
            [str(BOT_BIN / "python"), str(script)],
            input=json.dumps({"origins": order, "key": "good-key-0123", "secret": SECRET, "password": "pass"}),
            capture_output=True, text=True, timeout=120, check=False, env=child_environment(),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert {name: answers["good"] for name, answers in seen.items()} == dict.fromkeys(order, "accepted")
    assert {name: answers["gone"] for name, answers in seen.items()} == dict.fromkeys(order, "AuthenticationError")
    # Kraken's "invalid signature" has no name of its own in ccxt.
    secret = dict.fromkeys(order, "AuthenticationError") | {"kraken": "ExchangeError"}
    assert {name: answers["secret"] for name, answers in seen.items()} == secret
    assert all("good-key-0123" in simulator.accepted for simulator in simulators)
