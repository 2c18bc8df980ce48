"""Roles and endpoints: the whole matrix, and everything that tries to get around it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.gateway.access import RULES, Role, decide

MATRIX = Path(__file__).with_name("role_matrix.txt")
VALUES = {"tradeid": "7", "trade_id": "7", "lockid": "12", "rest_of_path:path": "wp-login.php"}
PATHS = st.sampled_from(sorted({path for _, path in RULES}))
OVERRIDES = ("X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X-Original-URL", "x-rewrite-url")


def written() -> list[tuple[str, str, frozenset[Role]]]:
    """The lines of the matrix."""
    lines = [line.split() for line in MATRIX.read_text().splitlines() if line and not line.startswith("#")]
    return [(method, path, frozenset(Role(role) for role in who if role != "-")) for method, path, *who in lines]


def example(path: str) -> str:
    """A path that a client would send for the one with names in braces."""
    return re.sub(r"\{([a-z_:]+)\}", lambda found: VALUES.get(found[1], "name-1.json"), path)


@pytest.mark.parametrize(
    ("method", "path", "may"),
    written(),
    ids=lambda value: value if isinstance(value, str) else "-".join(sorted(value)) or "nobody",
)
def test_every_endpoint_answers_every_role_as_written_down(method: str, path: str, may: frozenset[Role]) -> None:
    """The code gives exactly what role_matrix.txt says, with and without a query."""
    for target in (example(path), example(path) + "?pair=BTC%2FUSDT&limit=5"):
        assert {role for role in Role if decide(role, method, target)} == may


def test_the_matrix_and_the_rules_name_the_same_endpoints() -> None:
    """No rule without its line in the matrix, but the pages of FreqUI's router."""
    named = {(method, path) for method, path, may in written() if may}
    assert named <= set(RULES)
    assert all(method == "GET" and not path.startswith("/api") for method, path in set(RULES) - named)


def test_a_role_may_all_that_the_one_below_may() -> None:
    """Nothing is lost by a higher role."""
    for method, path, may in written():
        assert Role.ADMIN in may or not may, (method, path)
        assert Role.VIEWER not in may or Role.TRADER in may, (method, path)


@pytest.mark.parametrize(
    "target",
    [
        "//api/v1/status", "/api//v1/status", "/api/v1/status/", "/api/v1/./status", "/api/v1/x/../status",
        "/api/v1/x/..;/status", "/api/v1;a=b/status", "/api/v1/status;jsessionid=1", "/api/v1/%73tatus",
        "/api%2fv1%2fstatus", "/api/v1/status%00", "/api/v1/status%2f", "\\api\\v1\\status", "/api/v1\\status",
        "/API/v1/status", "/api/v1/STATUS", "/api/v1/status#x", "/api/v1/status ", " /api/v1/status", "",
        "api/v1/status", "http://bot/api/v1/status", "*", "/api/v1/status\n", "/api/v1/status\x00",
        "/api/v1/\u017ftatus",
        "/api/v1/trade/\uff17", "/api/v1/trade/-7", "/api/v1/trade/7.0", "/api/v1/trade/", "/api/v1/trade/7/reload",
        "/api/v1/trade/" + "7" * 19, "/api/v1/backtest/history/..", "/api/v1/backtest/history/.hidden",
        "/api/v1/strategy/a:b", "/api/v1/strategy/" + "a" * 129, "/api/v1", "/api", "/api/v2/status",
    ],
)  # fmt: skip
def test_an_oddly_written_path_is_refused_to_everybody(target: str) -> None:
    """Not decoded, not collapsed, not folded: even an admin gets nothing for it."""
    assert not any(decide(Role.ADMIN, method, target) for method in ("GET", "POST", "DELETE", "PATCH", "HEAD"))
    assert decide(Role.VIEWER, "GET", "/api/v1/status")


@pytest.mark.parametrize("method", ["get", "Get", "HEAD", "PUT", "OPTIONS", "TRACE", "CONNECT", "POST ", "", "GETX"])
def test_a_method_that_freqtrade_does_not_route_is_refused(method: str) -> None:
    """Methods count letter by letter; a HEAD or OPTIONS is not a GET."""
    assert not decide(Role.ADMIN, method, "/api/v1/status")


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_header_that_overrides_the_first_line_is_refused(name: str) -> None:
    """A viewer cannot send a GET that a later program reads as a POST, and an admin need not."""
    for role in Role:
        assert not decide(role, "GET", "/api/v1/status", ["Host", name])
        assert decide(role, "GET", "/api/v1/status", ["Host", "X-Forwarded-For"])


@given(
    path=PATHS, role=st.sampled_from(Role), method=st.sampled_from(["GET", "POST", "DELETE", "PATCH"]), data=st.data()
)
def test_no_other_spelling_opens_more(path: str, role: Role, method: str, data: st.DataObject) -> None:
    """One character put in, taken out or changed never makes a denied request an allowed one of the same endpoint."""
    path = example(path)
    place = data.draw(st.integers(0, len(path)))
    put, cut = (
        data.draw(st.sampled_from(["/", "%2f", ";", ".", "\\", "%00", "A", "?", "#", " "])),
        data.draw(st.booleans()),
    )
    changed = path[:place] + put + path[place + cut :]
    decision = decide(role, method, changed)
    if decision:
        sent = changed.partition("?")[0]
        assert (method, sent) in RULES or re.fullmatch(r"[A-Za-z0-9._/-]+", sent)
        assert decide(role, method, sent).endpoint == decision.endpoint


@given(target=st.text(max_size=80), method=st.sampled_from(["GET", "POST", "DELETE", "PATCH"]))
def test_whatever_is_sent_is_answered(target: str, method: str) -> None:
    """No input raises, and a refusal quotes nothing of it."""
    decision = decide(Role.ADMIN, method, "/secret-of-mine" + target)
    assert not decision
    assert "secret-of-mine" not in decision.reason
