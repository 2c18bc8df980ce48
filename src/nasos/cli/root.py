"""The ``nasos`` group: subcommands by name, loaded when asked for, and errors turned into two lines and a code."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from nasos import __version__
from nasos.cli.output import report
from nasos.errors import EXIT_FAILED, EXIT_USAGE, Error

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("nasos.cli.stack", "Start the stack, or whatever of it is not running."),
    "down": ("nasos.cli.stack", "Stop the stack; the bot first."),
    "status": ("nasos.cli.stack", "Show what runs and whether it is proven healthy."),
    "logs": ("nasos.cli.stack", "Show the newest lines of a program's log."),
    "restart": ("nasos.cli.stack", "Restart one program."),
    "run": ("nasos.cli.run", "Run a bot or any program with its secrets in memory only."),
    "bot": ("nasos.cli.bot", "Move an existing freqtrade bot in, and back."),
    "secret": ("nasos.cli.secret", "Store, show and bring back secrets."),
    "vault": ("nasos.cli.vault", "Bootstrap, unseal and inspect the Vault server."),
    "login": ("nasos.cli.login", "Log in as a person; commands then act under that name."),
    "logout": ("nasos.cli.login", "End that login."),
    "gateway": ("nasos.cli.gateway", "The front door: who logs in there, and what programs use."),
    "tls": ("nasos.cli.tls", "Certificates of the stack."),
    "cloudflare": ("nasos.cli.cloudflare", "DNS records by container labels."),
    "check": ("nasos.cli.check", "The security test: what is wrong, why it matters, how to mend it."),
    "rotate": ("nasos.cli.rotate", "Rotate secrets."),
    "backup": ("nasos.cli.backup", "Make and verify an encrypted backup of the whole stack."),
    "restore": ("nasos.cli.backup", "Bring a stack back from a backup."),
    "alert": ("nasos.cli.alert", "Where alerts go, and whether they arrive."),
    "ledger": ("nasos.cli.ledger", "Show and verify the security events."),
}
"""Command name -> module that defines it (as an attribute of that name), and its line of help."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None when there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  click's callback
    if wanted and not ctx.resilient_parsing:
        from nasos.cli.version import show

        show(__version__)
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Version and origin of every part.")  # fmt: skip
def nasos() -> None:
    """Secrets in Vault, every connection TLS, for a self-hosted freqtrade bot.

    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not tell or failed.
    """


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        outcome = nasos.main(args=list(arguments), prog_name="nasos", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as shown:
        click.echo(shown.format_message(), err=True)
        return EXIT_USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "nasos"
        message = error.format_message().rstrip(".")
        report(Error(message[:1].lower() + message[1:], f"{command} --help"))
        return EXIT_USAGE
    except click.ClickException as error:
        message = error.format_message().rstrip(".")
        report(Error(message[:1].lower() + message[1:]))
        return EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        report(Error("interrupted", "run the same command again; it goes on where it stopped"))
        return 130
    except Error as error:
        from nasos.cli.diagnosis import explained

        report(explained(error))
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # Here click exits by itself for a broken pipe only, with 1, which would read as "findings".
        return EXIT_FAILED
    except OSError as error:
        from nasos.files import DISK, hint_for

        if error.errno not in DISK:
            raise  # a mistake of ours
        place = Path(str(error.filename or "state"))
        report(Error(f"the disk fails under {place}: {(error.strerror or '').lower()}", hint_for(place, error)))
        return EXIT_FAILED
    return outcome if isinstance(outcome, int) else 0
