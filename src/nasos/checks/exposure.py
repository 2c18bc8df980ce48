"""Secrets on disk: the listed files are private, and no other file holds any (group ``secrets``).

Rules: the list is ARCHITECTURE.md's map of the state directory, and a test compares the two; a stricter mode than the
listed one is fine; evidence names files and keys, never a value.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from nasos.bot.configuration import read
from nasos.bot.freqtrade import secrets_in
from nasos.checks.plain_text import plain_env, plain_toml
from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.finding import Severity

STALE: Final = timedelta(minutes=1)
"""Older than any write of ours takes: such a temporary file belongs to a writer that was killed."""

PASSAGE: Final = 0o711
"""Mode of directories that the services pass through when the stack was made by root; 0700 otherwise."""

SUDO: Final = "" if os.geteuid() == 0 else "sudo "
"""Only root gives files away (chown(2)); a machine where he works may have no sudo."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the map."""

    pattern: str
    """Below the state directory."""
    mode: int
    """The most that is allowed; group and others as listed, never more."""
    program: str = ""
    """Whose uid may own it when the stack was made by root; empty: root's only."""


MAP: Final = (
    Listed(".", PASSAGE),
    Listed("stack.json", 0o644),
    Listed("consent.json", 0o644),
    Listed("recovery.json", 0o600),
    Listed("app.env", 0o600),
    Listed("credentials", PASSAGE),
    Listed("credentials/bot-*.json", 0o600, "bot"),
    Listed("credentials/gateway.json", 0o600, "gateway"),
    Listed("credentials/companion.json", 0o600, "companion"),
    Listed("credentials/*.json", 0o600, "*"),
    Listed("credentials/app.secret-id", 0o600),
    Listed("tls", PASSAGE),
    Listed("tls/ca.pem", 0o644),
    Listed("tls/ca.key", 0o600),
    Listed("tls/vault.pem", 0o644, "vault"),
    Listed("tls/vault.key", 0o600, "vault"),
    Listed("tls/postgres.pem", 0o644, "postgres"),
    Listed("tls/postgres.key", 0o600, "postgres"),
    Listed("tls/bot.pem", 0o644, "bot"),
    Listed("tls/bot.key", 0o600, "bot"),
    Listed("tls/edge.pem", 0o644, "nginx"),
    Listed("tls/edge.key", 0o600, "nginx"),
    Listed("tls/acme", PASSAGE),
    Listed("tls/acme/account.key", 0o600),
    Listed("tls/acme/renewal.json", 0o600),
    Listed("tls/acme/pair-*", PASSAGE),
    Listed("tls/acme/pair-*/chain.pem", 0o644, "nginx"),
    Listed("tls/acme/pair-*/key.pem", 0o600, "nginx"),
    Listed("tls/cloudflare", PASSAGE),
    Listed("tls/cloudflare/origin.json", 0o600),
    Listed("tls/cloudflare/renewal.json", 0o600),
    Listed("tls/cloudflare/pulls.pem", 0o644, "nginx"),
    Listed("tls/cloudflare/pair-*", PASSAGE),
    Listed("tls/cloudflare/pair-*/chain.pem", 0o644, "nginx"),
    Listed("tls/cloudflare/pair-*/key.pem", 0o600, "nginx"),
    Listed("tls/gateway.pem", 0o644, "gateway"),
    Listed("tls/gateway.key", 0o600, "gateway"),
    Listed("tls/nginx.pem", 0o644, "nginx"),
    Listed("tls/nginx.key", 0o600, "nginx"),
    Listed("login.json", 0o600),
    Listed("vault", 0o700, "vault"),
    Listed("vault/config.hcl", 0o600, "vault"),
    Listed("vault/aside.hcl", 0o600, "vault"),
    Listed("vault/data", 0o700, "vault"),
    Listed("vault/bootstrap.json", 0o600, "vault"),
    Listed("audit", 0o700, "vault"),
    Listed("audit/primary", 0o700, "vault"),
    Listed("audit/second", 0o700, "vault"),
    Listed("postgres", 0o700, "postgres"),
    Listed("postgres/data", 0o700, "postgres"),
    Listed("audit/*/audit.log-*", 0o600, "vault"),
    Listed("nginx", 0o700, "nginx"),
    Listed("gateway", 0o700, "gateway"),
    Listed("gateway/*", 0o600, "gateway"),
    Listed("bot", PASSAGE),
    Listed("bot/*", 0o700, "bot"),
    Listed("bot/*/base.json", 0o600, "bot"),
    Listed("backup.json", 0o600),
    Listed("cloudflare.json", 0o600),
    Listed("import", 0o700),
    Listed("import/*", 0o700),
    Listed("import/*/journal.json", 0o600),
    Listed("import/*/backup", 0o700),
    Listed("import/*/backup/*", 0o600),
    Listed("import/*/work", 0o700),
    Listed("run", PASSAGE),
    Listed("run/*", 0o700, "*"),
    Listed("run/housekeeping/state.json", 0o600),
    Listed("run/watcher/state.json", 0o600),
    Listed("run/rotator/state.json", 0o600),
    Listed("run/companion/state.json", 0o600, "companion"),
    Listed("run/companion/cloudflare.json", 0o600, "companion"),
    Listed("run/companion/lock", 0o600, "companion"),
    Listed("run/housekeeping/ballast", 0o600),
    Listed("log", 0o700),
    Listed("log/*.log*", 0o600),
    Listed("ledger", PASSAGE),
    Listed("ledger/events*", 0o600),
    Listed("run/bot/events*", 0o600, "bot"),
    Listed("run/gateway/events*", 0o600, "gateway"),
    Listed("run/companion/events*", 0o600, "companion"),
)
"""Everything that is private, and the directories around it."""


