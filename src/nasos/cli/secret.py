"""``nasos secret``: store, show and bring back secrets.

Rules: a value comes from a hidden prompt or from stdin, never from argv; it goes to a terminal, or elsewhere only with
``--reveal``. ``set`` merges into the fields that are there, by check-and-set. Nothing is destroyed unless asked twice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import click
import msgspec

from nasos.cli import output
from nasos.cli.context import operator_client
from nasos.cli.recorded import recorded
from nasos.errors import CheckAndSetMismatch, NameRefused, SecretDeleted, SecretNotFound, UsageError
from nasos.secret import Secret
from nasos.settings import load
from nasos.vault import VaultClient
from nasos.vault.client import LARGEST_REQUEST
from nasos.vault.names import secret_path
from nasos.vault.store import Metadata, Record, Version

MERGE_TRIES: Final = 5  # somebody may write in between, but not for ever

_name = click.argument("name")


@click.group()
def secret() -> None:
    """Store, show and bring back secrets. Names are relative to nasos/, like app/api_key or bots/nasos/exchange."""


@secret.command("set")
@_name
@click.argument("source", nargs=-1, metavar="[-]")
@click.option("--field", "names", multiple=True, help='Field to set (default "value"); may be given several times.')
@click.option("--description", help="A line for people, kept readable beside the secret.")
@output.json_option
def set_(name: str, source: tuple[str, ...], names: tuple[str, ...], description: str | None, *, as_json: bool) -> None:
    """Store a value from a hidden prompt, or from stdin ("-" or a pipe); other fields are kept.

    With several --field and a pipe, stdin is one JSON object of these fields.
    """
    _checked(name)
    if source not in {(), ("-",)}:  # not echoed: it is the secret, most likely
        raise UsageError(
            "a value is never an argument, every process list shows those: take this one for known and change it",
            f"nasos secret set {name}",
        )
    fields = _values(names or ("value",), piped=bool(source) or not sys.stdin.isatty())
    with operator_client() as client:
        version = _merged(client, name, fields)
        if description:
            client.set_metadata(name, {**client.metadata(name).custom, "description": description})
    if as_json:
        output.document({"name": name, "version": version})
    else:
        output.note(f"{name} is stored as version {version}")


@secret.command()
@_name
@click.option("--field", help='Field to show (default "value", or the only one).')
@click.option("--version", type=click.IntRange(min=1), help="An older version.")
@click.option("--reveal", is_flag=True, help="Print the value although stdout is no terminal.")
@output.json_option
def get(name: str, field: str | None, version: int | None, *, reveal: bool, as_json: bool) -> None:
    """Show one field of a secret; with --json and --reveal, all of it."""
    _checked(name)
    if not reveal and (as_json or not sys.stdout.isatty()):
        raise UsageError("stdout is not a terminal, so the value was not printed", "add --reveal if that is meant")
    settings = load()
    to = "terminal" if sys.stdout.isatty() else "pipe or file"
    with recorded(settings, "secret.reveal", f"nasos/{name}", {"to": to}) as told:
        with operator_client(settings=settings) as client:
            record = client.read(name, version)
        told["version"] = str(record.version)
        told["fields"] = " ".join(sorted(record.fields)) if as_json and not field else _field_name(record, field)
    if as_json:
        output.document(_revealed(name, record, field))
    else:
        output.reveal(_field(record, field))


@secret.command("list")
@click.argument("prefix", default="")
@click.option("--all", "everything", is_flag=True, help="Also what nasos itself keeps (names that begin with _).")
@output.json_option
def list_(prefix: str, *, everything: bool, as_json: bool) -> None:
    """Show the names under a folder (default: all), with version and description; never a value."""
    with operator_client() as client:
        names = [name for name in _names(client, prefix) if everything or not name.startswith("_")]
        rows = [_row(name, client.metadata(name)) for name in names]
    if as_json:
        output.document(rows)
        return
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        state = "deleted" if row.deleted else f"version {row.version}"
        output.say(f"{row.name:{width}}  {state:11}  {row.updated:%Y-%m-%d %H:%M}  {row.description}".rstrip())
    if not rows:
        output.note("no secrets there yet")


@secret.command()
@_name
@output.json_option
def history(name: str, *, as_json: bool) -> None:
    """Show the versions of a secret, oldest first; never a value."""
    _checked(name)
    with operator_client() as client:
        known = client.metadata(name)
    if as_json:
        output.document({"name": name, "current": known.current, "versions": known.versions})
        return
    for version in known.versions:
        output.say(f"{version.number:4}  {version.created:%Y-%m-%d %H:%M:%S}  {_state(version, known.current)}")


@secret.command()
@_name
@click.option("--version", "versions", multiple=True, type=click.IntRange(min=1), help="Versions (default: newest).")
@click.option("--destroy", is_flag=True, help="Remove the values for good; asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(name: str, versions: tuple[int, ...], *, destroy: bool, yes: bool) -> None:
    """Delete a secret's newest version; "nasos secret restore" brings it back."""
    _checked(name)
    with operator_client() as client:
        known = client.metadata(name)
        chosen = versions or (known.current,)
        missing = set(chosen) - {version.number for version in known.versions}
        if missing:
            raise SecretNotFound(f"{name} has no version {min(missing)}", f"nasos secret history {name}")
        if destroy:
            if not yes:
                click.confirm(f"destroy version {_joined(chosen)} of {name} for good?", abort=True, err=True)
            client.destroy(name, chosen)
        else:
            client.delete(name, chosen)
    done = "destroyed" if destroy else f'deleted; "nasos secret restore {name}" brings it back'
    output.note(f"version {_joined(chosen)} of {name} is {done}")


