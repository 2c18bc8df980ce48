"""From a file to a stack.

Rules:

* Nothing is changed before the whole file was decrypted and every digest is right; the stack is then built beside the
  real state directory, its Vault and PostgreSQL run there, every credential logs in, and only then does it take the
  real one's place. Killed anywhere, the old state stands and the next run begins again.
* It does not start the bot: while the old machine's bot may still trade, that is a person's decision.
* The snapshot's audit devices carry the old paths. A server refuses a declared device of the same name with another
  path for ever, and one whose file it cannot open (measured, OpenBao 2.7.2): while it is built its devices have other
  names and write to its log; the next ``up`` declares the usual ones anew.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from nasos.errors import BackupRefused, Error, FileRefused, VaultSealed
from nasos.files import ExclusiveLock, atomic_write, private_directory
from nasos.secret import Secret
from nasos.settings import Settings, parse_document
from nasos.stack import health, postgres
from nasos.stack.backup import archive, database, files, key, proof
from nasos.stack.backup.encryption import Identities, Passphrase
from nasos.stack.backup.manifest import PROJECT, SNAPSHOT, WAY_BACK, Manifest
from nasos.stack.backup.proof import Proof
from nasos.stack.backup.staging import Staging, require_idle, stamp_of
from nasos.stack.configuration import require_platform, write_before_start
from nasos.stack.embedded import Stack
from nasos.stack.home import Home
from nasos.stack.log import Log
from nasos.stack.ports import require_free
from nasos.stack.programs import programs
from nasos.stack.seal.wrapping import Given
from nasos.stack.sequence import step
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users
from nasos.stack.watch import Watch
from nasos.vault import VaultClient, snapshot, system
from nasos.vault.client import VaultApi
from nasos.vault.system import SealStatus, Shares

SERVERS: Final = ("vault", "postgres")
ROOM: Final = 500 << 20
"""Bytes that two empty servers and their logs take besides what is restored."""
SECONDS: Final = 60.0
"""For a server to be ready."""

Say = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted."""

    file: Path
    by: Passphrase | Identities
    unseal_key: Callable[[Manifest], Given]
    """Asked for once the backup has been opened, where nobody unseals by hand."""
    shares: Callable[[], Iterable[Secret]]
    """Key shares, where people unseal."""
    configuration: dict[str, Path]
    """Where nasos.toml and .env go."""
    port: int | None = None
    force: bool = False
    """Over an existing stack, which is moved aside."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A stack that stands, not yet started."""

    manifest: Manifest
    proofs: Sequence[Proof]
    aside: Path | None
    """Where the state is that stood there before."""
    configuration: dict[str, Path]
    """The operator's own files, and where they are now."""


def restore(settings: Settings, wanted: Request, say: Say, *, now: datetime) -> Restored:
    """Put a stack in its place.

    Raises:
        BackupRefused: The file cannot be used, or does not fit here; nothing was changed.
        Error: A step failed; nothing was changed.
    """
    users, stamp = Users.of_this_process(), stamp_of(now)
    old, staging = Home(settings.home, users), Staging(settings.home, users)
    existed = old.root.exists()
    with contextlib.ExitStack() as held:
        held.enter_context(_told(settings.home))
        held.enter_context(staging.held(stamp))
        if existed:
            held.enter_context(ExclusiveLock(old.root / "up.lock", "nasos up, down or restore"))
            require_idle(old)
        keys: list[Given] = []

        def accept(manifest: Manifest) -> None:
            _require_fitting(manifest, old, wanted)
            if manifest.seal == "static":
                keys.append(wanted.unseal_key(manifest))
                manifest.require_key(keys[0].content)

        with step(say, "backup decrypted, every digest right"):
            private_directory(staging.parts)
            manifest = archive.read(wanted.file, wanted.by, accept, staging.parts)
        users.ensure()
        restored = _configured(settings, staging, manifest, wanted)
        place = held.enter_context(key.room(restored, staging, manifest.record, keys))
        stack = _built(replace(restored, key_dir=place), staging, manifest, keys, wanted)
        proofs = _running(stack, staging, manifest, wanted, say)
        final = replace(restored, home=settings.home)
        if keys:
            key.place(final, manifest.record, keys[0], users, stamp)
        placed = _place_configuration(staging, manifest, wanted, stamp)
        stack.ledger().append("backup.restore", manifest.record.id, detail=_detail(manifest, proofs), now=now)
        aside = staging.take_over(stamp, existed=existed)
    return Restored(manifest, proofs, aside, placed)


