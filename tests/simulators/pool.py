"""A program with an SQLAlchemy pool, in the bot's environment: one JSON order per line in, one answer per line out.

Orders: ``["query", SQL]``, ``["hold", NAME]`` (a connection in an open transaction), ``["in", NAME, SQL]``,
``["release", NAME]``.
"""

from __future__ import annotations

import json
import sys

import sqlalchemy


def main(source: str, url: str) -> None:
    """Obey until the input ends."""
    sys.path.insert(0, source)  # the checkout's plugin, not the installed copy
    engine = sqlalchemy.create_engine(url)
    held: dict[str, sqlalchemy.Connection] = {}
    for line in sys.stdin:
        order, *arguments = json.loads(line)
        try:
            answer = obey(engine, held, order, arguments)
        except Exception as error:  # noqa: BLE001  whatever SQLAlchemy raises is the answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def obey(engine: sqlalchemy.Engine, held: dict[str, sqlalchemy.Connection], order: str, arguments: list[str]) -> object:
    """One order."""
    match order:
        case "query":
            with engine.begin() as connection:
                return run(connection, arguments[0])
        case "hold":
            held[arguments[0]] = engine.connect()
            return run(held[arguments[0]], "SELECT session_user, current_user")
        case "in":
            return run(held[arguments[0]], arguments[1])
        case "release":
            held[arguments[0]].commit()
            held.pop(arguments[0]).close()
            return None
        case _:
            return repr(engine.url) + repr(engine.pool._pre_ping)


def run(connection: sqlalchemy.Connection, statement: str) -> object:
    """Rows as lists."""
    result = connection.execute(sqlalchemy.text(statement))
    return [list(row) for row in result] if result.returns_rows else None


if __name__ == "__main__":
    main(*sys.argv[1:])
