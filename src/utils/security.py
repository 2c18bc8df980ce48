"""``from src.utils.security import VaultClient``, from the repository root.

The path is the one in the operator's documents; the class is `nasos.VaultClient`, which an installed nasos offers
anywhere as ``from nasos import VaultClient``. The wheel ships no top-level ``src``.
"""

from __future__ import annotations

try:
    from nasos import VaultClient
except ModuleNotFoundError as error:
    raise ImportError(
        f"{error.name} is not installed for this Python; run your program with .venv/bin/python "
        "(./scripts/setup_security.sh makes it)"
    ) from None

__all__ = ["VaultClient"]
