"""A restore into an empty place, its refusals, and its bad days; real servers, real credentials."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from fixtures.cheap_age import cheap_age
from fixtures.servers import Servers, end, open_place, servers, settings_at, start
from fixtures.stack import free_base_port
from nasos.database import Login, can_login, connect, set_password
from nasos.errors import BackupRefused, CredentialRejected, StackError, VaultError
from nasos.ledger import Ledger, Outcome
from nasos.secret import Secret
from nasos.settings import AppRole, VaultSettings
from nasos.stack.backup import encryption, restore
from nasos.stack.backup.encryption import Identities, Recipients
from nasos.stack.backup.key import place as place_key
from nasos.stack.backup.manifest import Manifest
from nasos.stack.backup.proof import MENDED
from nasos.stack.backup.restore import Request as Wanted
from nasos.stack.backup.restore import Restored
from nasos.stack.backup.save import Request, save, unseal_key
from nasos.stack.embedded import Stack
from nasos.stack.home import Home
from nasos.stack.seal import memory
from nasos.stack.seal.keys import wrapped
from nasos.stack.seal.opening import make_ready
from nasos.stack.seal.wrapping import Given
from nasos.stack.supervisor import Supervisor
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import VaultApi

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Made:
    """A backup of a living pair of servers, whose PostgreSQL moved on before the dump was taken."""

    of: Servers
    file: Path
    by: Identities
    key: bytes
    old: AppRole
    """The operator's credential when the backup was made."""
    old_token: Secret

    def wanted(self, port: int, *, force: bool = False, key: bytes | None = None) -> Wanted:
        """A restore of it."""
        return Wanted(self.file, self.by, lambda _: Given(key or self.key), no_shares, {}, port, force)


def no_shares() -> NoReturn:
    """Nobody unseals a static seal by hand."""
    raise AssertionError("shares were asked for")


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """Both passwords of PostgreSQL are other ones than Vault's when the dump is taken, as after a half-done restore."""
    text, recipient = encryption.new_identity()
    with servers() as pair:
        pair.trade("BTC/USDT")
        pair.trade("ETH/USDT")
        pair.store("app/hello", "world")
        stack, file = pair.stack, pair.place / "backup.age"
        admin, bot = pair.admin(), pair.bot()
        old = AppRole(role_id="", secret_id_file=stack.home.credentials / "operator.json")
        held = msgspec.json.decode(stack.home.credentials.joinpath("operator.json").read_bytes(), type=dict[str, str])
        old = AppRole(role_id=held["role_id"], secret_id=Secret(held["secret_id"]))
        token = AppRoleLogin(VaultApi(stack.vault_address, stack.ca_file), old).obtain().token
        with connect(stack.database, admin) as db:
            set_password(db, Login(bot.username, Secret("drifted-password-of-the-bot")))
        save(stack, Request(Recipients((recipient,)), (), file), None, now=NOW)
        with connect(stack.database, admin) as db:
            set_password(db, bot)
        pair.trade("after the backup")
        key = unseal_key(stack)
        assert key
        yield Made(pair, file, Identities(text), key, old, token)


def quiet(text: str, seconds: float) -> None:
    """Nobody listens."""


def listing(place: Path) -> list[str]:
    """Names beside a state directory, the lock apart."""
    return sorted(path.name for path in place.iterdir() if not path.name.endswith(".lock"))


@dataclass
class Again:
    """A restored stack that runs."""

    servers: Servers
    restored: Restored


@pytest.fixture(scope="module")
def again(made: Made) -> Iterator[Again]:
    """The backup restored where there was nothing, and started."""
    with open_place() as place:
        settings = settings_at(place, "state", free_base_port())
        done = restore.restore(settings, made.wanted(settings.port or 0), quiet, now=NOW)
        yield Again(Servers(start(settings), place), done)


def test_an_empty_place_becomes_the_stack(made: Made, again: Again) -> None:
    """Trades and secrets of the moment of the backup; the same stack, on its own ports, nothing left lying around."""
    assert again.servers.trades() == ["BTC/USDT", "ETH/USDT"]
    assert again.servers.secret("app/hello") == "world"
    assert again.servers.stack.record.id == made.of.stack.record.id
    assert again.servers.stack.ca_file.read_bytes() == made.of.stack.ca_file.read_bytes()
    assert listing(again.servers.place) == ["state", "state-key"]
    assert not list(again.servers.stack.home.root.glob("run/rest*"))


def test_every_credential_was_proven_or_mended(again: Again) -> None:
    """Each role of Vault and of PostgreSQL is named and works; the one that had drifted is said to be mended."""
    proofs = {proof.credential: proof for proof in again.restored.proofs}
    roles = {path.stem for path in again.servers.stack.home.credentials.glob("*.json")}
    assert {f"Vault role {role}" for role in roles} < set(proofs)
    assert roles > {"operator", "rotator", "bot-nasos", "backup"}
    assert [proof for proof in again.restored.proofs if not proof.works] == []
    assert proofs["PostgreSQL role nasos_a"].said == MENDED
    assert proofs["PostgreSQL role nasos_admin"].said == "logs in"