@rule(
    "secrets.files-private",
    title="Every listed file and directory is private, and its service's own",
    severity=Severity.CRITICAL,
    why="whoever reads one of these can be that service; whoever replaces one can be its server",
    fix="chmod -R go-rwx .nasos",
)
def files_private(target: Target) -> Verdict:
    """Mode and owner of what exists of the map, and of the unseal key."""
    if not target.home.is_dir():
        return Skipped(f"there is no state directory {target.home}")
    seen = {**existing(target.home), **dict.fromkeys(_key_files(target), Listed("unseal.key*", 0o600, "vault"))}
    found = flaws(target.home, target.owners, seen)
    if found:
        return Failed("; ".join(each.what for each in found), " && ".join(each.fix for each in found))
    return Passed(f"{len(seen)} files and directories")


def existing(home: Path) -> dict[Path, Listed]:
    """Each existing path with the first line of the map that names it."""
    known: dict[Path, Listed] = {}
    for listed in MAP:
        for path in sorted(home.glob(listed.pattern)) if listed.pattern != "." else [home]:
            known.setdefault(path, listed)
    return known


@dataclass(frozen=True, slots=True)
class Flaw:
    """A listed file that somebody else could read or replace."""

    what: str
    """The path, and its mode or owner."""
    fix: str
    """The command that mends it."""


def flaws(home: Path, owners: Mapping[str, int], seen: Mapping[Path, Listed]) -> list[Flaw]:
    """What is wrong with these; what is gone meanwhile is not (logs and journals come and go)."""
    operator, found = home.lstat().st_uid, []
    for path, listed in seen.items():
        with contextlib.suppress(FileNotFoundError):
            found.append(_flaw(path, listed, owners, operator))
    return [each for each in found if each]


def _key_files(target: Target) -> Iterator[Path]:
    """The unseal key and its successor: in plain, under a passphrase, and in memory."""
    for path in filter(None, (target.key_file, target.memory_key)):
        for name in (path.name, f"{path.name}.age", f"{path.name}.next", f"{path.name}.next.age"):
            if path.with_name(name).exists():
                yield path.with_name(name)


def _flaw(path: Path, listed: Listed, owners: Mapping[str, int], operator: int) -> Flaw | None:
    """What is wrong with a path."""
    status, quoted = path.lstat(), shlex.quote(str(path))
    if stat.S_ISLNK(status.st_mode):
        return Flaw(f"{path} is a link", f"ls -l {quoted}")
    # Directories that services of their own uid pass through are closed where there are none.
    wanted = 0o700 if listed.mode == PASSAGE and not owners else listed.mode
    if stat.S_IMODE(status.st_mode) & 0o077 & ~wanted:
        return Flaw(f"{path} has mode {stat.S_IMODE(status.st_mode):04o}", f"chmod {wanted:o} {quoted}")
    allowed = {operator} | (set(owners.values()) if listed.program == "*" else set())
    if listed.program in owners:
        allowed.add(owners[listed.program])
    if status.st_uid not in allowed:
        owner = owners.get(listed.program, operator)
        return Flaw(f"{path} belongs to uid {status.st_uid}", f"{SUDO}chown {owner} {quoted}")
    return None


