"""``nasos run``: a bot, or any program, with its secrets in memory only."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import structs

from nasos.bot.tether import end_with_parent, seal_memory
from nasos.cli.output import note
from nasos.errors import BotError, SecretNotFound, SettingsError, UsageError
from nasos.secret import Secret
from nasos.settings import bot_name, child_environment, load

if TYPE_CHECKING:
    from nasos.bot.command import Command
    from nasos.bot.handover import Read
    from nasos.bot.launch import Launch
    from nasos.bot.poke import OnEvent
    from nasos.bot.records import Records
    from nasos.ledger import Outcome
    from nasos.settings import Settings
    from nasos.vault import VaultClient


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--bot", metavar="NAME", help="Run freqtrade as this bot, with all of its secrets.")
@click.option("--once", is_flag=True, help="With --bot: do not start it again when it ends.")
@click.option("--die-with-parent", is_flag=True, help="End when the process that started this one ends.")
@click.option(
    "--python",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --bot: interpreter of the bot's own environment.",
)
@click.option("--isolated", is_flag=True, help="Take settings from the environment only, not from .env and nasos.toml.")
@click.option("--role", metavar="ROLE", default="app", show_default=True, help="Vault role that reads the secrets.")
@click.option("--file", "files", multiple=True, metavar="VAR=PATH[:FIELD]",
              help="Put a secret into an anonymous file and its path into VAR.")  # fmt: skip
@click.option("--env", "variables", multiple=True, metavar="VAR=PATH[:FIELD]",
              help="Put a secret itself into VAR; every process of the same user can read it there.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="VAR", help="Pass this variable of the environment on.")
@click.option("--yes", is_flag=True, help="With --bot: agree, once, to real money on embedded servers.")
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...")
def run(  # noqa: PLR0913, PLR0917  one parameter per option, passed by name
    bot: str | None,
    once: bool,  # noqa: FBT001  click passes options by name
    die_with_parent: bool,  # noqa: FBT001
    python: Path | None,
    isolated: bool,  # noqa: FBT001
    role: str,
    files: Sequence[str],
    variables: Sequence[str],
    keep: Sequence[str],
    yes: bool,  # noqa: FBT001
    command: Sequence[str],
) -> int:
    """Run a bot or any program with its secrets in memory only.

    \b
    nasos run --bot nasos -- freqtrade trade -c config.json
    nasos run --file DB_PASSWORD_FILE=app/db -- my-program
    """  # noqa: D301  \b is click's mark for lines that must not be wrapped
    if die_with_parent:
        # TERM and not KILL: the bot gets to finish what it is doing, and its lock keeps a second one away.
        end_with_parent(os.getppid(), signal.SIGTERM)
    seal_memory()
    settings = load(files=not isolated)
    if bot is None:
        from nasos.bot.handover import become

        given = _given(settings, role, files, variables, command[0]) if files or variables else {}
        become(command, child_environment(tuple(keep)) | given)
    if files or variables:
        raise UsageError("--file and --env are for other programs; a bot gets all of its records", "nasos run --help")
    if python is not None:
        settings = replace(settings, bot=structs.replace(settings.bot, python=str(python)))
    return _bot(settings, bot, keep, command, restart=not once, agreed=yes)


def _given(
    settings: Settings, role: str, files: Sequence[str], variables: Sequence[str], program: str
) -> dict[str, str]:
    """What to add to the environment: paths of anonymous files, and secrets where that was asked for."""
    from nasos.bot.handover import Wanted, by_environment, by_file
    from nasos.cli.recorded import recorded

    by_path, plain = [Wanted.parse(text) for text in files], [Wanted.parse(text) for text in variables]
    read = _reader(_client(settings, role))
    paths = " ".join(dict.fromkeys(f"nasos/{wanted.path}" for wanted in (*by_path, *plain)))
    how = {"to": f"program {Path(program).name}", "role": role, "in": "memory" if not plain else "its environment"}
    with recorded(settings, "secret.reveal", paths, how):
        return by_file(by_path, read) | by_environment(plain, read)


def _reader(client: VaultClient) -> Read:
    def read(path: str, field: str) -> Secret:
        fields = client.read(path).fields
        if field not in fields:
            raise SecretNotFound(
                f"{path} has no field {field!r}; it has {', '.join(sorted(fields))}", f"nasos secret list {path}"
            )
        return fields[field]

    return read


def _bot(  # noqa: PLR0913  what the command line said, by name
    settings: Settings, bot: str, keep: Sequence[str], words: Sequence[str], *, restart: bool, agreed: bool
) -> int:
    from nasos.bot.command import parse
    from nasos.bot.configuration import read_files
    from nasos.bot.launch import run as run_bot

    command = parse(words, Path.cwd())
    configuration = read_files(command.configs)
    _require_consent(settings, bot, command, configuration, yes=agreed)
    return run_bot(_launch(settings, bot, keep, configuration, restart=restart), command)


def _require_consent(
    settings: Settings, bot: str, command: Command, configuration: Mapping[str, object], *, yes: bool
) -> None:
    """Anything but a plain ``true`` counts as real money; freqtrade's own option wins over the configuration."""
    dry = configuration.get("dry_run", True) is True or "--dry-run" in command.words
    if command.trades and not dry and (settings.home / "stack.json").exists():
        from nasos.cli import consent

        consent.require(settings, bot, yes=yes)


