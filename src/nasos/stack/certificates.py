"""The stack's own certificates: issued with each service's uid, recorded, and told to whoever runs with them."""

from __future__ import annotations

from datetime import datetime
from signal import SIGHUP

from nasos.ledger import Ledger
from nasos.settings import Settings
from nasos.stack.edge import write_configuration
from nasos.stack.home import Home
from nasos.stack.supervisor import Supervisor
from nasos.tls import SERVICES, Leaf, issue_all


def issue(home: Home, settings: Settings, *, now: datetime, force: bool = False, actor: str = "operator") -> list[Leaf]:
    """Make every service's certificate good; running services read a new one at once.

    Raises:
        TlsError: The CA's key is damaged.
        FileRefused: The CA's key can be read by others, or the directory cannot be written.
        NameRefused: A configured host is neither name nor address.
    """
    return issue_all(
        home.tls,
        settings.tls.hosts,
        now=now,
        owners={service.program: home.users.uid(service.program) for service in SERVICES},
        force=force,
        notify=[
            lambda program, leaf: _record(Ledger(home.ledger, actor), program, leaf),
            lambda program, _: _reload(home, program),
        ],
    )


def show_the_right_one(home: Home, settings: Settings) -> None:
    """Have a running nginx show the certificate that the settings ask for, where that is another one than before.

    Raises:
        TlsError: nginx refuses it; the old one stays in use.
    """
    record = home.record()
    if record is not None and (home.root / "nginx" / "nginx.conf").exists():
        supervisor = Supervisor(home)
        if write_configuration(home, settings, record.ports) and supervisor.running():
            supervisor.signal("nginx", SIGHUP)


def _record(ledger: Ledger, program: str, leaf: Leaf) -> None:
    detail = {"reason": leaf.reason, "not_after": leaf.not_after.isoformat(), "program": program}
    ledger.append("tls.issue", leaf.service, detail=detail)


def _reload(home: Home, program: str) -> None:
    number = next(service.reload_signal for service in SERVICES if service.program == program)
    supervisor = Supervisor(home)
    if number is not None and supervisor.running():
        supervisor.signal(program, number)