@secret.command()
@_name
@click.option("--version", type=click.IntRange(min=1), help="Make this older version's fields current again.")
@output.json_option
def restore(name: str, version: int | None, *, as_json: bool) -> None:
    """Bring back a deleted secret, or with --version the fields of an older version as a new one."""
    _checked(name)
    with operator_client() as client:
        known = client.metadata(name)
        wanted = version or known.current
        if any(kept.number == wanted and kept.deleted for kept in known.versions):
            client.undelete(name, [wanted])
        record = client.read(name, wanted)
        current = wanted if wanted == known.current else client.write(name, record.fields, cas=known.current)
    if as_json:
        output.document({"name": name, "version": current, "restored": wanted})
    else:
        output.note(f"{name} is at version {current}, with the fields of version {wanted}")


class _Row(msgspec.Struct, frozen=True):
    name: str
    version: int
    updated: datetime
    deleted: bool
    description: str


def _row(name: str, known: Metadata) -> _Row:
    newest = known.versions[-1] if known.versions else None
    deleted = newest is None or newest.destroyed or newest.deleted is not None
    return _Row(name, known.current, known.updated, deleted, known.custom.get("description", ""))


def _checked(name: str) -> str:
    if name.startswith("nasos/"):
        raise NameRefused("names are relative to nasos/", f"write {name.removeprefix('nasos/')}")
    return secret_path(name)


def _values(names: tuple[str, ...], *, piped: bool) -> dict[str, Secret]:
    if not piped:
        values = {name: str(click.prompt(name, hide_input=True, err=True)) for name in names}
    elif len(names) == 1:
        values = {names[0]: _stdin().removesuffix("\n")}
    else:
        values = _object(_stdin(), names)
    for name, value in values.items():
        if not value:
            raise UsageError(f"the value of {name} is empty; nothing was stored", "give at least one character")
    return {name: Secret(value) for name, value in values.items()}


def _stdin() -> str:
    raw = sys.stdin.buffer.read(LARGEST_REQUEST + 1)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UsageError("stdin is no UTF-8 text", "encode binary values: base64 -w0 < file | ...") from None


def _object(text: str, names: tuple[str, ...]) -> dict[str, str]:
    try:
        values = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        values = {}
    if set(values) != set(names):
        raise UsageError(
            f"for several fields stdin must be one JSON object of strings with exactly: {', '.join(sorted(names))}",
            "or set one field at a time",
        )
    return values


def _merged(client: VaultClient, name: str, fields: dict[str, Secret]) -> int:
    """Write ``fields`` over those that are there; somebody else's write in between is merged with, too."""
    for _ in range(MERGE_TRIES - 1):
        try:
            return _merged_once(client, name, fields)
        except CheckAndSetMismatch:
            continue
    return _merged_once(client, name, fields)


def _merged_once(client: VaultClient, name: str, fields: dict[str, Secret]) -> int:
    try:
        record = client.read(name)
    except SecretNotFound:
        return client.write(name, fields, cas=0)
    except SecretDeleted:
        return client.write(name, fields, cas=client.metadata(name).current)
    return client.write(name, {**record.fields, **fields}, cas=record.version)


def _field(record: Record, wanted: str | None) -> Secret:
    return record.fields[_field_name(record, wanted)]


def _field_name(record: Record, wanted: str | None) -> str:
    name = wanted or ("value" if "value" in record.fields or len(record.fields) != 1 else next(iter(record.fields)))
    if name not in record.fields:
        there = ", ".join(sorted(record.fields))
        raise SecretNotFound(f"{record.path} has no field {name}; it has {there}", "name one with --field")
    return name


def _revealed(name: str, record: Record, wanted: str | None) -> dict[str, object]:
    fields = {wanted: _field(record, wanted)} if wanted else record.fields
    return {
        "name": name,
        "version": record.version,
        "created": record.created,
        "fields": {field: value.reveal() for field, value in fields.items()},
        "custom": dict(record.custom),
    }


def _names(client: VaultClient, prefix: str) -> Iterator[str]:
    for entry in client.list(prefix):
        name = f"{prefix.rstrip('/')}/{entry}" if prefix else entry
        if entry.endswith("/"):
            yield from _names(client, name)
        else:
            yield name


def _state(version: Version, current: int) -> str:
    if version.destroyed:
        return "destroyed"
    if version.deleted:
        return f"deleted {version.deleted:%Y-%m-%d %H:%M:%S}"
    return "current" if version.number == current else ""


def _joined(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
