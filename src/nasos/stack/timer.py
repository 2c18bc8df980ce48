"""Rotation by systemd instead of the stack's own program: a timer that runs ``nasos rotate due``.

Rules: as for the unit of the boot (`boot.py`): paths and no secret, hardened, removed without a trace. Every quarter of
an hour, because no window is shorter; what the timetable does not call due is only looked at. What was missed while the
machine was off is made up for at once (``Persistent``), as far as the windows allow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from nasos.files import atomic_write
from nasos.stack.boot import Boot, environment, hardening, quoted
from nasos.stack.embedded import Stack
from nasos.stack.home import require_spellable

_SERVICE: Final = """\
# Written by nasos rotate install-timer; --remove takes it away. It holds paths and no secret.
[Unit]
Description=nasos: rotate what is due in {home}
RequiresMountsFor={mounts}

[Service]
Type=oneshot
WorkingDirectory={place}
{environment}ExecStart={python} -m nasos rotate due
TimeoutStartSec=30min
{hardening}"""
_TIMER: Final = """\
# Written by nasos rotate install-timer; --remove takes it away.
[Unit]
Description=nasos: the timetable of rotation of {home}

[Timer]
OnCalendar=*:0/15
RandomizedDelaySec=60
Persistent=true

[Install]
WantedBy=timers.target
"""


def units(stack: Stack) -> tuple[Boot, Boot]:
    """Where the service and its timer go."""
    return Boot.of(stack, "-rotate.service"), Boot.of(stack, "-rotate.timer")


def install(stack: Stack, places: tuple[Boot, Boot] | None = None) -> list[str]:
    """Write both and start the timer; return what the operator still has to know.

    Raises:
        StackError: systemd refuses, or a path cannot stand in a unit.
    """
    service, timer = places or units(stack)
    service.path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(service.path, render(stack, as_root=service.as_root).encode(), 0o644)
    atomic_write(timer.path, _TIMER.format(home=stack.home.root).encode(), 0o644)
    timer.systemctl("daemon-reload")
    timer.systemctl("enable", "--now", timer.name)
    said = [f"rotates by the timetable: {timer.path}"]
    if stack.settings.rotation.service:
        said.append("! the stack's own rotator does so, too: service = false under [rotation] of nasos.toml")
    return said


def remove(stack: Stack, places: tuple[Boot, Boot] | None = None) -> list[str]:
    """Stop the timer and remove both; a rotation that runs is left alone.

    Raises:
        StackError: systemd refuses.
    """
    service, timer = places or units(stack)
    if not timer.path.exists() and not service.path.exists():
        return ["there was no timer"]
    if timer.path.exists():
        timer.systemctl("disable", "--now", timer.name)
    for each in (timer, service):
        each.path.unlink(missing_ok=True)
    timer.systemctl("daemon-reload")
    return [f"the timer is gone: {timer.path}"]


def render(stack: Stack, *, as_root: bool) -> str:
    """The service's text.

    Raises:
        StackError: A path has a character that cannot stand in it.
    """
    settings, home = stack.settings, stack.home.root
    key_dir = stack.home.key_path(settings, stack.record).parent
    needed = (home, key_dir, Path(sys.executable), *([settings.project] if settings.project else []))
    for path in needed:
        require_spellable(path, "a path of the unit")
    writable = f"{quoted(home)} {quoted(key_dir)}"
    return _SERVICE.format(
        home=home,
        mounts=quoted(home),
        place=settings.project or home,
        environment="".join(f"Environment={quoted(each)}\n" for each in environment(settings)),
        python=quoted(Path(sys.executable)),
        hardening=hardening(writable, needed, as_root=as_root),
    )