def test_what_postgres_had_before_does_not_log_in_any_more(again: Again) -> None:
    """Vault's password won; the drifted one is dead."""
    drifted = Login("nasos_a", Secret("drifted-password-of-the-bot"), "nasos")
    assert not can_login(again.servers.stack.database, drifted)
    assert can_login(again.servers.stack.database, again.servers.bot())


def test_what_was_valid_then_is_dead_now(made: Made, again: Again) -> None:
    """SecretIDs and tokens of the backup's moment do not come back to life with it."""
    stack = again.servers.stack
    api = VaultApi(stack.vault_address, stack.ca_file)
    with pytest.raises(CredentialRejected):
        AppRoleLogin(api, made.old).obtain()
    with pytest.raises(CredentialRejected):
        api.request("GET", "auth/token/lookup-self", token=made.old_token)
    there = VaultApi(made.of.stack.vault_address, made.of.stack.ca_file)
    assert AppRoleLogin(there, made.old).obtain().lasts > 0


def test_the_way_back_is_used_up(again: Again) -> None:
    """Neither its role nor its policy is left in the restored server."""
    stack = again.servers.stack
    api = VaultApi(stack.vault_address, stack.ca_file)
    operator = AppRole(role_id="", secret_id_file=stack.home.credentials / "operator.json")
    token = AppRoleLogin(api, operator).obtain().token
    for path in ("auth/approle/role", "sys/policies/acl"):
        assert "nasos-operator" in str(names := api.request("LIST", path, token=token))
        assert "nasos-restore" not in str(names)


def test_the_ledger_goes_on(again: Again) -> None:
    """The old events, the restore among them, and the chain holds."""
    events = Ledger(again.servers.stack.home.ledger, "test")
    events.append("stack.up", "test", Outcome.OK)
    names = events.path.read_text()
    assert "postgres.provision" in names
    assert "backup.restore" in names
    assert "ledger.damaged" not in names


def test_a_stack_that_runs_is_left_alone(made: Made, again: Again) -> None:
    """Also with ``--force``: stopping a bot is a person's decision."""
    settings = again.servers.stack.settings
    for force in (False, True):
        with pytest.raises(BackupRefused, match="is running"):
            restore.restore(settings, made.wanted(settings.port or 0, force=force), quiet, now=NOW)
    assert again.servers.trades() == ["BTC/USDT", "ETH/USDT"]
    assert listing(again.servers.place) == ["state", "state-key"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of the test's own."""
    with open_place() as directory:
        yield directory


@pytest.fixture
def stopped(made: Made, place: Path) -> Home:
    """The state directory of another stack, which does not run."""
    home = place / "state"
    home.mkdir(mode=0o700)
    record = {"id": "another1", "ports": msgspec.to_builtins(made.of.stack.ports)}
    home.joinpath("stack.json").write_bytes(msgspec.json.encode(record))
    home.joinpath("precious").write_text("mine")
    return Home(home, made.of.stack.home.users)


def test_another_stacks_state_is_not_replaced_unasked(made: Made, stopped: Home) -> None:
    """Refused with both names; nothing changed."""
    settings = settings_at(stopped.root.parent, "state", free_base_port())
    with pytest.raises(BackupRefused, match=f"that of another stack \\({made.of.stack.record.id}\\)"):
        restore.restore(settings, made.wanted(settings.port or 0), quiet, now=NOW)
    assert (stopped.root / "precious").read_text() == "mine"
    assert listing(stopped.root.parent) == ["state"]


@pytest.mark.parametrize("accident", ["wrong key", "wrong identity", "damaged", "disk small", "port taken"])
def test_a_refused_restore_changes_nothing(
    made: Made, stopped: Home, place: Path, monkeypatch: pytest.MonkeyPatch, accident: str
) -> None:
    """The old state stands byte for byte, and nothing is left beside it."""
    settings = settings_at(place, "state", free_base_port())
    wanted = made.wanted(settings.port or 0, force=True)
    match accident:
        case "wrong key":
            wanted = made.wanted(settings.port or 0, force=True, key=os.urandom(32))
        case "wrong identity":
            wanted = replace(wanted, by=Identities(encryption.new_identity()[0]))
        case "damaged":
            content = bytearray(made.file.read_bytes())
            content[-1000] ^= 1
            broken = place / "broken.age"
            broken.write_bytes(content)
            wanted = replace(wanted, file=broken)
        case "disk small":
            usage = shutil.disk_usage(place)
            monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=400 << 20))
        case "port taken":
            wanted = replace(wanted, port=made.of.stack.ports.https)
    with pytest.raises(StackError):
        restore.restore(settings, wanted, quiet, now=NOW)
    assert (stopped.root / "precious").read_text() == "mine"
    assert set(listing(place)) <= {"state", "broken.age"}


