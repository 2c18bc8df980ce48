"""Every listener of the stack against Mozilla's intermediate profile 6.0, judged by sslyze; and by its clients' eyes.

Accepted: OpenBao also offers secp521r1. The list of groups is Go's own, and OpenBao has no setting for it; the group is
no weaker than the profile's.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.listeners import LISTENERS, Listener, issues, serving
from nasos.tls.dev_ca import DevCa

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
ACCEPTED = {"vault": {"tls_curves": "TLS curves {'secp521r1'} are supported, but should be rejected."}}


@pytest.mark.parametrize("name", LISTENERS)
def test_a_listener_is_as_mozilla_wants_it(request: pytest.FixtureRequest, name: str) -> None:
    """Intermediate 6.0: protocols, ciphers, groups, certificate, known weaknesses."""
    assert issues(LISTENERS[name](request)) == ACCEPTED.get(name, {})


def test_the_judge_can_say_no(certificates: Path) -> None:
    """OpenSSL's usual server is refused for its ciphers and groups: sslyze looks at what the other test is about."""
    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    usual.load_cert_chain(certificates / "bot.pem", certificates / "bot.key")
    usual.set_ciphers("ECDHE+AESGCM:ECDHE+AES")
    with serving(usual) as port:
        found = issues(Listener(port, "bot.localhost", certificates / "ca.pem"))
    assert {"ciphers", "tls_curves"} <= set(found)


@pytest.mark.parametrize("name", LISTENERS)
def test_a_listener_is_taken_for_itself_only(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> None:
    """Under its name and by its CA; not under another name, not by another CA, not without any."""
    listener = LISTENERS[name](request)
    strict = ssl.create_default_context(cafile=str(listener.ca))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    listener.connect(strict, listener.name)
    other = DevCa.open(tmp_path, now=datetime.now(UTC))
    foreign = ssl.create_default_context(cafile=str(other.path))
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context, asked in ((strict, "evil.localhost"), (foreign, listener.name), (nobody, listener.name)):
        with pytest.raises(ssl.SSLError):
            listener.connect(context, asked)
