from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from nasos.cloudflare.answers import Record
from nasos.cloudflare.labels import Wanted
from nasos.cloudflare.ownership import Owner
from nasos.cloudflare.plan import Change, Conflict, Plan, Policy, Terms, plan

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWNER = Owner("home")
TERMS = Terms(OWNER)


def want(name: str = "bot", content: str = "203.0.113.7", source: str = "bot", **more: object) -> Wanted:
    """A record as it should be."""
    base = Wanted("example.com", f"{name}.example.com", "A", content, proxied=True, ttl=1, source=source)
    return replace(base, **more)  # type: ignore[arg-type]


def have(id_: str, wanted: Wanted, **more: object) -> Record:
    """The record that was made for it, or with changes."""
    fields: dict[str, object] = {
        "name": wanted.name, "type": wanted.type, "content": wanted.content, "proxied": wanted.proxied,
        "ttl": wanted.ttl, "comment": OWNER.comment(wanted.source),
    }  # fmt: skip
    return Record(id_, **{**fields, **more})  # type: ignore[arg-type]


def made(
    records: list[Record], wanted: list[Wanted], terms: Terms = TERMS, after: float = 0,
    absent: Mapping[str, datetime] | None = None,
) -> Plan:  # fmt: skip
    """The plan, so many seconds later."""
    return plan(records, wanted, terms, NOW + timedelta(seconds=after), absent or {})


def test_what_is_missing_is_made_and_what_is_there_is_left() -> None:
    """And nothing else is said."""
    both = [want("a"), want("b")]
    result = made([have("1", want("a"))], both)
    assert result.changes == (Change("b.example.com", creates=(want("b"),)),)
    assert made([have("1", want("a")), have("2", want("b"))], both) == Plan((), (), (), (), {})


def test_every_drift_is_repaired_in_place() -> None:
    """Content, proxied, ttl and comment, by an update that keeps the record's ID."""
    drifts: tuple[dict[str, object], ...] = (
        {"content": "198.51.100.1"}, {"proxied": False}, {"proxied": None}, {"ttl": 300},
        {"comment": "nasos:home of somebody's"}, {"comment": "nasos:home"},
    )  # fmt: skip
    for drift in drifts:
        old = have("1", want(), **drift)
        assert made([old], [want()]).changes == (Change("bot.example.com", updates=((old, want()),)),), drift


def test_cloudflares_way_of_writing_is_no_drift() -> None:
    """Capitals, dots at the end."""
    alias = want(type="CNAME", content="home.example.net")
    assert made([have("1", alias, name="BOT.example.com.", content="Home.Example.NET.")], [alias]).changes == ()


def test_foreign_records_are_never_part_of_a_change() -> None:
    """By hand, of another owner, with a marker that only looks like ours, or of a type that we never make."""
    comments = (
        None,
        "",
        "by hand",
        "nasos",
        "nasos:",
        "nasos:home2",
        "nasos:hom",
        "Nasos:home x",
        " nasos:home x",
        "nasos:other x",
    )
    for comment in comments:
        foreign = have("1", want(), comment=comment)
        for policy in Policy:
            result = made([foreign], [want()], Terms(OWNER, policy, timedelta()))
            assert result.changes == ()
            assert result.conflicts == (Conflict("bot.example.com", "bot", "somebody else's A record is there"),), (
                comment
            )
            assert made([foreign], [], Terms(OWNER, policy, timedelta())) == Plan((), (), (), (), {})
    marked = have("1", want(), type="TXT", content="x")
    assert made([marked], [], Terms(OWNER, grace=timedelta())).changes == ()


def test_what_somebody_added_beside_ours_freezes_the_name() -> None:
    """Ours stays as it is until people have sorted it out; mail and text are no address."""
    ours, theirs = have("1", want(), ttl=300), have("2", want(), type="AAAA", content="2001:db8::1", comment=None)
    assert made([ours, theirs], [want()]).changes == ()
    assert made([ours, theirs], [want()]).conflicts
    mail = have("3", want(), type="MX", content="mail.example.net", comment=None)
    assert made([mail], [want()]).changes == (Change("bot.example.com", creates=(want(),)),)
    delegated = have("4", want(), type="NS", content="ns.example.net", comment=None)
    assert made([delegated], [want()]).conflicts
    apex = replace(want(), name="example.com")
    assert made([have("5", apex, type="NS", content="ns.example.net", comment=None)], [apex]).changes


