"""``nasos cloudflare``: what labels ask for, compared with what the zone holds.

``target`` builds what the commands work with, ``commands`` are they, ``companion`` is the one that goes on, ``shown``
is what people and programs see.
"""

from __future__ import annotations

from nasos.cli.cloudflare.commands import cloudflare
from nasos.cli.cloudflare.companion import companion

__all__ = ["cloudflare"]

cloudflare.add_command(companion)
