"""A backup of real servers: whole or not at all, and nothing but a whole one of ours is believed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyrage
import pytest
from backports import zstd

from fixtures.servers import Servers, servers
from nasos.database import connect, verifies
from nasos.errors import BackupRefused, CredentialRejected, UsageError
from nasos.secret import Secret
from nasos.stack.backup import archive, encryption
from nasos.stack.backup.encryption import Identities, Passphrase, Recipients
from nasos.stack.backup.manifest import ROLES, SNAPSHOT, WAY_BACK, Manifest
from nasos.stack.backup.newest import Newest
from nasos.stack.backup.proof import decoded
from nasos.stack.backup.save import Request, save, unseal_key
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import VaultApi

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def believed(manifest: Manifest) -> None:
    """Nothing speaks against it."""


def listing(place: Path) -> list[str]:
    """Names in a directory."""
    return sorted(path.name for path in place.iterdir())


@dataclass
class Made:
    """A backup and how to open it."""

    of: Servers
    file: Path
    manifest: Manifest
    recipient: str
    by: Identities

    def read(self, content: bytes, place: Path, by: Identities | None = None) -> Manifest:
        """Believe these bytes, or refuse them; nothing may be left unpacked that counts."""
        file = place / "copy.age"
        file.write_bytes(content)
        return archive.read(file, by or self.by, believed, None)

    def unpacked(self, place: Path) -> Manifest:
        """All parts, by name, below ``place``."""
        return archive.read(self.file, self.by, believed, place)


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """Two servers with a trade and a secret, and a backup of them to a recipient."""
    text, recipient = encryption.new_identity()
    with servers() as pair:
        pair.trade("BTC/USDT")
        pair.store("app/hello", "world")
        (pair.stack.home.bot("nasos") / "user_data").mkdir(exist_ok=True)
        strategy = pair.stack.home.bot("nasos") / "user_data" / "mine.py"
        strategy.write_text("# a strategy\n")
        (strategy.parent / "link").symlink_to("/etc/passwd")
        file = pair.place / "backup.age"
        saved = save(pair.stack, Request(Recipients((recipient,)), (), file), None, now=NOW)
        yield Made(pair, file, saved.manifest, recipient, Identities(text))


def test_a_backup_is_a_private_file_that_a_record_points_at(made: Made) -> None:
    """0600; ``backup.json`` names it; the plain parts are gone; links are named, not followed."""
    assert made.file.stat().st_mode & 0o777 == 0o600
    newest = Newest.of(made.of.stack.home.root)
    assert newest == Newest(created=NOW, file=str(made.file), size=made.file.stat().st_size)
    assert listing(made.of.stack.home.run("backup")) == ["lock"]
    assert made.manifest.left_out == ("bot/nasos/user_data/link",)


def test_it_holds_what_cannot_be_made_anew_and_nothing_else(made: Made, tmp_path: Path) -> None:
    """Snapshot, roles, databases, CA, ledger, the bot's files; no unseal key, recovery key or SecretID of a role."""
    manifest = made.unpacked(tmp_path)
    names = {part.name for part in manifest.parts}
    assert names >= {
        SNAPSHOT, WAY_BACK, ROLES, "postgres/databases/postgres.dump", "postgres/databases/0.dump", "state/tls/ca.key",
        "state/stack.json", "state/ledger/events.jsonl", "state/bot/nasos/user_data/mine.py",
    }  # fmt: skip
    assert not any("credentials" in name or "recovery" in name or "unseal" in name for name in names)
    key = unseal_key(made.of.stack)
    assert key
    whole = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key not in whole
    for path in made.of.stack.home.credentials.glob("*.json"):
        assert msgspec.json.decode(path.read_bytes())["secret_id"].encode() not in whole


def test_plain_tools_can_read_it(made: Made) -> None:
    """It is an age file of a zstd of a tar; nasos is not needed to get at what is inside."""
    [identity] = [line for line in made.by.text.reveal().splitlines() if line.startswith("AGE-SECRET-KEY")]
    tar = zstd.decompress(pyrage.decrypt(made.file.read_bytes(), [pyrage.x25519.Identity.from_str(identity)]))
    assert tar[257:262] == b"ustar"
    assert b"manifest.json" in tar[:1024]