@contextlib.contextmanager
def _told(home: Path) -> Iterator[None]:
    """The disk's refusals in our words."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise FileRefused(
            f"{home} could not be restored, nothing was changed: {reason}", f"df -h {home.parent}"
        ) from None


def _detail(manifest: Manifest, proofs: Sequence[Proof]) -> dict[str, str]:
    failed = [each.credential for each in proofs if not each.works]
    return {"created": manifest.created.isoformat(), "from": manifest.host, "failed": ", ".join(failed)}


def _require_fitting(manifest: Manifest, old: Home, wanted: Request) -> None:
    if (old.root / "stack.json").exists() and not wanted.force:
        try:
            record = old.record()
            same = record is not None and record.id == manifest.record.id
        except Error:
            same = False
        whose = "this stack's own" if same else f"that of another stack ({manifest.record.id})"
        raise BackupRefused(
            f"there is a stack in {old.root}, and the backup is {whose}", "--force moves what is there aside"
        )
    place = next(path for path in (old.root, *old.root.parents) if path.is_dir())
    free, needed = shutil.disk_usage(place).free, 3 * manifest.size + ROOM
    if free < needed:
        raise BackupRefused(
            f"{free >> 20} MB are free on the disk of {place}, restoring needs {needed >> 20}", f"df -h {place}"
        )


def _configured(settings: Settings, staging: Staging, manifest: Manifest, wanted: Request) -> Settings:
    """The settings of the restored stack, while it is built."""
    theirs = files.differing(staging.parts, manifest.parts, wanted.configuration)
    if "nasos.toml" in theirs and not wanted.force:
        raise BackupRefused(
            f"{theirs['nasos.toml']} is not the one of the backup", "move it away, or --force does that"
        )
    path = staging.parts / PROJECT / "nasos.toml"
    if path.exists():
        document = parse_document(path)
        own = document.vault.key_dir
        key_dir = settings.key_dir or (Path(own).expanduser().resolve() if own else None)
        settings = replace(
            settings, stack=document.stack, vault=document.vault, tls=document.tls, bot=document.bot, key_dir=key_dir
        )
    if settings.vault.seal != manifest.seal:
        raise BackupRefused(
            f'the backup is of a vault with seal = "{manifest.seal}"',
            f'seal = "{manifest.seal}" under [vault] of nasos.toml',
        )
    require_platform(replace(settings, home=staging.home, key_dir=staging.key_directory))
    return settings


def _built(settings: Settings, staging: Staging, manifest: Manifest, keys: list[Given], wanted: Request) -> Stack:
    """The state directory with everything but what the servers hold."""
    home = Home(staging.home, staging.users)
    home.prepare(manifest.bot)
    files.put_back(staging.parts, manifest.parts, home.root, staging.users.uid)
    own = replace(settings, home=staging.home)
    record = home.settle(own, wanted.port)
    stack = Stack(own, home, record, Supervisor(home))
    if keys:
        path = home.prepare_key_directory(own, record)
        atomic_write(path, keys[0].content, owner=staging.users.uid("vault"))
    write_before_start(stack)
    config = home.root / "vault" / "config.hcl"
    text = _audited_to_log(config.read_text())
    atomic_write(config, text.encode(), owner=staging.users.uid("vault"))
    return stack


def _audited_to_log(config: str) -> str:
    renamed = config.replace('audit "file" "', 'audit "file" "restoring-')
    return re.sub(r'(file_path\s+= )"[^"]*"', r'\1"stdout"', renamed)


def _running(stack: Stack, staging: Staging, manifest: Manifest, wanted: Request, say: Say) -> list[Proof]:
    """Both servers, filled, proven and ended again."""
    require_free(stack.ports, stack.settings.stack.listen, SERVERS)
    stack.supervisor.start([one for one in programs(stack.home, stack.settings, stack.ports) if one.name in SERVERS])
    api = VaultApi(stack.vault_address, stack.ca_file, timeout=SECONDS)
    with contextlib.closing(api), step(say, "Vault restored, old credentials ended, new ones proven"):
        _fill_vault(stack, api, staging.parts / SNAPSHOT, manifest, wanted)
        way_back = proof.decoded((staging.parts / WAY_BACK).read_bytes())
        proofs = proof.renew_vault_credentials(stack, api, way_back, staging.real / "credentials")
    with stack.vault("operator") as vault, step(say, "PostgreSQL restored, logins proven"):
        proofs += _fill_database(stack, vault, staging.parts, manifest)
    with step(say, "both servers ended"):
        for name in reversed(SERVERS):
            stack.supervisor.stop(name)
        stack.supervisor.shutdown()
    return proofs


def _fill_vault(stack: Stack, api: VaultApi, path: Path, manifest: Manifest, wanted: Request) -> None:
    said = system.initialize(api, _started(stack, api), Shares())
    by_hand = manifest.seal == "shamir"
    if by_hand:
        system.unseal(api, said.keys[0])
    system.wait_active(api)
    # By hand the server cannot prove the snapshot's key before it has the shares.
    snapshot.restore(api, said.root_token, path, force=by_hand)
    stack.supervisor.stop("vault")  # started anew it is active ten times sooner than when it restores in place
    state = _started(stack, api)
    for share in wanted.shares() if by_hand else ():
        state = system.unseal(api, share)
        if not state.sealed:
            break
    if by_hand and state.sealed:
        raise VaultSealed("the restored vault did not open: key shares are missing", "run it again with all of them")
    system.wait_active(api)


def _started(stack: Stack, api: VaultApi) -> SealStatus:
    stack.supervisor.launch("vault")
    _wait(stack, "vault", lambda: system.seal_status(api).version)
    return system.seal_status(api)


def _wait(stack: Stack, name: str, probe: health.Probe) -> None:
    health.wait(name, probe, SECONDS, Watch(stack.supervisor, name, Log(stack.home.log / f"{name}.log")))


def _fill_database(stack: Stack, vault: VaultClient, parts: Path, manifest: Manifest) -> list[Proof]:
    admin = postgres.admin_login(vault)
    postgres.initialize(stack.database, admin)
    postgres.configure(stack.database, stack.home.tls)
    stack.supervisor.launch("postgres")
    _wait(stack, "postgres", health.postgres(stack.database, admin))
    same = database.restore(stack.database, admin, parts, manifest.parts)
    mended = [] if same else [Proof(f"PostgreSQL role {admin.username}", True, proof.MENDED)]
    return [*mended, *proof.mend_database(stack, vault, admin)]


def _place_configuration(staging: Staging, manifest: Manifest, wanted: Request, stamp: str) -> dict[str, Path]:
    """``nasos.toml`` becomes the backup's; ``.env`` says where things are on this machine, so it is laid beside."""
    placed = {}
    for name, path in wanted.configuration.items():
        if not any(part.name == f"{PROJECT}/{name}" for part in manifest.parts):
            continue
        content = (staging.parts / PROJECT / name).read_bytes()
        if path.is_file() and path.read_bytes() == content:
            continue
        if name == "nasos.toml":
            if path.exists():
                path.rename(path.with_name(f"{name}.before-{stamp}"))
        else:
            path = path.with_name(f"{name}.restored")  # noqa: PLW2901
        atomic_write(path, content)
        placed[name] = path
    return placed
