from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nasos.checks import Target
from nasos.checks.exposure import MAP, Listed, files_private
from nasos.checks.rule import Failed, Passed
from nasos.settings import BotSettings, CloudflareSettings

STRANGER = 12345
LISTED = [listed for listed in MAP if listed.pattern != "."]


def path_of(home: Path, listed: Listed) -> Path:
    """A path that this line of the map names, and no line before it."""
    return home / listed.pattern.replace("bot-*", "bot-nasos").replace("*", "nasos")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A state directory that has everything of the map, each with its own mode."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    directories = {parent for listed in LISTED for parent in path_of(Path(), listed).parents}
    for listed in LISTED:
        path = path_of(home, listed)
        if path_of(Path(), listed) in directories or listed.mode & 0o100:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch()
            path.chmod(listed.mode)
    return Target(
        now=datetime.now(UTC), home=home, project=None, places=(), ports=None, vault=None, key_file=None,
        listen="127.0.0.1", hosts=("localhost",), bot=BotSettings(),
        cloudflare=CloudflareSettings(api_token=None, zone_id=None),
    )  # fmt: skip


def test_every_listed_place_with_its_own_mode_is_fine(target: Target) -> None:
    """The negative twin of what follows."""
    verdict = files_private.judge(target)
    assert isinstance(verdict, Passed), verdict


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: str(listed.pattern))
def test_a_wrong_mode_on_any_listed_place_is_found_and_its_chmod_line_mends_it(target: Target, listed: Listed) -> None:
    """Group and others get nothing that the map does not give them; what the finding says to type makes it green."""
    path = path_of(target.home, listed)
    path.chmod(0o777)
    verdict = files_private.judge(target)
    assert isinstance(verdict, Failed)
    assert f"{path} has mode 0777" in verdict.evidence
    words = shlex.split(str(verdict.fix))
    assert (words[0], words[2]) == ("chmod", str(path))
    path.chmod(int(words[1], 8))
    assert isinstance(files_private.judge(target), Passed)


if os.geteuid() == 0:  # an ordinary user can give nothing away

    @pytest.mark.parametrize("listed", LISTED, ids=lambda listed: str(listed.pattern))
    def test_a_wrong_owner_of_any_listed_place_is_found_and_its_chown_line_mends_it(
        target: Target, listed: Listed
    ) -> None:
        """What belongs to a stranger could be replaced by him."""
        path = path_of(target.home, listed)
        os.chown(path, STRANGER, STRANGER)
        verdict = files_private.judge(target)
        assert isinstance(verdict, Failed)
        assert f"{path} belongs to uid {STRANGER}" in verdict.evidence
        words = shlex.split(str(verdict.fix))
        assert (words[:2], words[3]) == (["sudo", "chown"], str(path))
        os.chown(path, int(words[2]), 0)
        assert isinstance(files_private.judge(target), Passed)