def test_the_way_back_is_closed_on_the_living_server(made: Made, tmp_path: Path) -> None:
    """The credential inside the backup is refused by the server that it was taken from."""
    made.unpacked(tmp_path)
    stack = made.of.stack
    credential = decoded((tmp_path / WAY_BACK).read_bytes())
    with pytest.raises(CredentialRejected):
        AppRoleLogin(VaultApi(stack.vault_address, stack.ca_file), credential).obtain()
    with stack.vault("operator") as vault:
        assert vault.read("app/hello").fields["value"].reveal() == "world"


def test_a_file_that_is_there_is_not_replaced_unasked(made: Made, tmp_path: Path) -> None:
    """Without ``--force`` it is refused and stays; with it the new one takes its place whole."""
    file = tmp_path / "there.age"
    file.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        save(made.of.stack, Request(Recipients((made.recipient,)), (), file), None, now=NOW)
    assert file.read_text() == "mine"
    save(made.of.stack, Request(Recipients((made.recipient,)), (), file, force=True), None, now=NOW)
    assert archive.read(file, made.by, believed, None).record == made.of.stack.record
    assert listing(tmp_path) == ["there.age"]


def test_a_stream_gets_the_same(made: Made, tmp_path: Path) -> None:
    """Standard output is a file like any other."""
    sink = io.BytesIO()
    saved = save(made.of.stack, Request(Recipients((made.recipient,)), (), None), sink, now=NOW)
    assert saved.size == len(sink.getvalue())
    assert made.read(sink.getvalue(), tmp_path).signature


def test_a_verifier_tells_its_password(made: Made) -> None:
    """How a restore sees that the administrator's password in PostgreSQL was another one than Vault's."""
    admin = made.of.admin()
    with connect(made.of.stack.database, admin) as db:
        [row] = db.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (admin.username,))
    verifier = str(row[0])
    assert verifies(verifier, admin.password)
    assert not verifies(verifier, made.of.bot().password)
    for damaged in ("", verifier[:-1], "md5" + "0" * 32):
        assert not verifies(damaged, admin.password)


