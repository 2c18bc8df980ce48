"""Threads that write to PostgreSQL by the plugin of the bot, in the environment of the bot, until told to end.

One line of JSON at the end: how many rows each thread wrote, every failure, and the longest pause of any thread.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import sqlalchemy

INSERT = sqlalchemy.text("INSERT INTO written (writer, number) VALUES (:writer, :number)")


class Writer(threading.Thread):
    """Writes row after row, each in a transaction of its own."""

    def __init__(self, engine: sqlalchemy.Engine, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._engine, self._number, self._stop_now = engine, number, stop
        self.rows, self.longest = 0, 0.0
        self.failures: list[str] = []

    def run(self) -> None:
        """Until told to end."""
        while not self._stop_now.is_set():
            begun = time.monotonic()
            try:
                with self._engine.begin() as connection:
                    connection.execute(INSERT, {"writer": self._number, "number": self.rows})
                self.rows += 1
            except Exception as error:  # noqa: BLE001  whatever SQLAlchemy raises is a failed query
                self.failures.append(f"{type(error).__name__}: {error}"[:300])
            self.longest = max(self.longest, time.monotonic() - begun)
            # Trading bots think between their queries; eight that never do would only measure the processor.
            time.sleep(0.005)


def main(source: str, url: str, count: int) -> None:
    """Write until the input ends."""
    sys.path.insert(0, source)  # the checkout's plugin, not the installed copy
    engine, stop = sqlalchemy.create_engine(url, pool_size=count), threading.Event()
    writers = [Writer(engine, number, stop) for number in range(count)]
    for writer in writers:
        writer.start()
    sys.stdin.read()
    stop.set()
    for writer in writers:
        writer.join(60)
    sys.stdout.write(
        json.dumps(
            {
                "rows": [writer.rows for writer in writers],
                "failures": [text for writer in writers for text in writer.failures],
                "longest": max(writer.longest for writer in writers),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
