"""A zone's security as rules without a network: what is wanted, what stays, what does not fit, and the way to HSTS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from nasos.cloudflare.zone import rules
from nasos.cloudflare.zone.plan import Aim, Phase, State, plan
from nasos.cloudflare.zone.rules import CACHE, CUSTOM, DDOS, MANAGED, RATE, Rule
from nasos.cloudflare.zone.settings import NAMES, STEPS, Observed, next_step, settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOSTS = ("bot.example.com",)
STRICT = {
    "ssl": "strict", "min_tls_version": "1.2", "tls_1_3": "on", "0rtt": "off", "always_use_https": "on",
    "automatic_https_rewrites": "on",
}  # fmt: skip


def hsts(seconds: int, held: timedelta = timedelta(), **more: object) -> Observed:
    """The header as a zone has it."""
    inner = {"enabled": seconds > 0, "max_age": seconds, **more}
    return Observed("security_header", {"strict_transport_security": inner}, modified=NOW - held)


def observed(**changed: object) -> dict[str, Observed]:
    """A zone that is as it should be, but for these."""
    found = {name: Observed(name, value) for name, value in {**STRICT, **changed}.items()}
    return {"security_header": hsts(STEPS[-1][0]), **found}


def aim(plan_: str = "free", hosts: tuple[str, ...] = HOSTS) -> Aim:
    """For our host."""
    return Aim(owner="home", hosts=hosts, plan=plan_, origin_trusted=True)


def test_a_zone_that_is_as_it_should_be_is_left_alone() -> None:
    """Also where it is stricter."""
    assert settings(observed(), NOW, origin_trusted=True) == ([], [])
    stricter = observed(min_tls_version="1.3", ssl="origin_pull", tls_1_3="zrt")
    assert settings(stricter, NOW, origin_trusted=True) == ([], [])


def test_strict_waits_for_a_certificate_that_cloudflare_accepts() -> None:
    """With the development CA's every visitor would get an error; that is a finding, and says what to type."""
    changes, notes = settings(observed(ssl="full"), NOW, origin_trusted=False)
    assert (changes, [note.wrong for note in notes]) == ([], [True])
    assert "nasos tls setup --mode cloudflare" in notes[0].why
    changes, _ = settings(observed(ssl="flexible", always_use_https="off"), NOW, origin_trusted=True)
    assert [(change.name, change.after) for change in changes] == [("ssl", "strict"), ("always_use_https", "on")]


def test_what_the_plan_or_the_user_forbids_is_said() -> None:
    """And not tried."""
    found = observed(tls_1_3="off")
    found["tls_1_3"] = Observed("tls_1_3", "off", editable=False)
    del found["0rtt"]
    changes, notes = settings(found, NOW, origin_trusted=True, left_alone=frozenset({"ssl"}))
    assert changes == []
    assert sorted(note.what for note in notes) == ["setting 0rtt", "setting ssl", "setting tls_1_3"]


def test_hsts_grows_by_steps_that_are_held() -> None:
    """Five minutes, a day, a month, two years; an hour too early nothing happens."""
    assert next_step(0, timedelta(days=900)) == 300
    for (seconds, hold), (following, _) in pairwise(STEPS):
        assert next_step(seconds, hold - timedelta(hours=1)) == seconds
        assert next_step(seconds, hold) == following
    assert next_step(STEPS[-1][0], timedelta(days=900)) == STEPS[-1][0]
    assert next_step(90_000_000, timedelta(days=900)) == 90_000_000


def test_hsts_takes_nothing_along() -> None:
    """Whether it is preloaded, and holds for other names, stays as somebody chose."""
    found = {**observed(), "security_header": hsts(300, timedelta(days=2), preload=False, include_subdomains=True)}
    [change], _ = settings(found, NOW, origin_trusted=True)
    assert change.after == {
        "strict_transport_security": {
            "enabled": True, "max_age": 86_400, "preload": False, "include_subdomains": True
        }
    }  # fmt: skip
    found["security_header"] = hsts(86_400, timedelta(days=2))
    changes, notes = settings(found, NOW, origin_trusted=True)
    assert (changes, [note.wrong for note in notes]) == ([], [False])


@given(st.integers(0, 10**9), st.integers(0, 10**8))
def test_hsts_never_shrinks_and_never_skips_a_step(seconds: int, held: int) -> None:
    """Whatever stands there, and however long."""
    step, ages = next_step(seconds, timedelta(seconds=held)), [0, *(age for age, _ in STEPS)]
    assert step >= seconds
    if step != seconds:
        assert ages.index(step) == max(index for index, age in enumerate(ages) if age <= seconds) + 1


