"""nginx takes up a new certificate again and again, while clients ask all the time: none of them notices."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from fixtures.edge import Edge, edge_config, running
from simulators.bot_api import ACCESS_TOKEN, BotApi

RELOADS = 12
REQUESTS = 25
"""Per reload."""


def test_no_request_fails_while_nginx_is_reloaded(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """New connections and requests in flight are answered, by the old workers or by the new ones."""
    with BotApi(certificates) as bot:
        config = edge_config(certificates, tmp_path, bot.port)
        with running(binary, config) as pid:
            edge = Edge(config, binary, bot, certificates / "ca.pem", pid)
            over, reloaded = threading.Event(), []

            def reload() -> None:
                while not over.wait(0.2):
                    os.kill(pid, signal.SIGHUP)
                    reloaded.append(1)

            thread = threading.Thread(target=reload)
            thread.start()
            try:
                statuses: list[int] = []
                while len(reloaded) < RELOADS or len(statuses) < RELOADS * REQUESTS:
                    edge.source = f"127.9.0.{len(statuses) // REQUESTS % 250 + 2}"  # under nginx's limits
                    statuses.append(edge.get("/healthz").status)
                    statuses.append(edge.get("/api/v1/count", Authorization=f"Bearer {ACCESS_TOKEN}").status)
            finally:
                over.set()
                thread.join()
            assert set(statuses) == {204, 200}
            assert (tmp_path / "error.log").read_text().count("reconfiguring") >= RELOADS / 2
