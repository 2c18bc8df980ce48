"""``python -m nasos.stack.demo_exchange --port N [--listen 127.0.0.1]``: serve until SIGTERM."""

from __future__ import annotations

import argparse

from nasos.errors import Error
from nasos.stack.demo_exchange.server import Exchange, serve


def main() -> None:
    """Serve; one line on standard output names the address once it can be stopped cleanly."""
    parser = argparse.ArgumentParser(prog="python -m nasos.stack.demo_exchange", description="Synthetic market.")
    parser.add_argument("--port", type=int, required=True, help="port; 0 lets the system choose")
    parser.add_argument("--listen", default="127.0.0.1", help="loopback address (default: %(default)s)")
    options = parser.parse_args()
    try:
        exchange = Exchange(options.listen, options.port)
    except Error as error:
        parser.exit(error.exit_code, f"nasos: error: {error.message}\nnasos: hint: {error.hint}\n")
    address = f"http://{options.listen}:{exchange.port}"
    serve(exchange, announce=lambda: print(f"synthetic market on {address}", flush=True))  # noqa: T201 - its only output


if __name__ == "__main__":
    main()
