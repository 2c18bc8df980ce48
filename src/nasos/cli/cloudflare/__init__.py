"""``nasos cloudflare``: what labels ask for, compared with what the zone holds.

``target`` builds what the commands work with, ``commands`` are they, ``companion`` is the one that goes on, ``shown``
is what people and programs see; ``zone`` is the zone's own security, ``looks`` what the
security test asks.
"""

from __future__ import annotations

from nasos.cli.cloudflare.commands import cloudflare
from nasos.cli.cloudflare.companion import companion, docker_view
from nasos.cli.cloudflare.zone import zone

__all__ = ["cloudflare"]

cloudflare.add_command(companion)
cloudflare.add_command(docker_view)
cloudflare.add_command(zone)
