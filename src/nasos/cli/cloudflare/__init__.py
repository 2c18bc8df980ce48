"""``nasos cloudflare``: what labels ask for, compared with what the zone holds.

``target`` builds what the commands work with, ``commands`` are they, ``shown`` is what people and programs see.
"""

from __future__ import annotations

from nasos.cli.cloudflare.commands import cloudflare

__all__ = ["cloudflare"]
