"""An ACME client from settings. Imported only where one is needed: the library takes half a second to load."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from nasos.errors import TlsError
from nasos.files import read_private
from nasos.secret import Secret
from nasos.settings import AcmeSettings
from nasos.tls.certificate import Key
from nasos.tls.issuer import Issuer
from nasos.tls.trust import EXTRA


def maker(acme: AcmeSettings, warn: Callable[[str], None]) -> Callable[[Key, bytes | None], Issuer]:
    """What makes an issuer for an account; the libraries are loaded when it does.

    Raises (when called):
        TlsError: They are not installed, or a file that is named is not in order.
    """
    return partial(_made, acme, warn)


def _made(acme: AcmeSettings, warn: Callable[[str], None], account: Key, replaces: bytes | None) -> Issuer:
    try:
        from nasos.tls.acme import Acme
        from nasos.tls.acme_client import Authority, ExternalAccount
        from nasos.tls.dns01 import Command
        from nasos.tls.propagation import Propagation, server
    except ModuleNotFoundError:
        raise TlsError("what ACME needs is not installed", EXTRA) from None
    external = None
    if acme.eab_kid and acme.eab_key_file:
        key = read_private(Path(acme.eab_key_file).expanduser()).decode(errors="replace").strip()
        external = ExternalAccount(acme.eab_kid, Secret(key))
    return Acme(
        authority=Authority(
            directory=acme.directory, contact=acme.contact, agreed=acme.agree_to_terms, external=external,
            ca_file=str(Path(acme.ca_file).expanduser()) if acme.ca_file else None, profile=acme.profile,
        ),
        account=account,
        solver=Command(acme.program, acme.seconds),
        published=Propagation(acme.propagation_seconds, servers=[server(text) for text in acme.nameservers]),
        replaces=replaces,
        warn=warn,
    )  # fmt: skip