def test_what_nobody_asks_for_goes_after_the_grace_and_not_before() -> None:
    """Counted from when it was first found so; a restart of the container in between takes the count back."""
    old = have("1", want())
    first = made([old], [])
    assert (first.changes, first.absent) == ((), {"1": NOW})
    assert first.waiting[0].until == NOW + timedelta(minutes=5)
    again = made([old], [], after=299, absent=first.absent)
    assert (again.changes, again.absent) == ((), first.absent)
    assert made([old], [], after=300, absent=first.absent).changes == (Change("bot.example.com", deletes=(old,)),)
    back = made([old], [want()], after=200, absent=first.absent)
    assert (back.changes, back.absent) == ((), {})


def test_a_deletion_that_failed_does_not_begin_its_grace_anew() -> None:
    """What is remembered is kept as long as the record is there."""
    due = made([have("1", want())], [], after=400, absent={"1": NOW, "gone": NOW})
    assert due.absent == {"1": NOW}


def test_a_clock_that_was_ahead_keeps_nothing_for_ever() -> None:
    """A first absence in the future counts from now."""
    result = made([have("1", want())], [], absent={"1": NOW + timedelta(days=9)})
    assert result.absent == {"1": NOW}


def test_labels_that_cannot_be_followed_change_nothing() -> None:
    """What is theirs stays, whatever the grace, and nobody takes its name meanwhile."""
    terms = Terms(OWNER, grace=timedelta(), held=frozenset({"bot"}))
    old = have("1", want(), ttl=300)
    assert made([old], [], terms) == Plan((), (), (), (), {})
    other = made([old], [want(source="a-thief", content="198.51.100.1")], terms)
    assert (other.changes, other.conflicts) == ((), (Conflict("bot.example.com", "a-thief", "bot has it"),))


def test_two_containers_with_one_name_never_flap() -> None:
    """The one that has it keeps it; else the first by name; the same wish twice is no conflict."""
    a, b = want(source="a", content="198.51.100.1"), want(source="b")
    result = made([], [b, a])
    assert result.changes == (Change("bot.example.com", creates=(a,)),)
    assert result.conflicts == (Conflict("bot.example.com", "b", "a has it"),)
    result = made([have("1", b)], [a, b])
    assert (result.changes, result.conflicts) == ((), (Conflict("bot.example.com", "a", "b has it"),))
    assert made([have("1", b)], [a]).changes[0].updates[0][1] == a
    twins = made([have("1", b)], [want(source="a"), b])
    assert (twins.changes, twins.conflicts) == ((), ())


def test_an_alias_takes_the_place_of_an_address_in_one_change() -> None:
    """So that the batch is one transaction; the other policies say that they may not."""
    alias, old = want(type="CNAME", content="home.example.net"), have("1", want())
    assert made([old], [alias]).changes == (Change("bot.example.com", deletes=(old,), creates=(alias,)),)
    for policy in (Policy.UPSERT_ONLY, Policy.CREATE_ONLY):
        result = made([old], [alias], Terms(OWNER, policy))
        assert (result.changes, len(result.withheld)) == ((), 1)


def test_the_policies_forbid_what_they_say() -> None:
    """upsert-only removes nothing; create-only changes nothing that is there; both say what they left."""
    stale, drifted = have("1", want("a")), have("2", want("b"), ttl=300)
    records, wanted = (
        [stale, drifted, have("3", want("c", "198.51.100.1")), have("4", want("c"))],
        [want("b"), want("c"), want("d")],
    )
    zero = timedelta()
    assert {each.name[0]: (len(each.deletes), len(each.updates), len(each.creates)) for each in
            made(records, wanted, Terms(OWNER, Policy.SYNC, zero)).changes} == {
        "a": (1, 0, 0), "b": (0, 1, 0), "c": (1, 0, 0), "d": (0, 0, 1)
    }  # fmt: skip
    upsert = made(records, wanted, Terms(OWNER, Policy.UPSERT_ONLY, zero))
    assert [each.name[0] for each in upsert.changes] == ["b", "d"]
    assert [each.name[0] for each in upsert.withheld] == ["a", "c"]
    create = made(records, wanted, Terms(OWNER, Policy.CREATE_ONLY, zero))
    assert [each.name[0] for each in create.changes] == ["d"]
    assert [each.name[0] for each in create.withheld] == ["a", "b", "c"]


def test_what_is_written_is_what_is_looked_for() -> None:
    """The marker matches its own selector for every source, within a Free zone's 100 characters."""
    owner = Owner("x" * 31)
    for source in ("bot", "x" * 60, "a.b_c-d"):
        record = have("1", want(), comment=owner.comment(source))
        assert owner.owns(record)
        assert owner.source(record) == source
        assert len(owner.comment(source)) <= 100
        assert not OWNER.owns(record)
