"""``python -m nasos.gateway CONFIG``: what supervisord starts; CONFIG names places and ports, and holds no secret."""

from __future__ import annotations

import sys

from nasos.bot.tether import seal_memory
from nasos.errors import Error
from nasos.gateway.config import Config


def main() -> None:
    """Serve until SIGTERM."""
    seal_memory()
    from nasos.gateway.server import serve

    serve(Config.decode(sys.argv[1]))


if __name__ == "__main__":
    try:
        main()
    except Error as error:
        sys.exit(f"nasos: error: {error.message}")
