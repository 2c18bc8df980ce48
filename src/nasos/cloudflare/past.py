"""Which records lead past Cloudflare to the machine behind it; pure.

Rules: a name of ours without a record is said, because visitors do not arrive; one that is not proxied shows the
machine's address, and so does any other record of the zone that holds the same address in plain sight (an old name, a
mail server, an SPF text).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nasos.cloudflare.answers import Record
from nasos.cloudflare.names import same
from nasos.cloudflare.ownership import TYPES


def past(records: Sequence[Record], hosts: Sequence[str], targets: Sequence[str] = ()) -> tuple[str, ...]:
    """What is wrong; ``hosts`` are ours in this zone, ``targets`` (canonical) where they may lead, empty: anywhere."""
    own = [(host, _of(records, host)) for host in hosts]
    wrong = [words for host, found in own for words in _wrong(host, found, targets)]
    hidden = {record.id for _, found in own for record in found}
    origins = {same(record.content or "") for _, found in own for record in found if record.proxied}
    shown = [
        f"{same(record.name)} ({record.type}) shows the address behind {hosts[0]}"
        for record in records
        if record.id not in hidden and not record.proxied and _holds(record, origins)
    ]
    return (*wrong, *shown)


def _of(records: Sequence[Record], host: str) -> list[Record]:
    """A name's own records, else the wildcard's, as DNS has it."""
    for name in (host, f"*.{host.partition('.')[2]}"):
        if found := [record for record in records if record.type in TYPES and same(record.name) == name]:
            return found
    return []


def _wrong(host: str, found: Sequence[Record], targets: Sequence[str]) -> Iterator[str]:
    if not found:
        yield f"{host} has no record"
    for record in found:
        if not record.proxied:
            yield f"{host} ({record.type}) is not proxied"
        elif targets and same(record.content or "") not in targets:
            yield f"{host} leads to {record.content}, which is no target of ours"


def _holds(record: Record, origins: set[str]) -> bool:
    words = re.split(r"[\s\"=/;,]+|ip[46]:", (record.content or "").lower())
    return bool(origins & {same(word) for word in words if word})