@rule(
    "secrets.unseal-key",
    title="The unseal key is there, and in one form only",
    severity=Severity.CRITICAL,
    why="without it nothing in Vault can be read again; a plain copy beside a protected one voids the passphrase",
    fix="./nasos vault seal-key protect",
)
def unseal_key(target: Target) -> Verdict:
    """Which of its forms exist."""
    path = target.key_file
    if path is None:
        return Skipped("there is no stack here, or people give key shares")
    there = set(_key_files(target))
    if target.memory_key in there and path not in there and path.with_name(f"{path.name}.age") not in there:
        return Passed("passed by systemd, in memory only")
    protected = {each for each in there if each.suffix == ".age"}
    plain = {each for each in there if each.parent == path.parent} - protected
    if protected and plain:
        return Failed(", ".join(f"{each} is in plain text" for each in sorted(plain)))
    if protected:
        return Passed(f"{path}.age has a passphrase")
    if plain:
        return Passed(f"{path}: the stack starts by itself, and so does a copy of the whole disk")
    if any(process.name == "vault" for process in target.processes):
        return Failed(
            f"{path} is gone, and vault cannot be started again", f"put the copy of it back: {path}, chmod 600"
        )
    return Skipped(f"{path} is not there, and nothing runs: systemd passes it at the start, or it is gone")


@rule(
    "secrets.leftovers",
    title="No half-written file of a killed writer is left",
    severity=Severity.LOW,
    why="such a file may hold a secret that was replaced since, and nothing ever removes it",
    fix="find .nasos -name '.*.tmp' -delete",
)
def leftovers(target: Target) -> Verdict:
    """Temporary files of `atomic_write` that nobody will rename any more."""
    if not target.home.is_dir():
        return Skipped(f"there is no state directory {target.home}")
    places = (target.home, *(target.home / name for name in ("credentials", "tls", "vault", "ledger", "run", "nginx")))
    old = [
        path
        for place in places
        if place.is_dir()
        for path in place.glob(".*.tmp")
        if target.now - datetime.fromtimestamp(path.lstat().st_mtime, UTC) > STALE
    ]
    if old:
        return Failed(", ".join(map(str, old)), f"rm {' '.join(shlex.quote(str(path)) for path in old)}")
    return Passed("none")


@rule(
    "secrets.plain-config",
    title="No configuration file holds a secret in plain",
    severity=Severity.CRITICAL,
    why="a configuration file ends in backups, repositories and support threads; a key in it is public one day",
    fix="nasos secret set NAME, then take the value out of the file",
)
def plain_config(target: Target) -> Verdict:
    """By structure, not by guess: freqtrade's own secret keys, names in .env, shapes in nasos.toml."""
    found = [
        f"{path}: {', '.join(keys)}" for path in _freqtrade_files(target) if (keys := list(secrets_in(read(path))))
    ]
    for place in target.places:
        found += [f"{place / '.env'}: {name}" for name in plain_env(place / ".env")]
        found += [f"{place / 'nasos.toml'}: {what}" for what in plain_toml(place / "nasos.toml")]
    return Failed("; ".join(found)) if found else Passed("freqtrade's files, .env and nasos.toml hold none")


def _freqtrade_files(target: Target) -> Iterator[Path]:
    """Every freqtrade configuration that we know of."""
    directory = target.home / "bot" / target.bot.name
    yield from sorted(directory.glob("*.json"))
    yield from sorted((directory / "user_data").glob("*.json"))
    if target.project is not None:
        yield from sorted((target.project / "user_data").glob("*.json"))
    if target.bot.config:
        yield from (place / target.bot.config for place in target.places if (place / target.bot.config).is_file())


RULES: Final = (files_private, unseal_key, leftovers, plain_config)
