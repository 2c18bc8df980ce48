"""``nasos backup FILE | backup verify FILE | restore FILE``: the whole stack in one encrypted file, and back.

Rules: passphrase and unseal key are asked for without echo or read from standard input, one per line; neither is
ever an argument. An encrypted stream is never written to a terminal.
"""

from __future__ import annotations

import base64
import binascii
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasos.cli.output import document, json_option, note, say
from nasos.cli.passphrase import asked
from nasos.cli.recorded import recorded
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, UsageError
from nasos.files import read_private
from nasos.secret import Secret
from nasos.settings import Settings, load

if TYPE_CHECKING:
    from nasos.stack.backup.encryption import Identities, Passphrase, Recipients
    from nasos.stack.backup.manifest import Manifest
    from nasos.stack.seal.wrapping import Given


class _Backup(click.Group):
    """A group whose first argument may also be a file: ``nasos backup FILE`` is ``nasos backup create FILE``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand; the usual one where there is none."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "create", self.commands["create"], args


@click.group(
    cls=_Backup, subcommand_metavar="FILE | COMMAND [ARGS]...", context_settings={"ignore_unknown_options": True}
)
def backup() -> None:
    """Make a backup of the running stack: nasos backup FILE.

    Vault, PostgreSQL, ledger and configuration in one file, encrypted by age to a passphrase or to recipients. The
    unseal key is not in it: keep a copy of it elsewhere, a backup is worth nothing without.
    """


_file = click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
_identity = click.option("--identity", type=click.Path(path_type=Path), metavar="FILE", help="The recipient's age key.")
_key = click.option(
    "--unseal-key", metavar="FILE", help='The unseal key, or unseal.key.age; "-" asks for it (base64 or hex).'
)


@backup.command()
@_file
@click.option(
    "--recipient", "recipients", multiple=True, metavar="AGE1...", help="Encrypt to this key, not to a passphrase."
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def create(file: Path, recipients: tuple[str, ...], *, force: bool, as_json: bool) -> None:
    """Write a backup to FILE (- is standard output); a passphrase is asked for, or the first line of stdin."""
    from nasos.stack.backup.encryption import Passphrase, Recipients
    from nasos.stack.backup.save import Request, save
    from nasos.stack.embedded import Stack

    settings = load()
    stream = str(file) == "-"
    if stream and (sys.stdout.isatty() or as_json):
        raise UsageError("a backup is not written to a terminal", "name a file, or pipe it: nasos backup - | ...")
    started = time.monotonic()
    to: Passphrase | Recipients = (
        Recipients(recipients) if recipients else Passphrase(asked(twice=True, instead="or use --recipient"))
    )
    if isinstance(to, Passphrase):
        to.require_strong()
    wanted = Request(to, _places(settings), None if stream else file.absolute(), force)
    stack = Stack.existing(settings)
    with recorded(settings, "backup.save", stack.record.id, {"file": str(file)}) as told:
        saved = save(stack, wanted, sys.stdout.buffer if stream else None, now=datetime.now(UTC))
        told |= {"bytes": str(saved.size), "parts": str(len(saved.manifest.parts))}
    if as_json:
        document(_shown(saved.manifest) | {"file": str(file), "bytes": saved.size})
        return
    note(f"{file}: {saved.size:,} bytes, {len(saved.manifest.parts)} parts, {time.monotonic() - started:.1f} s")
    for name in saved.manifest.left_out:
        note(f"not in it (a link or no plain file): {name}")
    if saved.manifest.seal == "static":
        note("the unseal key is not in it: keep a copy of it in another place (docs/backup.md)")


@backup.command()
@_file
@_identity
@_key
@json_option
def verify(file: Path, identity: Path | None, unseal_key: str | None, *, as_json: bool) -> None:
    """Decrypt FILE and check every digest in it; nothing is written. With --unseal-key also who made it."""
    from nasos.stack.backup.archive import read

    def accept(manifest: Manifest) -> None:
        if unseal_key and manifest.seal == "static":
            manifest.require_key(_given_key(unseal_key).content)

    manifest = read(file, _opener(file, identity), accept, None)
    if as_json:
        document(_shown(manifest) | {"file": str(file), "signature_checked": bool(unseal_key)})
        return
    say(f"intact: stack {manifest.record.id} of {manifest.host}, {manifest.created:%Y-%m-%d %H:%M} UTC, "
        f"{len(manifest.parts)} parts, {manifest.size:,} bytes")  # fmt: skip
    if not unseal_key and manifest.seal == "static":
        note("who made it was not checked: --unseal-key FILE does that, and proves that the key fits")


@backup.command()
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Make an age key in FILE (0600) and print its recipient; keep FILE where the backups are not."""
    from nasos.files import atomic_write
    from nasos.stack.backup.encryption import new_identity

    if file.exists() or file.is_symlink():
        raise UsageError(f"{file} is there already", "another name: whatever was encrypted to that key needs it")
    text, recipient = new_identity()
    atomic_write(file.absolute(), text.reveal().encode())
    say(recipient)


