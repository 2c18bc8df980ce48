from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from nasos.checks import GROUPS, Rule, Target, exit_code, run, select, summary, text
from nasos.checks.rule import Failed, Passed, Skipped, Verdict
from nasos.errors import Error, UsageError, VaultSealed
from nasos.finding import Finding, Severity, State
from nasos.settings import BotSettings, CloudflareSettings

TOKEN = "hvs." + "A" * 24
NOWHERE = Target(
    now=datetime(2026, 11, 22, tzinfo=UTC),
    home=Path("/nonexistent"),
    project=None,
    places=(),
    ports=None,
    vault=None,
    key_file=None,
    listen="127.0.0.1",
    hosts=("localhost",),
    bot=BotSettings(),
    cloudflare=CloudflareSettings(None, None),
)


def rule(name: str, judge: Callable[[Target], Verdict] | Verdict, needs: tuple[str, ...] = ()) -> Rule:
    """A rule with this judgement."""
    judged = judge if callable(judge) else lambda _: judge
    return Rule(
        id=name, title="it holds", severity=Severity.HIGH, why="it matters", fix="mend it", judge=judged, needs=needs
    )


def raising(error: Exception) -> Callable[[Target], Verdict]:
    """A judge that cannot tell."""

    def judge(_: Target) -> Verdict:
        raise error

    return judge


def states(*rules: Rule, seconds: float = 10.0) -> dict[str, State]:
    """The state of each rule's finding."""
    return {finding.id: finding.state for finding in run(rules, NOWHERE, seconds)}


def test_no_rules_is_not_a_clean_bill() -> None:
    """An empty selection refuses."""
    with pytest.raises(Error, match="nothing to check"):
        run([], NOWHERE)


def test_findings_come_in_the_order_of_the_rules() -> None:
    """However long each takes."""

    def slow(_: Target) -> Verdict:
        time.sleep(0.05)
        return Passed("late")

    assert list(states(rule("a.slow", slow), rule("a.quick", Passed("soon")))) == ["a.slow", "a.quick"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (VaultSealed("vault is sealed"), "vault is sealed"),
        (PermissionError(13, "Permission denied", "/x"), "cannot look: permission denied (/x)"),
        (KeyError("surprise"), "the check itself failed: KeyError: 'surprise'"),
        (RuntimeError(f"with {TOKEN}"), "the check itself failed: RuntimeError: with [redacted]"),
    ],
)
def test_what_could_not_be_told_is_an_error_with_its_reason(error: Exception, said: str) -> None:
    """An exception of any kind is never green, and never shows a secret's shape."""
    [finding] = run([rule("a.b", raising(error))], NOWHERE)
    assert (finding.state, finding.evidence) == (State.ERROR, said)
    assert finding.fix == "mend it"


def test_a_check_that_hangs_is_given_up_and_the_others_are_not() -> None:
    """Each rule has its own time; a hanging one becomes an error and does not keep the process."""
    never = threading.Event()

    def hang(_: Target) -> Verdict:
        never.wait()
        return Passed("")

    found = states(
        rule("a.hangs", hang), rule("a.well", Passed("x")), rule("a.after", Passed("x"), ("a.hangs",)), seconds=0.2
    )
    assert found == {"a.hangs": State.ERROR, "a.well": State.PASS, "a.after": State.SKIP}
    never.set()


def test_checks_run_side_by_side() -> None:
    """Two that wait for each other both pass."""
    both = threading.Barrier(2, timeout=5)

    def meet(_: Target) -> Verdict:
        both.wait()
        return Passed("met")

    assert set(states(rule("a.one", meet), rule("a.two", meet)).values()) == {State.PASS}


