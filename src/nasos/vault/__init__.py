"""Speak Vault and OpenBao.

================  ==========================================================================
``face``          `VaultClient`: what a program uses
``cache``         what was read a moment ago, and what may be used while Vault is away
``store``         records, versions, and the contract that both stores keep
``kv``            the store on KV version 2
``memory``        the store without a server
``names``         what may be a path, a field and a value
``session``       every request with a living token
``auth``          where tokens come from: AppRole, wrapped SecretID, a given token
``retry``         the one retry policy
``client``        `VaultApi`: one request, typed refusals
``refusal``       what a "no" means
``wire``          kept TLS connections
``system``        what a server says of itself
``bootstrap``     observe, plan, apply; ``desired``, ``reconcile``, ``credentials``, ``recovery`` are its parts
``roles``         one policy and AppRole per service, from ``policies/*.hcl``
``server``        the embedded server's configuration and unseal key
================  ==========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasos.vault.face import VaultClient

__all__ = ["VaultClient"]


def __getattr__(name: str) -> object:
    """Load ``VaultClient`` on first use (PEP 562): bootstrap and checks speak to Vault without it."""
    if name == "VaultClient":
        from nasos.vault.face import VaultClient

        return VaultClient
    raise AttributeError(f"module 'nasos.vault' has no attribute {name!r}")
