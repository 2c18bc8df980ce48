from __future__ import annotations

import msgspec
import pytest

from nasos.ledger import Event, Outcome
from nasos.notify import WINDOW, Notice, Repeats, digest, worth
from nasos.notify.notice import MOST, Urgency


def event(name: str, outcome: str = "failed", target: str = "nasos", **detail: str) -> Event:
    """An event of the ledger."""
    return Event(
        seq=1, time="2026-11-23T07:00:00.000000+00:00", actor="a", event=name, target=target,
        outcome=Outcome(outcome), detail=detail, host="here", prev="0" * 64,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "outcome", "urgency"),
    [
        ("bot.refresh", "failed", Urgency.WARNING),
        ("bot.exit", "failed", Urgency.WARNING),
        ("bot.sandbox", "failed", Urgency.FAILURE),
        ("vault.stale-read", "failed", Urgency.FAILURE),
        ("tls.expiring", "failed", Urgency.FAILURE),
        ("program.failed", "failed", Urgency.FAILURE),
        ("ledger.damaged", "failed", Urgency.FAILURE),
        ("host.disk", "failed", Urgency.FAILURE),
        ("host.disk", "ok", None),
        ("something.new", "failed", Urgency.WARNING),
        ("something.new", "unknown", Urgency.WARNING),
        ("vault.unseal", "ok", Urgency.WARNING),
        ("something.new", "ok", None),
        ("something.new", "refused", None),
        ("bot.exit", "ok", None),
        ("secret.write", "failed", None),
        ("alert.send", "failed", None),
        ("tls.renew", "failed", None),
        ("alert.test", "unknown", None),
    ],
)
def test_which_events_alert(name: str, outcome: str, urgency: Urgency | None) -> None:
    """What failed is heard unless it is quiet; what went well is silent unless it is spoken."""
    notice = worth(event(name, outcome))
    assert (notice.urgency if notice else None) == urgency


def test_an_alert_says_what_when_where_and_why() -> None:
    """All that a person needs on a phone; whatever looks like a secret is cut out."""
    notice = worth(
        event("bot.refresh", reason="vault is sealed", seen="hvs.CAESIJabcdefghijklmnopqrstuvwxyz0123456789")
    )
    assert notice
    assert notice.title == "nasos: bot.refresh failed (nasos)"
    assert "reason: vault is sealed" in notice.body
    assert "at: 2026-11-23 07:00:00 UTC on here" in notice.body
    assert "hvs.CAESIJ" not in notice.body


def note(key: str = "k", body: str = "b") -> Notice:
    """A notice."""
    return Notice(key, f"title {key}", body)


def test_the_same_alert_is_sent_once_within_its_window_and_its_repeats_are_said_at_the_end() -> None:
    """One message, silence, one summary with the count and the last words; then silence again."""
    repeats = Repeats()
    assert repeats.offer(note(body="first"), 1000) == note(body="first")
    assert repeats.offer(note("other"), 1000)
    for second in range(1, 300):
        assert repeats.offer(note(body=f"at {second}"), 1000 + second) is None
        assert repeats.ended(1000 + second) == []
    [summary] = repeats.ended(1000 + WINDOW)
    assert summary.title == "title k, 299 more times"
    assert "at 299" in summary.body
    assert repeats.ended(1000 + WINDOW + 1) == []
    assert repeats.offer(note(), 1000 + WINDOW + 2) is None, "the summary began a window of its own"
    assert [each.title for each in repeats.ended(1000 + 2 * WINDOW)] == ["title k, 1 more time"]
    assert repeats.ended(1000 + 3 * WINDOW) == []
    assert repeats.windows == {}


def test_what_was_said_survives_a_restart() -> None:
    """The state is a value: stored and read again it holds back as before."""
    repeats = Repeats()
    repeats.offer(note(), 1000)
    again = msgspec.json.decode(msgspec.json.encode(repeats), type=Repeats)
    assert again.offer(note(), 1001) is None


def test_a_clock_that_jumped_back_mutes_for_one_window_at_most() -> None:
    """A window that began in the future begins now."""
    repeats = Repeats()
    repeats.offer(note(), 1_000_000)
    assert repeats.offer(note(), 1000) is None
    assert repeats.ended(1000 + WINDOW)
    assert repeats.offer(note(), 1000 + 3 * WINDOW) is not None


def test_many_at_once_are_one_message() -> None:
    """The most urgent decides; beyond what a phone shows they are counted."""
    one = digest([note()])
    assert one == note()
    many = digest([note(str(n)) for n in range(MOST + 3)] + [Notice("x", "t", "b", Urgency.FAILURE)])
    assert many.urgency is Urgency.FAILURE
    assert many.title.startswith(f"{MOST + 4} alerts")
    assert "and 4 more" in many.body