def phases(**found: tuple[Rule, ...]) -> dict[str, Phase]:
    """Every phase, with these rules."""
    return {name: Phase("r" * 32, found.get(name, ())) for name in rules.PHASES}


def as_made(plan_: str = "free") -> dict[str, tuple[Rule, ...]]:
    """What our own changes leave behind."""
    made: dict[str, tuple[Rule, ...]] = {}
    for change in plan(State({}, phases()), aim(plan_), NOW).changes:
        if isinstance(change, rules.RuleChange) and change.body is not None:
            rule = Rule(**{**change.body, "id": change.name})  # type: ignore[arg-type]
            made[change.phase] = (*made.get(change.phase, ()), rule)
    return made


@pytest.mark.parametrize("plan_", ["free", "pro"])
def test_what_was_made_is_not_made_again(plan_: str) -> None:
    """A second round finds nothing to do; a paid plan gets the full ruleset and the override."""
    made = as_made(plan_)
    assert set(made) == {MANAGED, CUSTOM, RATE, CACHE} | ({DDOS} if plan_ == "pro" else set())
    assert plan(State({}, phases(**made)), aim(plan_), NOW).changes == ()
    known = str(made[MANAGED][0].action_parameters["id"])
    assert known == (rules.FREE_MANAGED if plan_ == "free" else rules.MANAGED_RULESET)
    assert all("bot.example.com" in rule.expression for rule in (*made[CUSTOM], *made[CACHE]))
    assert ("http.host" in made[RATE][0].expression) == (plan_ == "pro")


def test_a_rule_of_ours_that_somebody_changed_comes_back() -> None:
    """Its expression, its parameters, and when it was switched off; one that is not wanted any more goes."""
    made = as_made()
    custom = made[CUSTOM]
    made[CUSTOM] = (structs.replace(custom[0], enabled=False), custom[1], Rule(id="x", ref="nasos_home_old"))
    made[CACHE] = (structs.replace(made[CACHE][0], action_parameters={"cache": True}), made[CACHE][1])
    found = plan(State({}, phases(**made)), aim(), NOW).changes
    told = [(change.name, change.body is None) for change in found if isinstance(change, rules.RuleChange)]
    assert told == [("old", True), ("methods", False), ("private", False)]


def test_others_rules_are_neither_ours_nor_in_our_way() -> None:
    """Another installation's mark is somebody else's; where there is no room left, that is said."""
    others = tuple(Rule(id=str(n), ref=f"nasos_other_{n}", expression="true", action="block") for n in range(4))
    found = plan(State({}, phases(**{CUSTOM: others, RATE: others[:1]})), aim(), NOW)
    told = {change.name for change in found.changes if isinstance(change, rules.RuleChange)}
    assert told == {"managed", "methods", "private", "assets"}
    assert {note.what for note in found.notes if note.wrong} == {
        f"rule probes in {CUSTOM}", f"rule logins in {RATE}"
    }  # fmt: skip
    assert all(change.rule is None for change in found.changes if isinstance(change, rules.RuleChange))


def test_a_ruleset_that_somebody_runs_already_is_not_run_twice() -> None:
    """And a weakened DDoS protection is pointed out."""
    theirs = Rule(id="m", ref="m", expression="true", action="execute", action_parameters={"id": rules.FREE_MANAGED})
    weak = Rule(
        id="d", ref="d", expression="true", action="execute",
        action_parameters={"id": rules.DDOS_RULESET, "overrides": {"sensitivity_level": "eoff"}},
    )  # fmt: skip
    found = plan(State({}, phases(**{MANAGED: (theirs,), DDOS: (weak,)})), aim(), NOW)
    assert "managed" not in {change.name for change in found.changes if isinstance(change, rules.RuleChange)}
    assert any(note.what == f"rule d in {DDOS}" for note in found.notes)


def test_without_a_host_of_ours_only_the_zones_own_protection_is_wanted() -> None:
    """Rules for nobody would be rules for everybody."""
    found = plan(State({}, phases()), aim(hosts=()), NOW)
    assert [change.what for change in found.changes] == [f"rule managed in {MANAGED}"]
    assert not found.clean


def test_all_settings_are_known_to_nasos_toml() -> None:
    """What may be left alone is what we would change."""
    from typing import get_args

    from nasos.settings.cloudflare import ZoneSetting

    assert set(get_args(ZoneSetting)) == set(NAMES)
