"""Host names and addresses as they may stand in a certificate and in nginx's ``server_name``.

Rules: ASCII, lower case, no wildcard, no port; an address is an address, never a name that looks like one. What is
refused here never reaches a certificate or a configuration file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from nasos.errors import NameRefused

Host: TypeAlias = str | IPv4Address | IPv6Address
"""A DNS name, or an address."""

# RFC 1123 labels; a name whose last label is all digits would be read as an address by browsers (WHATWG URL).
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?!\d+\Z){_LABEL}")


def host(text: str) -> Host:
    """``text`` as a name or an address; ``[::1]`` and ``LOCALHOST.`` are understood.

    Raises:
        NameRefused: It is neither.
    """
    plain = text.strip().lower()
    try:
        return ipaddress.ip_address(plain.removeprefix("[").removesuffix("]"))
    except ValueError:
        pass
    name = plain.removesuffix(".")
    if not _NAME.fullmatch(name):
        hint = "write names like bot.home.arpa or addresses like 192.168.1.5, without port or wildcard"
        if not name.isascii():
            hint = "write an international name in its xn-- form"
        raise NameRefused(f"{text!r} is neither a host name nor an address", hint)
    return name


def hosts(texts: Iterable[str]) -> tuple[Host, ...]:
    """Each of ``texts`` once, in order.

    Raises:
        NameRefused: One is neither name nor address, or there is none at all.
    """
    known = tuple(dict.fromkeys(host(text) for text in texts))
    if not known:
        raise NameRefused("a certificate needs at least one host name", 'hosts = ["localhost"] under [tls]')
    return known


def covers(permitted: Iterable[str | ipaddress.IPv4Network | ipaddress.IPv6Network], wanted: Host) -> bool:
    """Whether a permitted name (with all below it) or network holds ``wanted``, as RFC 5280 4.2.1.10 reads them."""
    for entry in permitted:
        if isinstance(entry, str) and isinstance(wanted, str):
            if wanted == entry or wanted.endswith(f".{entry}"):
                return True
        elif not isinstance(entry, str) and not isinstance(wanted, str) and wanted in entry:
            return True
    return False


def local(wanted: Host) -> bool:
    """Whether ``wanted`` is reachable on a private network only: no public name, no public address."""
    if not isinstance(wanted, str):
        return wanted.is_private
    # RFC 6761 (localhost, test), RFC 6762 (local), RFC 8375 (home.arpa), ICANN 2024 (internal); or one single label.
    return "." not in wanted or wanted.endswith((".localhost", ".test", ".local", ".home.arpa", ".internal", ".lan"))
