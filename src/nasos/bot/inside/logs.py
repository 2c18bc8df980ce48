"""Secrets are cut out of every log record where it is made: console, ``--logfile`` and the API's ``/logs`` are clean.

uvicorn's line with the websocket token does not appear at any verbosity.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from nasos.bot.document import texts
from nasos.secret import RedactionFilter, Redactor, Secret


def redact(redactor: Redactor) -> None:
    """Cut what ``redactor`` knows, and learns later, out of every log record from now on."""
    clean = RedactionFilter(redactor).filter
    make = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401  logging's own signature
        record = make(*args, **kwargs)
        clean(record)
        return record

    logging.setLogRecordFactory(made)
    # A filter on the logger outlives freqtrade's dictConfig, which replaces levels and handlers only.
    logging.getLogger("uvicorn.error").addFilter(_not_a_websocket_request)


def secrets_of(document: Mapping[str, object]) -> Iterator[Secret]:
    """The secret values of a document as the launcher sends it."""
    yield from map(Secret, texts(document))


def _not_a_websocket_request(record: logging.LogRecord) -> bool:
    return '"WebSocket ' not in str(record.msg)
