"""A launcher in a process of its own, with a Vault that the test holds in its hand.

``launcher.py OPTIONS``: JSON with ``home``, ``python``, ``vault`` (descriptor of the records: JSON, or empty for
"Vault does not answer"), ``words``, ``database_url``, ``policy``, ``grace``, ``restart``,
``bot``, ``interval``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nasos.bot import change, claim, refresh
from nasos.bot.command import parse
from nasos.bot.configuration import read_files
from nasos.bot.launch import Launch, run
from nasos.bot.records import Records
from nasos.bot.supervise import RestartPolicy
from nasos.bot.tether import end_with_parent
from nasos.errors import Error, SecretNotFound, VaultUnreachable
from nasos.ledger import Ledger
from nasos.secret import Secret
from nasos.settings import child_environment


@dataclass(frozen=True)
class Record:
    """As `nasos.vault` has it."""

    fields: Mapping[str, Secret]
    version: int


def records(fd: int) -> Records:
    """What Vault holds now."""
    content = os.pread(fd, 1 << 20, 0)
    if not content.strip():
        raise VaultUnreachable("no answer from vault")
    return {
        name: Record({field: Secret(value) for field, value in entry["fields"].items()}, entry["version"])
        for name, entry in json.loads(content).items()
    }


def one(fd: int, name: str) -> Record:
    """One record of them."""
    found = records(fd)
    if name not in found:
        raise SecretNotFound(f"nothing is stored at {name}")
    return found[name]  # type: ignore[return-value]  # as records() made it


def main(options: dict[str, object]) -> int:
    """Run, as `nasos run --bot` does."""
    if options.get("die_with_parent"):
        end_with_parent(os.getppid(), signal.SIGTERM)
    refresh.INTERVAL = refresh.LONGEST = float(str(options.get("interval", 0.05)))  # type: ignore[misc]  # the test's patience, not the product's
    claim.PATIENCE = 1.0  # type: ignore[misc]  # as above
    if "reloads" in options:
        change.RELOADS = int(str(options["reloads"]))  # type: ignore[misc]
    home, vault = Path(str(options["home"])), int(str(options["vault"]))
    command = parse([str(word) for word in options["words"]], home)  # type: ignore[attr-defined]
    configuration = read_files(command.configs)
    if url := options.get("database_url"):
        configuration["db_url"] = url
    launch = Launch(
        bot=str(options.get("bot", "testbot")),
        python=Path(str(options["python"])),
        run_directory=home / "run" / "bot",
        read_all=lambda: records(vault),
        read_one=lambda name: one(vault, name),
        append=Ledger(home / "ledger" / "events.jsonl", "bot-testbot").append,
        say=lambda text: sys.stderr.write(f"{text}\n"),
        environment=child_environment(),
        configuration=configuration,
        tls=home / "tls",
        grace=float(str(options.get("grace", 10))),
        policy=RestartPolicy(**options.get("policy", {})),  # type: ignore[arg-type]  # from our own tests
        restart=bool(options.get("restart", True)),
    )
    return run(launch, command)


if __name__ == "__main__":
    try:
        sys.exit(main(json.loads(sys.argv[1])))
    except Error as error:
        sys.stderr.write(f"nasos: error: {error.message}\nnasos: hint: {error.hint}\n")
        sys.exit(error.exit_code)