def test_every_flipped_bit_is_refused(made: Made, tmp_path: Path) -> None:
    """In the header, in each region of the body, in the last byte."""
    content = made.file.read_bytes()
    places = {*range(0, 300, 23), *range(300, len(content), len(content) // 40), len(content) - 1}
    for place in sorted(places):
        flipped = content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :]
        with pytest.raises(BackupRefused):
            made.read(flipped, tmp_path)


def test_every_cut_is_refused(made: Made, tmp_path: Path) -> None:
    """Also one at the border of age's pieces of 64 KiB, and a tail that is too long."""
    content = made.file.read_bytes()
    piece = (len(content) - content.index(b"\n--- ")) // 65552 * 65552
    lengths = {0, 1, 22, 200, piece, len(content) - 1, *range(0, len(content), len(content) // 30)}
    for length in sorted(lengths - {len(content)}):
        with pytest.raises(BackupRefused):
            made.read(content[:length], tmp_path)
    with pytest.raises(BackupRefused):
        made.read(content + b"\0", tmp_path)


def test_another_key_does_not_open_it(made: Made, tmp_path: Path) -> None:
    """Somebody else's identity."""
    with pytest.raises(BackupRefused, match="not made for this key"):
        made.read(made.file.read_bytes(), tmp_path, Identities(encryption.new_identity()[0]))


def test_a_passphrase_opens_what_it_closed_and_no_other_does(made: Made, tmp_path: Path) -> None:
    """Right: intact. Wrong: refused, and said which of the two it may be."""
    file = tmp_path / "by-passphrase.age"
    right = Passphrase(Secret("correct horse battery staple"))
    save(made.of.stack, Request(right, (), file), None, now=NOW)
    assert encryption.needs_passphrase(file)
    assert archive.read(file, right, believed, None).created == NOW
    with pytest.raises(BackupRefused, match="passphrase is wrong"):
        archive.read(file, Passphrase(Secret("correct horse battery stable")), believed, None)


@pytest.mark.parametrize("lie", ["digest", "size", "name", "order", "double", "missing", "format", "extra", "climbing"])
def test_a_manifest_that_lies_is_refused(made: Made, tmp_path: Path, lie: str) -> None:
    """Whoever has the recipient's public key can encrypt anything to it; the contents must still agree."""
    parts = tmp_path / "parts"
    manifest = made.unpacked(parts)
    first, second, *rest = manifest.parts
    wrong = {
        "digest": (msgspec.structs.replace(first, sha256="0" * 64), second, *rest),
        "size": (msgspec.structs.replace(first, size=first.size + 512), second, *rest),
        "name": (msgspec.structs.replace(first, name="vault/snapshot2"), second, *rest),
        "order": (second, first, *rest),
        "double": (first, first, second, *rest),
        "missing": (first, second, *rest[:-1]),
        "climbing": (first, second, msgspec.json.decode(b'"x"'), *rest),
    }
    content = _forged(manifest, wrong.get(lie, manifest.parts), parts, lie)
    sink = io.BytesIO()
    encryption.encrypt(io.BytesIO(zstd.compress(content)), sink, Recipients((made.recipient,)))
    with pytest.raises(BackupRefused):
        made.read(sink.getvalue(), tmp_path)


def _forged(manifest: Manifest, claimed: tuple[object, ...], parts: Path, lie: str) -> bytes:
    """A tar whose members are the true ones and whose manifest says something else."""
    document = msgspec.to_builtins(manifest)
    document["parts"] = [msgspec.to_builtins(part) for part in claimed if not isinstance(part, str)]
    if lie == "format":
        document["format"] = 2
    if lie == "climbing":
        document["parts"][2]["name"] = "state/../../../etc/cron.d/evil"
    text = msgspec.json.encode(document)
    members = [archive._member("manifest.json", len(text), iter((text,)))]
    members += [archive._member(part.name, part.size, archive._pieces(parts / part.name)) for part in manifest.parts]
    if lie == "extra":
        members.append(archive._member("extra", 1, iter((b"x",))))
    return b"".join(piece for member in members for piece in member) + bytes(1024)


def test_what_is_no_backup_is_said_to_be_none(made: Made, tmp_path: Path) -> None:
    """No age file; an age file of something else; an empty one."""
    other = tmp_path / "other"
    other.write_bytes(b"PK\3\4 something else")
    with pytest.raises(BackupRefused, match="no backup"):
        encryption.needs_passphrase(other)
    for content in (b"", b"hello", zstd.compress(b"hello"), zstd.compress(b"")):
        sink = io.BytesIO()
        encryption.encrypt(io.BytesIO(content), sink, Recipients((made.recipient,)))
        with pytest.raises(BackupRefused):
            made.read(sink.getvalue(), tmp_path)


def test_a_backup_that_somebody_else_made_is_told_by_the_unseal_key(made: Made) -> None:
    """The signature is by this stack's key: any other key, and any change of the manifest, is refused."""
    key = unseal_key(made.of.stack)
    assert key
    made.manifest.require_key(key)
    with pytest.raises(BackupRefused, match="does not belong"):
        made.manifest.require_key(bytes(32))
    with pytest.raises(BackupRefused, match="does not belong"):
        msgspec.structs.replace(made.manifest, host="elsewhere").require_key(key)


def test_what_a_killed_run_left_is_gone_after_the_next(made: Made, tmp_path: Path) -> None:
    """Plain parts in the state directory, and the half-written file beside its name."""
    parts = made.of.stack.home.run("backup") / "parts"
    parts.mkdir()
    (parts / "half").write_text("plain")
    file = tmp_path / "b.age"
    half = tmp_path / f".b.age.{made.of.stack.record.id}.tmp"
    half.write_text("half")
    save(made.of.stack, Request(Recipients((made.recipient,)), (), file), None, now=NOW)
    assert listing(tmp_path) == ["b.age"]
    assert not parts.exists()
