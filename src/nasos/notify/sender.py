"""``python -m nasos.notify.sender``: one message through apprise, then gone.

Rules: an order on standard input, one JSON answer per channel on standard output, each as soon as it is known; nothing
else is ever written, because apprise logs whole URLs (a refused one at ERROR, each request's address at DEBUG; seen in
2.2.0). Of a failure only its kind and a status code are told.
"""

from __future__ import annotations

import logging
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from nasos.notify.delivery import Delivery, Order

if TYPE_CHECKING:
    from collections.abc import Callable

_STATUS = re.compile(r"\berror[=:]? ?(\d{3})\b")


class _Listener(logging.Handler):
    """Keeps status codes of what apprise says in this thread; the words themselves go nowhere."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.status = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        found = _STATUS.search(record.getMessage())
        self.status = found[1] if found else self.status


def main() -> None:
    """Read the order, send, answer."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    logging.disable(logging.INFO)
    logging.getLogger().addHandler(logging.NullHandler())
    socket.setdefaulttimeout(
        8
    )  # services without a timeout of their own; HTTP ones get 4 s to connect and 4 s to answer
    with ThreadPoolExecutor(max_workers=8) as pool:
        for name, url in order.channels.items():
            pool.submit(_told, name, lambda url=url: send(url, order))  # type: ignore[misc]  # bound now


def _told(name: str, sending: Callable[[], str]) -> None:
    try:
        reason = sending()
    except Exception as error:  # noqa: BLE001  any of a hundred services; its words may hold the URL
        reason = f"the service failed ({type(error).__name__})"
    answer = msgspec.json.encode(Delivery(name, delivered=not reason, reason=reason))
    sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()


def send(url: str, order: Order) -> str:
    """Send through one channel; return why it failed, empty when it did not."""
    try:
        import apprise
    except ImportError:
        return 'apprise is not installed: pip install "nasos[alerts]"'
    listener, log = _Listener(), logging.getLogger("apprise")
    log.propagate = False
    log.addHandler(listener)
    service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        return "its URL is none that apprise understands"
    if service.notify(title=order.title, body=order.body, notify_type=apprise.NotifyType(order.urgency)):
        return ""
    return f"the receiver answered {listener.status}" if listener.status else "the receiver cannot be reached"


def understood(url: str) -> bool:
    """Whether apprise knows what to do with this URL; nothing is sent."""
    import apprise

    log = logging.getLogger("apprise")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None


if __name__ == "__main__":
    main()
