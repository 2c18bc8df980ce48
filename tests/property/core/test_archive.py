"""A backup file round-trips whatever is in it, and no damage to it is ever believed."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.archives import gathered
from nasos.errors import BackupRefused
from nasos.secret import Secret
from nasos.stack.backup import archive
from nasos.stack.backup.encryption import Identities, Recipients, new_identity
from nasos.stack.backup.manifest import Manifest

TEXT, RECIPIENT = new_identity()
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..")
)
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def write(place: Path, contents: dict[str, bytes]) -> tuple[Path, Manifest]:
    """A backup of these parts and the ones that every backup has."""
    manifest = gathered(place / "parts", contents)
    with (place / "b.age").open("wb") as file:
        archive.write(file, manifest, place / "parts", Recipients((RECIPIENT,)))
    return place / "b.age", manifest


def believed(_: Manifest) -> None:
    """Nothing speaks against it."""


@QUIET
@given(st.dictionaries(NAMES.map("state/bot/{}".format), st.binary(max_size=3000), max_size=5))
def test_what_goes_in_comes_out(contents: dict[str, bytes]) -> None:
    """Names in any script, empty files, any bytes."""
    with tempfile.TemporaryDirectory() as name:
        file, manifest = write(Path(name), contents)
        out = Path(name) / "out"
        assert archive.read(file, Identities(TEXT), believed, out) == manifest
        assert {path: (out / path).read_bytes() for path in contents} == contents


@cache
def whole() -> bytes:
    """One backup, the same for all damages."""
    with tempfile.TemporaryDirectory() as name:
        return write(Path(name), {"state/bot/x": bytes(range(256)) * 800})[0].read_bytes()


@QUIET
@given(
    st.floats(0, 1, exclude_max=True), st.integers(1, 5000), st.integers(1, 255),
    st.sampled_from(("changed", "lost", "added", "doubled")),
)  # fmt: skip
def test_no_damage_is_believed(place: float, length: int, bits: int, damage: str) -> None:
    """A changed, lost, added or doubled stretch anywhere in the file."""
    content = whole()
    at = int(place * len(content))
    damaged = {
        "changed": content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :],
        "lost": content[:at] + content[at + length :],
        "added": content[:at] + b"\0" * length + content[at:],
        "doubled": content[: at + length] + content[at:],
    }[damage]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "b.age"
        file.write_bytes(damaged)
        with pytest.raises(BackupRefused):
            archive.read(file, Identities(TEXT), believed, None)


def test_a_key_is_not_shown() -> None:
    """What opens a backup is a secret."""
    assert isinstance(TEXT, Secret)
    assert TEXT.reveal() not in repr(Identities(TEXT))
