"""``nasos vault bootstrap | status | unseal``: the local stack's server, or the one that VAULT_ADDR names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import click

from nasos.cli.output import document, json_option, note, say
from nasos.cli.recorded import recorded
from nasos.cli.vault.shares import asked_shares
from nasos.cli.vault.target import Target
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, UsageError, VaultSealed
from nasos.vault import system
from nasos.vault.bootstrap import bootstrap, preview
from nasos.vault.system import Shares


@click.command("bootstrap")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; exit code 1 when there is something.")
@click.option("--wait", type=click.FloatRange(0), default=0, metavar="SECONDS", help="Wait for the server to answer.")
@click.option("--shares", type=click.IntRange(1, 255), default=1, help="Key shares to make at initialization.")
@click.option("--threshold", type=click.IntRange(1, 255), default=1, help="Shares needed to unseal or recover.")
@json_option
@click.pass_context
def bootstrap_command(  # noqa: PLR0913  one argument per option
    context: click.Context, *, only_plan: bool, wait: float, shares: int, threshold: int, as_json: bool
) -> None:
    """Make the server ready: engines, roles, policies, credentials, audit. Safe to repeat; ended half-way, it goes on.

    A new server is initialized; its root token is revoked at the end. On a ready one this mends what has drifted.
    """
    if threshold > shares or (threshold == 1 and shares > 1):
        raise UsageError("the threshold must lie between 2 and the number of shares", "--shares 5 --threshold 3")
    target = Target.configured()
    now = datetime.now(UTC)
    with closing(target.api()) as api:
        system.wait_answering(api, wait)
        if only_plan:
            report = preview(api, target.desired, target.files, now=now, token=target.token)
        else:
            report = bootstrap(
                api, target.desired, target.files, now=now, token=target.token, ledger=target.prepare(),
                progress=lambda text: note(f"  {text}"), shares=Shares(shares, threshold),
            )  # fmt: skip
    recovery = target.files.recovery
    if as_json:
        kept = str(recovery) if recovery.exists() else None
        document({"address": api.address, "done": not only_plan, "steps": report.steps, "unknown": report.unknown,
                  "recovery_file": kept})  # fmt: skip
    else:
        for line in _told(report.steps, report.unknown, only_plan=only_plan):
            say(line)
        if recovery.exists():
            note(f"move {recovery} off this machine, then delete it here; it says why")
    context.exit(EXIT_FINDINGS if only_plan and report.steps else EXIT_CLEAN)


def _told(steps: tuple[str, ...], unknown: tuple[str, ...], *, only_plan: bool) -> Iterator[str]:
    if only_plan:
        yield from steps
    if not steps:
        yield "vault is ready: nothing to change"
    elif not only_plan:
        yield f"vault is ready: {len(steps)} steps done"
    for name in unknown:
        yield f"could not be seen with this credential: {name}"


@click.command()
@json_option
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Whether the server is initialized, unsealed and active. Exit code 1 when it does not serve."""
    with closing(Target.configured().api()) as api:
        health, seal = system.health(api), system.seal_status(api)
    if as_json:
        document({
            "address": api.address, "product": health.product, "version": health.version, "seal": seal.type,
            "initialized": health.initialized, "sealed": health.sealed, "active": health.active,
            "shares": {"needed": seal.t, "made": seal.n, "given": seal.progress},
        })  # fmt: skip
    else:
        say(f"{api.address}  {health.product} {health.version}, seal {seal.type}")
        if not health.initialized:
            say("not initialized: nasos vault bootstrap")
        elif health.sealed:
            say(f"sealed, {seal.progress} of {seal.t} key shares given: nasos vault unseal")
        else:
            say("active" if health.active else "standby")
    context.exit(EXIT_CLEAN if health.active else EXIT_FINDINGS)


@click.command()
def unseal() -> None:
    """Give key shares until the server opens: asked for without echo, or one per line on standard input."""
    target = Target.configured()
    with closing(target.api()) as api, recorded(target.settings, "vault.unseal", api.address) as told:
        state = system.seal_status(api)
        told["sealed"] = "yes" if state.sealed else "no: it was open"
        for share in asked_shares() if state.sealed else ():
            state = system.unseal(api, share)
            if not state.sealed:
                break
            note(f"{state.progress} of {state.t} key shares given")
        if state.sealed:
            raise VaultSealed(
                f"vault is still sealed: {state.progress} of {state.t} key shares given", "nasos vault unseal"
            )
        system.wait_active(api)
    say("vault is unsealed")