@click.command()
@_file
@_identity
@_key
@click.option("--port", type=click.IntRange(1024, 65529), help="HTTPS port, if not the backup's.")
@click.option("--force", is_flag=True, help="Also where a stack is; it is moved aside, not deleted.")
@json_option
def restore(  # noqa: PLR0913  one argument per option
    file: Path, identity: Path | None, unseal_key: str | None, *, port: int | None, force: bool, as_json: bool
) -> int:
    """Bring a stack back from FILE. The stack must not run; the bot is not started.

    Asked for: the passphrase (or --identity), and the unseal key, which is not in the backup; its own passphrase, where
    it has one. Exit code 1 when a credential does not log in afterwards.
    """
    from nasos.cli.stack import progress
    from nasos.stack.backup.restore import Request
    from nasos.stack.backup.restore import restore as bring_back

    settings = load()
    wanted = Request(
        file.absolute(), _opener(file, identity), lambda manifest: _unseal_key(settings, manifest, unseal_key), _shares,
        {name: place / name for name, place in _targets(settings)}, port, force,
    )  # fmt: skip
    # A restore that succeeds is recorded in the ledger that it brings back.
    with recorded(settings, "backup.restore", str(file), only_failures=True):
        done = bring_back(settings, wanted, progress, now=datetime.now(UTC))
    failed = [each for each in done.proofs if not each.works]
    if as_json:
        document(_shown(done.manifest) | {
            "home": str(settings.home), "aside": str(done.aside) if done.aside else None,
            "configuration": {name: str(path) for name, path in done.configuration.items()},
            "credentials": [{"name": e.credential, "works": e.works, "said": e.said} for e in done.proofs],
        })  # fmt: skip
        return EXIT_FINDINGS if failed else EXIT_CLEAN
    for each in done.proofs:
        mark = click.style("✓", fg="green") if each.works else click.style("✗", fg="red")
        say(f"{mark} {each.credential}: {each.said}")
    say(
        f"restored to {settings.home}: stack {done.manifest.record.id} as of {done.manifest.created:%Y-%m-%d %H:%M} UTC"
    )
    for name, path in done.configuration.items():
        note(f"{name} of the backup: {path}")
    if done.aside:
        note(f"what was there before: {done.aside}; delete it when you are sure")
    note("nothing is started: end the bot on the old machine first, then ./nasos up")
    return EXIT_FINDINGS if failed else EXIT_CLEAN


def _shown(manifest: Manifest) -> dict[str, Any]:
    return {
        "stack": manifest.record.id, "created": manifest.created, "host": manifest.host, "nasos": manifest.nasos,
        "vault": manifest.vault, "postgres": manifest.postgres, "bot": manifest.bot, "seal": manifest.seal,
        "plain_bytes": manifest.size, "left_out": manifest.left_out,
        "parts": [{"name": part.name, "bytes": part.size, "sha256": part.sha256} for part in manifest.parts],
    }  # fmt: skip


def _places(settings: Settings) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(place for place in (Path.cwd(), settings.project) if place))


def _targets(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Where nasos.toml and .env are, or would be looked for."""
    places = _places(settings)
    for name in ("nasos.toml", ".env"):
        yield name, next((place for place in places if (place / name).is_file()), places[-1])


def _opener(file: Path, identity: Path | None) -> Passphrase | Identities:
    from nasos.stack.backup.encryption import Identities, Passphrase, needs_passphrase

    by_passphrase = needs_passphrase(file)
    if by_passphrase and identity:
        raise UsageError(f"{file} was made to a passphrase, not to a recipient", "leave --identity out")
    if not by_passphrase and not identity:
        raise UsageError(f"{file} was made to a recipient", "--identity FILE with that recipient's age key")
    if identity:
        return Identities(Secret(read_private(identity).decode(errors="replace")))
    return Passphrase(asked(instead="or use --recipient"))


def _unseal_key(settings: Settings, manifest: Manifest, given: str | None) -> Given:
    """The given key; else this machine's own of that stack; else what the operator types."""
    if given is None:
        from nasos.errors import BackupRefused, FileRefused
        from nasos.stack.home import Home
        from nasos.stack.seal.keys import wrapped
        from nasos.stack.users import Users

        path = Home(settings.home, Users.of_this_process()).key_path(settings, manifest.record)
        for place in (path, wrapped(path)):
            try:
                own = _key_file(place)
                manifest.require_key(own.content)
            except (FileRefused, BackupRefused):  # none here, or another one
                continue
            return own
        return _given_key("-")
    return _given_key(given)


def _given_key(given: str) -> Given:
    return _spelled(_typed("unseal key (base64 or hex)").encode()) if given == "-" else _key_file(Path(given))


def _key_file(path: Path) -> Given:
    """A key file, also one under a passphrase."""
    from nasos.stack.seal.wrapping import Given

    content = read_private(path, owner=_vault_uid())
    return Given.of(path.name, content, lambda: asked(f"passphrase of {path.name}")) or _spelled(content)


def _spelled(content: bytes) -> Given:
    from nasos.stack.seal.wrapping import Given

    if len(content) == 32:
        return Given(content)
    text = content.decode("ascii", "replace").strip()
    decoders: tuple[Callable[[str], bytes], ...] = (bytes.fromhex, lambda text: base64.b64decode(text, validate=True))
    for decode in decoders:
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == 32:
            return Given(key)
    raise UsageError("this is no unseal key: it has 32 bytes, or is their base64 or hex", "--unseal-key FILE")


def _vault_uid() -> int | None:
    """Whose the key is on a machine where root runs the stack; None where there is no such user."""
    from nasos.stack.users import Users

    try:
        return Users.of_this_process().uid("vault")
    except KeyError:
        return None


def _typed(what: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    line = sys.stdin.readline().strip()
    if not line:
        raise UsageError(f"no {what.partition(' (')[0]} was given", "--unseal-key FILE, or a line of stdin")
    return line


def _shares() -> Iterator[Secret]:
    while True:
        yield Secret(_typed("key share"))
