"""Alerts out of the machine: what is worth one, when it is repeated, and how it is delivered.

``rules``      which events alert
``repeats``    the same alert not twice within its window; repeats are counted
``delivery``   `deliver`: a process of its own per delivery, killed when it takes too long
``sender``     that process; apprise lives there and nowhere else

A channel is a name and a URL, resolved by the caller (``kv/nasos/alerts/<name>``). A failed notice never fails the
work, and neither a URL nor a token of one is ever logged, shown or put on a command line.
"""

from __future__ import annotations

from nasos.notify.delivery import Channel, Delivery, deliver
from nasos.notify.notice import Notice, digest
from nasos.notify.repeats import WINDOW, Repeats
from nasos.notify.rules import worth

__all__ = ["WINDOW", "Channel", "Delivery", "Notice", "Repeats", "deliver", "digest", "worth"]
