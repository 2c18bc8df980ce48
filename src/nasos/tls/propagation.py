"""Whether a challenge can be seen in the DNS, before the CA is told to look.

Rules: asked are the name servers of the zone themselves, all of them, because a CA may ask any, and because a resolver
would remember that there was nothing; a CNAME at the challenge's name is followed (RFC 8555 8.4 leaves that to the
DNS). A CA that looks too early counts a failure, and five in an hour stop a host at Let's Encrypt.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from nasos.errors import TlsError
from nasos.tls.dns01 import Record

_HINT: Final = 'nameservers = ["9.9.9.9"] under [tls.acme] asks a resolver instead of the zone\'s own servers'

Server = tuple[str, int]
"""Address and port."""


def server(text: str) -> Server:
    """``192.0.2.1``, ``192.0.2.1:5353``, ``2001:db8::1`` or ``[2001:db8::1]:5353``.

    Raises:
        TlsError: It is none of these.
    """
    address, port = text, "53"
    if text.count(":") == 1 or text.startswith("["):
        address, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "53")
    try:
        return str(ipaddress.ip_address(address.strip("[]"))), int(port)
    except ValueError:
        raise TlsError(f"{text!r} is not the address of a name server", _HINT) from None


@dataclass(frozen=True, slots=True)
class Propagation:
    """How long, and whom to ask."""

    seconds: float = 300.0
    servers: Sequence[Server] = ()
    """Asked instead of the zone's own ones."""
    resolver: dns.resolver.Resolver | None = None
    """Who knows which those are; the system's by default."""
    port: int = 53
    """Where the zone's own servers listen."""
    patience: float = 3.0
    """Seconds for one answer."""

    def wait(self, records: Iterable[Record]) -> None:
        """Return when every server shows every record.

        Raises:
            TlsError: Not in time; names who does not show what.
        """
        deadline, pause = time.monotonic() + self.seconds, 0.25
        for record in records:
            while lacking := self._lacking(record):
                if time.monotonic() + pause > deadline:
                    raise TlsError(f"{record.name} is not in the DNS after {self.seconds:.0f} s: {lacking}", _HINT)
                time.sleep(pause)
                pause = min(pause * 1.5, 10.0)

    def _lacking(self, record: Record) -> str:
        """Who does not show the record; empty when nobody is left."""
        try:
            name, groups = dns.name.from_text(record.name), [[each] for each in self.servers]
            if not groups:
                name, groups = self._authorities(name)
            failing = [flaw for group in groups if (flaw := self._flaw(name, record.value, group))]
            return "; ".join(failing)
        except (dns.exception.DNSException, OSError) as error:
            return str(error)[:200] or type(error).__name__

    def _authorities(self, name: dns.name.Name) -> tuple[dns.name.Name, list[list[Server]]]:
        """The name at the end of the CNAMEs, and the addresses of each server of its zone."""
        resolver = self.resolver or dns.resolver.Resolver()
        name = resolver.canonical_name(name)
        zone = dns.resolver.zone_for_name(name, resolver=resolver)
        found = [resolver.resolve_name(answer.target).addresses() for answer in resolver.resolve(zone, "NS")]
        return name, [[(str(address), self.port) for address in addresses] for addresses in found]

    def _flaw(self, name: dns.name.Name, value: str, addresses: Sequence[Server]) -> str:
        """What speaks against one server: an address without the record, or none that answers.

        One address without an answer is none: a machine without IPv6 reaches half of them.
        """
        said = {address: _values(name, address, port, self.patience) for address, port in addresses}
        without = [address for address, values in said.items() if values is not None and value not in values]
        if without:
            return f"not shown by {', '.join(without)}"
        silent = all(values is None for values in said.values())
        return f"no answer from {', '.join(said)}" * silent


def _values(name: dns.name.Name, address: str, port: int, patience: float) -> set[str] | None:
    """What stands at one address; None where nobody answers."""
    question = dns.message.make_query(name, dns.rdatatype.TXT)
    try:
        answer, _ = dns.query.udp_with_fallback(question, address, patience, port)
    except (dns.exception.DNSException, OSError):
        return None
    return {
        b"".join(text.strings).decode(errors="replace")
        for found in answer.answer for text in found if isinstance(text, TXT)
    }  # fmt: skip
