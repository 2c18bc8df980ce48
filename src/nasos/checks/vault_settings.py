"""Vault's settings, policies and roles against what bootstrap makes of a server.

Why a check of its own: OpenBao 2.7 forgets the audit settings of ``sys/`` at every restart (measured), and a restart
by the supervisor brings nobody to mend them until the next ``up``; a policy may have been widened by hand.
"""

from __future__ import annotations

from nasos.checks.rule import Failed, Passed, Verdict, rule
from nasos.checks.target import Target
from nasos.checks.vault_access import connection, logged_in
from nasos.errors import Error
from nasos.finding import Severity
from nasos.vault.desired import Desired
from nasos.vault.reconcile import drift
from nasos.vault.roles import LOOPBACK, entrusted


@rule(
    "vault.settings",
    title="Policies, roles and audit settings are as bootstrap made them",
    severity=Severity.HIGH,
    why="a policy that was widened gives one leaked credential more than its own; untuned, the audit log hides it",
    fix="./nasos vault bootstrap",
    needs=("vault.authentication",),
)
def settings(target: Target) -> Verdict:
    """Compare everything that the role checker may read."""
    local = target.ports is not None and connection(target).address == f"https://127.0.0.1:{target.ports.vault}"
    desired = Desired(
        bots=(target.bot.name,), bound_cidrs=LOOPBACK if local else None, own=entrusted(target.rotation, target.gateway)
    )
    with logged_in(target) as (server, token):
        changed, unread = drift(server, token, desired)
    if changed:
        return Failed(f"not as it should be: {', '.join(changed)}")
    if unread:
        raise Error(f"the role checker may not read: {', '.join(unread)}", "./nasos vault bootstrap")
    return Passed(f"{len(desired.settings)} settings compared")