@pytest.mark.parametrize("verdict", [Failed("seen"), Skipped("because")])
def test_dependents_of_what_did_not_pass_are_skipped_and_say_so(verdict: Verdict) -> None:
    """Also dependents of dependents; none of them is run."""
    ran: list[str] = []

    def judge(_: Target) -> Verdict:
        ran.append("judged")
        return Passed("x")

    findings = run([rule("a.c", judge, ("a.b",)), rule("a.b", judge, ("a.a",)), rule("a.a", verdict)], NOWHERE)
    assert [each.state for each in findings[:2]] == [State.SKIP, State.SKIP]
    assert findings[1].evidence == "depends on a.a, which did not pass"
    assert ran == []


def finding(state: State) -> Finding:
    """One in this state."""
    return Finding(
        id="a.b",
        title="it holds",
        severity=Severity.HIGH,
        state=state,
        evidence="seen",
        why="it matters",
        fix="mend it",
    )


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([State.PASS], 0),
        ([State.PASS, State.SKIP, State.WAIVED], 0),
        ([State.PASS, State.FAIL], 1),
        ([State.FAIL, State.ERROR], 1),
        ([State.PASS, State.ERROR], 3),
        ([State.SKIP], 3),
        ([], 3),
    ],
)
def test_exit_codes(found: list[State], code: int) -> None:
    """A failure is 1; could not tell is 3, also when nothing at all was judged."""
    assert exit_code([finding(state) for state in found]) == code


def test_the_report_is_one_line_each_and_a_block_for_what_needs_doing() -> None:
    """Symbols, evidence, why and fix, and a summary that calls nothing passed that was not."""
    lines = list(text([finding(state) for state in State]))
    assert lines == [
        "✓ a.b  it holds",
        "✗ a.b  it holds",
        "    seen: seen (high)",
        "    why:  it matters",
        "    fix:  mend it",
        "- a.b  skipped: seen",
        "? a.b  it holds",
        "    could not tell: seen (high)",
        "    why:  it matters",
        "    fix:  mend it",
        "~ a.b  it holds",
        "",
        "1 passed, 1 failed, 1 could not be told, 1 skipped, 1 waived",
    ]
    assert summary([finding(State.PASS)]) == {"pass": 1, "fail": 0, "skip": 0, "error": 0, "waived": 0}


def test_every_rule_is_well_formed() -> None:
    """Unique ids in their group, known needs without circles, and words for the operator."""
    rules = {each.id: each for each in select()}
    assert len(rules) == len(select())
    for name, each in rules.items():
        assert name.partition(".")[0] in GROUPS
        assert set(each.needs) <= set(rules)
        assert each.why[0].islower()
        assert each.fix
        assert not each.title.endswith(".")
    settled: set[str] = set()
    while len(settled) < len(rules):
        ready = {name for name, each in rules.items() if set(each.needs) <= settled} - settled
        assert ready, "needs go in a circle"
        settled |= ready


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_brings_what_it_needs(group: str) -> None:
    """Selecting one group selects its rules, and of others only what they need."""
    chosen = select([group])
    needed = {need for each in chosen for need in each.needs}
    assert {each.id for each in chosen if not each.id.startswith(f"{group}.")} <= needed <= {each.id for each in chosen}


def test_an_unknown_group_is_refused_with_the_known_ones() -> None:
    """A typing error is not an empty, clean test."""
    with pytest.raises(UsageError, match="vualt") as caught:
        select(["vualt"])
    assert "vault" in (caught.value.hint or "")


def test_every_check_is_explained_in_the_documentation() -> None:
    """docs/check.md has a heading per id, and none for a check that does not exist."""
    document = (Path(__file__).parents[3] / "docs" / "check.md").read_text()
    headings = re.findall(r"^### `([a-z.-]+)`$", document, re.MULTILINE)
    assert sorted(headings) == sorted(each.id for each in select())
    for each in select():
        section = document.split(f"### `{each.id}`")[1].split("###")[0]
        assert str(each.severity) in section, each.id


def test_findings_survive_json() -> None:
    """What --json prints can be read back as findings."""
    findings = [finding(state) for state in State]
    assert msgspec.json.decode(msgspec.json.encode(findings), type=list[Finding]) == findings
