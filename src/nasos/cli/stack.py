"""``nasos up | down | status | logs | restart``: the embedded stack, for people and for programs."""

from __future__ import annotations

import signal
import time
from typing import Final

import click

from nasos.cli.output import document, json_option, note, say
from nasos.cli.recorded import recorded
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, UsageError
from nasos.settings import load

PROGRAMS: Final = (
    "vault",
    "exchange",
    "postgres",
    "bot",
    "gateway",
    "nginx",
    "housekeeping",
    "watcher",
    "rotator",
    "companion",
    "supervisord",
)


def progress(text: str, seconds: float) -> None:
    """Tell a finished step on stderr."""
    took = f"  {seconds:.1f} s" if seconds else ""
    mark, text = ("!", text[2:]) if text.startswith("! ") else ("✓", text)
    note(f"{click.style(mark, fg='green' if mark == '✓' else 'yellow')} {text}{click.style(took, dim=True)}")


@click.command()
@click.option("--port", type=click.IntRange(1024, 65529), help="HTTPS port; the ports after it follow.")
@click.option("--at-boot/--no-at-boot", default=None, help="Also at boot, by systemd; or not any more.")
@click.option("--yes", is_flag=True, help="Agree, once, to real money on embedded servers.")
@json_option
def up(
    port: int | None,
    at_boot: bool | None,  # noqa: FBT001  click passes options by name
    yes: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Start the stack, or whatever of it is not running; safe to repeat.

    Where the unseal key has a passphrase it is asked for, or is the first line of standard input.
    """
    from nasos.cli import consent
    from nasos.cli.passphrase import asked
    from nasos.stack import boot
    from nasos.stack.sequence import up as bring_up

    started, settings = time.monotonic(), load()
    if at_boot is not None:
        boot.require_systemd()
    if at_boot:
        boot.require_unattended(settings)
    if not settings.bot.dry_run:
        consent.require(settings, settings.bot.name, yes=yes)
    with recorded(settings, "stack.up", "stack", only_failures=True):
        stack = bring_up(settings, port, progress, lambda: asked("passphrase of the unseal key"))
    if at_boot is not None:
        for text in boot.install(stack) if at_boot else boot.remove(stack):
            progress(text, 0.0)
    if as_json:
        document({"address": stack.address, "home": str(stack.home.root), "ports": stack.ports})
        return
    from nasos.cli.welcome import welcome

    say(welcome(stack, time.monotonic() - started))


@click.command()
def down() -> None:
    """Stop the stack: the front door first, then the bot, Vault last. Nothing stored is touched."""
    from nasos.stack.sequence import down as bring_down

    settings = load()
    with recorded(settings, "stack.down", "stack", only_failures=True):
        bring_down(settings, progress)


@click.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:  # noqa: FBT001  click passes options by name
    """What runs, and whether it proves to be healthy. Exit code 1 when something is not."""
    from nasos.stack.backup.newest import Newest
    from nasos.stack.embedded import Stack
    from nasos.stack.embedded import status as ask

    stack = Stack.existing(load())
    programs, disks, backup = ask(stack), stack.disks(), Newest.of(stack.home.root)
    if as_json:
        document(
            {
                "address": stack.address,
                "healthy": all(p.healthy for p in programs),
                "programs": programs,
                "disks": disks,
                "backup": backup,
            }
        )
    else:
        for program in programs:
            mark = click.style("✓", fg="green") if program.healthy else click.style("✗", fg="red")
            pid = f"pid {program.pid}" if program.pid else ""
            say(f"{mark} {program.name:12} {program.state:9} {pid:12} {program.evidence}")
        for disk in disks:
            say(f"  {disk.path}: {disk.text}")
        say(f"  backup: {f'{backup.created:%Y-%m-%d %H:%M} UTC, {backup.file}' if backup else 'none yet'}")
        say(f"\n  {stack.address}")
        for hint in dict.fromkeys(program.hint for program in programs if program.hint):
            note(f"nasos: hint: {hint}")
    context.exit(EXIT_CLEAN if all(program.healthy for program in programs) else EXIT_FINDINGS)


@click.command()
@click.argument("name", type=click.Choice(PROGRAMS))
@click.option("-n", "lines", type=click.IntRange(1, 100_000), default=40, help="How many lines.")
@click.option("-f", "follow", is_flag=True, help="Go on as lines come in, until Ctrl-C.")
@click.pass_context
def logs(context: click.Context, name: str, lines: int, follow: bool) -> None:  # noqa: FBT001  click passes options by name
    """Show the newest lines of a program's log."""
    from nasos.stack.home import Home
    from nasos.stack.log import Log
    from nasos.stack.users import Users

    path = Home(load().home, Users.of_this_process()).log / f"{name}.log"
    if not path.is_file():
        raise UsageError(f"there is no log of {name} yet ({path})", "./nasos up")
    try:
        log = Log(path)
        say("\n".join(log.last(lines)))
        while follow:
            time.sleep(0.2)
            click.echo(log.new(), nl=False)
    except KeyboardInterrupt:
        context.exit(128 + signal.SIGINT)


@click.command()
@click.argument("name", type=click.Choice(PROGRAMS[:-1]))
def restart(name: str) -> None:
    """Restart one program and wait until it proves to be healthy."""
    from nasos.stack.sequence import restart as bring_back

    settings = load()
    with recorded(settings, "stack.restart", name):
        bring_back(settings, name, progress)
