from __future__ import annotations

import msgspec
import pytest

from nasos.finding import Finding, Severity, State


def finding(state: State, **fields: str) -> Finding:
    """A finding in this state with these texts."""
    return Finding(
        id=fields.pop("id", "vault.sealed"), title="Vault is unsealed", severity=Severity.HIGH, state=state, **fields
    )


@pytest.mark.parametrize("state", [State.SKIP, State.ERROR, State.WAIVED])
def test_what_could_not_be_told_carries_its_reason(state: State) -> None:
    """Skip, error and waived without a reason are refused."""
    with pytest.raises(ValueError, match="needs its reason"):
        finding(state)
    assert finding(state, evidence="vault is down").evidence == "vault is down"


@pytest.mark.parametrize("fields", [{}, {"why": "w"}, {"fix": "f"}])
def test_a_failure_says_why_and_how_to_mend_it(fields: dict[str, str]) -> None:
    """A failure without why or fix is refused."""
    with pytest.raises(ValueError, match="needs why and fix"):
        finding(State.FAIL, **fields)
    assert finding(State.FAIL, why="w", fix="f").bad


@pytest.mark.parametrize(
    ("state", "bad"),
    [(State.PASS, False), (State.SKIP, False), (State.WAIVED, False), (State.FAIL, True), (State.ERROR, True)],
)
def test_could_not_tell_is_never_green(state: State, bad: bool) -> None:  # noqa: FBT001  a table
    """An error counts as bad, like a failure."""
    assert finding(state, evidence="e", why="w", fix="f").bad is bad


@pytest.mark.parametrize("name", ["", "vault", "Vault.sealed", "vault.", "vault sealed.x", "vault.sealed\n", ".x"])
def test_an_id_is_a_dotted_name(name: str) -> None:
    """Ids are stable names that documents and waivers refer to."""
    with pytest.raises(ValueError, match="dotted name"):
        finding(State.PASS, id=name)


def test_a_finding_is_frozen_and_survives_json() -> None:
    """One judgement, written once, the same after a round trip."""
    before = finding(State.FAIL, evidence="e", why="w", fix="f")
    with pytest.raises(AttributeError):
        before.state = State.PASS  # type: ignore[misc]
    assert msgspec.json.decode(msgspec.json.encode(before), type=Finding) == before
