"""A plan and what came of it, for people and for programs (docs/json.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nasos.cli import output
from nasos.cloudflare.answers import Record, Zone
from nasos.cloudflare.apply import Refused
from nasos.cloudflare.labels import Mistake, Wanted
from nasos.cloudflare.plan import Change, Plan

_SIGNS = {"create": "+", "update": "~", "delete": "-"}


def changes(found: Iterable[Change]) -> list[dict[str, object]]:
    """One entry per record."""
    return [entry for change in found for entry in _entries(change)]


def _entries(change: Change) -> Iterator[dict[str, object]]:
    for record in change.deletes:
        yield {"action": "delete", **_observed(record), "source": None, "before": None}
    for record, wanted in change.updates:
        yield {"action": "update", **_wanted(wanted), "before": _observed(record)}
    for wanted in change.creates:
        yield {"action": "create", **_wanted(wanted), "before": None}


def _wanted(wanted: Wanted) -> dict[str, object]:
    return {
        "name": wanted.name, "type": wanted.type, "content": wanted.content, "proxied": wanted.proxied,
        "ttl": wanted.ttl, "source": wanted.source,
    }  # fmt: skip


def _observed(record: Record) -> dict[str, object]:
    return {
        "name": record.name, "type": record.type, "content": record.content, "proxied": bool(record.proxied),
        "ttl": record.ttl,
    }  # fmt: skip


def zone(at: Zone, plan: Plan, listed: Iterable[Change], refused: Iterable[Refused] = ()) -> dict[str, object]:
    """One zone: what is to be done, or was done."""
    return {
        "zone": at.name,
        "changes": changes(listed),
        "refused": [{"name": each.change.name, "reason": each.error.message} for each in refused],
        "conflicts": [{"name": each.name, "source": each.source, "reason": each.reason} for each in plan.conflicts],
        "waiting": [{**_observed(each.record), "until": each.until} for each in plan.waiting],
        "withheld": changes(plan.withheld),
    }


def mistakes(found: Iterable[Mistake]) -> list[dict[str, object]]:
    """Labels that could not be followed."""
    return [{"container": each.container, "message": each.message, "hint": each.hint} for each in found]


def show(document: dict[str, object], *, done: bool) -> None:
    """One zone for people."""
    output.say(f"{document['zone']}: {'done' if done else 'to do'}")
    lines = [_line(entry, _SIGNS[str(entry["action"])]) for entry in _list(document, "changes")]
    lines += [f"  ! {entry['name']}: {entry['reason']}" for entry in _list(document, "refused")]
    lines += [
        f"  ! {entry['name']}, for {entry['source']}: {entry['reason']}" for entry in _list(document, "conflicts")
    ]
    for entry in _list(document, "waiting"):
        lines += [f"{_line(entry, '.')}  goes at {entry['until']:%Y-%m-%d %H:%M:%S} UTC"]
    for entry in _list(document, "withheld"):
        lines += [f"{_line(entry, 'x')}  the policy forbids to {entry['action']} it"]
    for line in lines or ["  nothing"]:
        output.say(line)


def show_mistakes(found: Iterable[Mistake]) -> None:
    """What to mend."""
    for each in found:
        output.say(f"! {each.container}: {each.message}" + (f" ({each.hint})" if each.hint else ""))


def _list(document: dict[str, object], key: str) -> list[dict[str, object]]:
    found = document[key]
    return found if isinstance(found, list) else []


def _line(entry: dict[str, object], sign: str) -> str:
    before = entry.get("before")
    was = f"  was {_value(before)}" if isinstance(before, dict) else ""
    source = f"  for {entry['source']}" if entry.get("source") else ""
    return f"  {sign} {entry['name']}  {_value(entry)}{source}{was}"


def _value(entry: dict[str, object]) -> str:
    how = "proxied" if entry["proxied"] else "not proxied" if entry["ttl"] == 1 else f"not proxied, ttl {entry['ttl']}"
    return f"{entry['type']} {entry['content']} ({how})"
