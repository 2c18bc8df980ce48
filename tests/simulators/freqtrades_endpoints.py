"""freqtrade's own list of its endpoints, told by its own application object: run in the bot's environment.

Prints JSON: what its OpenAPI document names, and what it routes beside that (pages, websocket, the document itself).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from freqtrade.rpc.api_server.webserver import ApiServer


def hidden(router: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of every route that is not in the document; a websocket opens with a GET."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from hidden(inner, prefix + route.include_context.prefix)
        elif not getattr(route, "include_in_schema", False):
            for method in getattr(route, "methods", None) or {"GET"}:
                yield method, prefix + route.path


def main() -> None:
    """Builds the application as freqtrade does, without starting it."""
    app = FastAPI(docs_url="/docs", redoc_url=None)
    settings = {"username": "u", "password": "p", "jwt_secret_key": "k" * 40}
    ApiServer.configure_app(object.__new__(ApiServer), app, {"api_server": settings})
    paths = app.openapi()["paths"]
    documented = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    json.dump({"documented": sorted(documented), "hidden": sorted(hidden(app))}, sys.stdout)


main()
