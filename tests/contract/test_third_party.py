"""The example of docs/rotate.md is a rotator: the suite passes on it, fails on a broken one; settings can name it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nasos.errors import SettingsError
from nasos.rotation.rotator import Rotator
from nasos.settings import OwnSecret
from nasos.stack.rotation.own import theirs

PROJECT = Path(__file__).parents[2]
SECTION = (PROJECT / "docs" / "rotate.md").read_text().split("### A rotator in Python")[1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The page's two modules in a directory of the third party's."""
    for text in re.findall(r"^```python\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL):
        name = re.match(r'"""(\w+\.py)', text)
        assert name
        (tmp_path / name[1]).write_text(text)
    return tmp_path


def suite(place: Path) -> subprocess.CompletedProcess[str]:
    """As the page says it."""
    path = os.pathsep.join([str(place), str(PROJECT / "tests")])
    words = ["tests/contract/test_rotator.py", "-q", "-p", "no:cacheprovider", "--rotator", "acme_target:target"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=PROJECT, check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def test_the_pages_rotator_passes_the_suite(place: Path) -> None:
    """Every test of it, none left out."""
    done = suite(place)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed in", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("            fence()\n            self._write(self._read() -", "            self._write(self._read() -"),
        ("self._read() - {old", "self._read() | {old"),
        ('self._read() | {candidate["value"].reveal()}', '{candidate["value"].reveal()}'),
    ],
    ids=["no fence", "ends nothing", "ends the current one"],
)
def test_a_broken_rotator_does_not(place: Path, right: str, wrong: str) -> None:
    """The suite has teeth."""
    module = place / "acme_rotator.py"
    text = module.read_text()
    assert right in text
    module.write_text(text.replace(right, wrong))
    assert suite(place).returncode == 1


def test_settings_can_name_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made with the options; what cannot be made is named, without what went wrong inside it."""
    monkeypatch.syspath_prepend(str(place))
    own = OwnSecret(rotator="acme_rotator:Tokens", options={"file": "/nowhere"})
    rotator: Rotator = theirs("app/acme", own, dict)
    assert "value" in rotator.create({})
    for wrong in (
        OwnSecret(rotator="acme_rotator:Tokens"), OwnSecret(rotator="acme_rotator:Nothing"),
        OwnSecret(rotator="not_installed:Tokens"),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match="cannot be made"):
            theirs("app/acme", wrong, dict)
