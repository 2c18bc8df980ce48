"""Name servers of a zone, on loopback addresses under one port; each may lag behind or be silent."""

from __future__ import annotations

import socket
import threading
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import dns.rrset

ZONE = dns.name.from_text("example.org")


class NameServer:
    """One authoritative server, which knows the whole tree and is a resolver for it, too."""

    def __init__(self, address: str, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self.address = address
        self.port: int = self._socket.getsockname()[1]
        self.records: list[dns.rrset.RRset] = []
        self.silent = False
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def knows(self, name: str, kind: str, *values: str) -> None:
        """Add records."""
        self.records.append(dns.rrset.from_text_list(dns.name.from_text(name), 60, "IN", kind, list(values)))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_args: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (self.address, self.port))
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            wire, peer = self._socket.recvfrom(4096)
            if not wire:
                return
            if not self.silent:
                self._socket.sendto(self._answer(dns.message.from_wire(wire)), peer)

    def _answer(self, question: dns.message.Message) -> bytes:
        answer = dns.message.make_response(question, recursion_available=True)
        answer.flags |= dns.flags.AA
        name, kind = question.question[0].name, question.question[0].rdtype
        self.asked.append(f"{name} {dns.rdatatype.to_text(kind)}")
        while found := [each for each in self.records if each.name == name]:
            cname = next((each for each in found if each.rdtype == dns.rdatatype.CNAME), None)
            answer.answer += [each for each in found if each.rdtype == kind]
            if cname is None:
                break
            answer.answer.append(cname)
            name = cname[0].target
        return answer.to_wire()


def resolver_at(server: NameServer) -> dns.resolver.Resolver:
    """A resolver that asks this server for everything."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [server.address], server.port
    return resolver