def _launch(
    settings: Settings, bot: str, keep: Sequence[str], configuration: Mapping[str, object], *, restart: bool
) -> Launch:
    from nasos.bot.launch import Launch

    name = bot_name(bot)
    append = _append(ledger_path(settings.home), f"bot-{name}")
    client = _client(settings, f"bot-{name}", _aloud(append))
    folder = f"bots/{name}"

    def read_all() -> Records:
        return {entry: client.read(f"{folder}/{entry}") for entry in client.list(folder) if not entry.endswith("/")}

    return Launch(
        bot=name,
        python=_python(settings),
        run_directory=settings.home / "run" / "bot",
        read_all=read_all,
        read_one=lambda entry: client.read(f"{folder}/{entry}"),
        append=append,
        say=note,
        environment=child_environment(tuple(keep)),
        configuration=configuration,
        tls=settings.home / "tls",
        protected=_protected(settings),
        writers=_writers(settings.home),
        readable=(settings.home / "tls" / "ca.pem",),
        restart=restart,
    )


def _protected(settings: Settings) -> tuple[Path, ...]:
    """What a bot must never get together with a directory of its own: our state, the checkout, and people's homes."""
    home = os.path.expanduser("~")  # noqa: PTH111  Path.home() raises where HOME is unset
    return (settings.home / "credentials", *((settings.project,) if settings.project else ()), Path(home))


def _writers(home: Path) -> tuple[int, ...]:
    """Root, and the operator: the owner of the state directory."""
    with contextlib.suppress(OSError):
        return 0, home.stat().st_uid
    return (0,)


def ledger_path(home: Path) -> Path:
    """Where this launcher's events go: the stack's ledger, or one of its own.

    Run as root, each service has its own user; one that could write the operator's ledger could also forge it.
    """
    shared = home / "ledger" / "events.jsonl"
    place = shared if shared.exists() else shared.parent
    if place.exists() and not os.access(place, os.W_OK):
        return home / "run" / "bot" / "events.jsonl"
    return shared


def _aloud(append: Callable[..., object]) -> OnEvent:
    """``append``, and a line for the person when the login has no future."""

    def told(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        if event == "vault.credential":
            what = "; ".join(f"{name}: {value}" for name, value in detail.items()) or "there is a new token"
            note(f"nasos: the login at {target}: {what}")
        append(event, target, outcome, detail)

    return told


def _append(path: Path, actor: str) -> Callable[..., object]:
    def append(*event: object) -> object:
        from nasos.ledger import Ledger

        return Ledger(path, actor).append(*event)  # type: ignore[arg-type]  # passed through as they came

    return append


def _python(settings: Settings) -> Path:
    """The interpreter of the bot's own virtual environment; not resolved: the link's place decides what it sees."""
    if settings.bot.python:
        return Path(settings.bot.python).expanduser().absolute()
    if settings.project is None:
        raise BotError("nobody says where freqtrade is installed", "set python in [bot] of nasos.toml")
    return settings.project / ".venv-bot" / "bin" / "python"


def _client(settings: Settings, role: str, told: OnEvent | None = None) -> VaultClient:
    from nasos.cli.context import service_connection
    from nasos.vault import VaultClient

    if not (settings.home / "credentials" / f"{role}.json").exists():
        raise SettingsError(f"there is no credential for the role {role} in {settings.home}", "nasos vault bootstrap")
    return VaultClient(service_connection(settings, role), prefix="nasos", on_event=told)