def test_the_state_that_stood_there_is_moved_aside(made: Made, stopped: Home, place: Path) -> None:
    """With ``--force``; whole, under a name that is said; another unseal key is kept, too."""
    settings = settings_at(place, "state", free_base_port())
    done = restore.restore(settings, made.wanted(settings.port or 0, force=True), quiet, now=NOW)
    assert done.aside == place / "state.before-20260102-030405"
    assert (done.aside / "precious").read_text() == "mine"
    record = Home(settings.home, stopped.users).record()
    assert record
    assert record.id == made.of.stack.record.id
    assert not (settings.home / "precious").exists()


def test_a_key_of_another_time_is_kept_beside_the_right_one(made: Made, place: Path) -> None:
    """The stack's key was replaced after the backup: both are there afterwards, the backup's in use."""
    settings = settings_at(place, "state", free_base_port())
    assert settings.key_dir
    home = Home(settings.home, made.of.stack.home.users)
    path = home.key_path(settings, made.of.stack.record)
    place_key(settings, made.of.stack.record, Given(b"1" * 32), home.users, "then")
    place_key(settings, made.of.stack.record, Given(b"2" * 32), home.users, "now")
    assert path.read_bytes() == b"2" * 32
    assert path.with_name("unseal.key.before-now").read_bytes() == b"1" * 32


def test_a_key_that_came_under_a_passphrase_stays_under_it(made: Made, place: Path) -> None:
    """No plain file is made of it; another plain one is kept beside, and what was in memory is of another time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as ram:
        settings = replace(settings_at(place, "state", free_base_port()), runtime_dir=Path(ram))
        home, record = Home(settings.home, made.of.stack.home.users), made.of.stack.record
        path, owner = home.key_path(settings, record), home.users.uid("vault")
        place_key(settings, record, Given(b"1" * 32), home.users, "then")
        memory.put(Stack(settings, home, record, Supervisor(home)), b"1" * 32)
        protected = cheap_age(b"2" * 32, "six random words")
        for _ in range(2):
            place_key(settings, record, Given(b"2" * 32, protected), home.users, "now")
            assert sorted(each.name for each in path.parent.iterdir()) == ["unseal.key.age", "unseal.key.before-now"]
            assert wrapped(path).read_bytes() == protected
        assert not home.memory_key(settings, record).exists()
        assert owner in {None, wrapped(path).stat().st_uid}


@pytest.mark.long
def test_a_restore_with_a_protected_key_never_has_it_in_plain_on_a_disk(made: Made, place: Path) -> None:
    """Looked for at each step in every file below; then the passphrase opens what was restored."""
    port = free_base_port()
    protected = cheap_age(made.key, "six random words")
    wanted = replace(made.wanted(port), unseal_key=lambda _: Given(made.key, protected))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as ram:
        Path(ram).chmod(0o755)
        settings = replace(settings_at(place, "state", port), runtime_dir=Path(ram) / "nasos")
        seen = 0

        def look(_text: str, _seconds: float) -> None:
            nonlocal seen
            seen += 1
            for path in place.rglob("*"):
                with contextlib.suppress(OSError):
                    assert not path.is_file() or path.stat().st_size > 4096 or made.key not in path.read_bytes()

        done = restore.restore(settings, wanted, look, now=NOW)
        assert [proof for proof in done.proofs if not proof.works] == []
        assert seen > 2
        assert not list(Path(ram).rglob("unseal.key"))
        home = Home(settings.home, made.of.stack.home.users)
        stack = Stack(settings, home, made.of.stack.record, Supervisor(home))
        assert make_ready(stack, lambda: Secret("six random words"), print)
        again = Servers(start(settings), place)
        assert again.trades() == ["BTC/USDT", "ETH/USDT"]
        assert not home.key_path(settings, made.of.stack.record).exists()
        end(settings.home)


@pytest.mark.long
def test_a_vault_that_people_unseal_comes_back_with_their_shares(place: Path) -> None:
    """Another stack's shares do not open it, and nothing changes; with the right ones every credential works."""
    text, recipient = encryption.new_identity()
    by_hand = VaultSettings(seal="shamir")
    file, port = place / "b.age", free_base_port()
    stack = start(replace(settings_at(place, "first", port), vault=by_hand))
    recovery = msgspec.json.decode((stack.home.root / "recovery.json").read_bytes(), type=dict[str, Any])
    save(stack, Request(Recipients((recipient,)), (), file), None, now=NOW)
    end(stack.home.root)
    settings = replace(settings_at(place, "second", free_base_port()), vault=by_hand)

    def wanted(*shares: str) -> Wanted:
        return Wanted(file, Identities(text), no_key, lambda: map(Secret, shares), {})

    other = base64.b64encode(bytes(range(32))).decode()
    with pytest.raises(VaultError):
        restore.restore(settings, wanted(other), quiet, now=NOW)
    assert not settings.home.exists()
    done = restore.restore(settings, wanted(*recovery["keys"]), quiet, now=NOW)
    assert [proof for proof in done.proofs if not proof.works] == []
    assert done.manifest.signature == ""


def no_key(_: Manifest) -> NoReturn:
    """There is no unseal key where people unseal."""
    raise AssertionError("a key was asked for")
