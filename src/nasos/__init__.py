"""The security layer of a self-hosted freqtrade bot.

The house, top to bottom; a line may import the lines below it (import-linter keeps it so):

==============  =====================================================================
``cli``         composition root: the only place that prints, exits and builds objects
``stack``       the embedded one-machine stack: what runs, and who restarts it
``checks``      the security test
``bot``         inject, supervise and confine the trading bot
``tls``         certificates and nginx
``vault``       speak Vault and OpenBao; bootstrap; policies
``notify``      alerts out of the machine, each delivered by a process of its own
``ledger``      security events, hash-chained
``settings``    nasos.toml, .env and the environment: the only reader of ``os.environ``
``finding``     a judgement with id, severity, evidence, why and fix
``compress``    closed files made small
``disk``        room on the file systems that we write to
``files``       every byte on disk goes through here
``secret``      a value that cannot be printed
``errors``      what happened, and what to type next
==============  =====================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasos.vault import VaultClient

__all__ = ["VaultClient", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load ``VaultClient`` on first use (PEP 562): ``nasos --help`` must not pay for TLS and HTTP."""
    if name == "VaultClient":
        from nasos.vault import VaultClient

        return VaultClient
    raise AttributeError(f"module 'nasos' has no attribute {name!r}")
