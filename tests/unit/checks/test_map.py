"""Each row of the map of the state directory: a wrong mode or owner is noticed, and what is shown, typed, mends it."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nasos.checks import Target
from nasos.checks.exposure import MAP, PASSAGE, Listed, files_private
from nasos.checks.rule import Failed, Passed, Verdict
from nasos.settings import BotSettings, CloudflareSettings

DIRECTORIES = {each.pattern for each in MAP if each.mode in (0o700, PASSAGE)}
STRANGER = 54321


def named(listed: Listed) -> str:
    """A file of this row."""
    return listed.pattern.replace("bot-*", "bot-nasos").replace("*", "each")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that is listed, as it should be; a file where a row means files. Each test mends what it broke."""
    root = tmp_path_factory.mktemp("map") / "home"
    for listed in MAP:
        path = root / named(listed)
        (path if listed.pattern in DIRECTORIES else path.parent).mkdir(mode=0o700, parents=True, exist_ok=True)
        if listed.pattern not in DIRECTORIES:
            path.touch()
            path.chmod(listed.mode)
    return root


def judged(home: Path, **changes: object) -> Verdict:
    """What the check says of this directory."""
    target = Target(
        now=datetime.now(UTC), home=home, project=None, places=(), ports=None, vault=None, key_file=None,
        listen="127.0.0.1", hosts=(), bot=BotSettings(), cloudflare=CloudflareSettings(None, None),
        **changes,  # type: ignore[arg-type]
    )  # fmt: skip
    return files_private.judge(target)


def typed(fix: str) -> None:
    """The command that is shown, in a shell."""
    subprocess.run(["/bin/sh", "-ec", fix], check=True)


def test_the_map_as_it_should_be_is_clean(home: Path) -> None:
    """The negative twin of every row."""
    verdict = judged(home)
    assert isinstance(verdict, Passed), verdict


@pytest.mark.parametrize("listed", MAP, ids=lambda each: each.pattern)
def test_a_wider_mode_is_refused_with_the_line_that_mends_it(home: Path, listed: Listed) -> None:
    """Named with its mode; what is shown, typed, makes it clean. A certificate may be read, and nobody may write."""
    path = home / named(listed)
    mode, fix = path.stat().st_mode & 0o777, ""
    for more in {0o040, 0o004, 0o002} - ({0o040, 0o004} if listed.mode == 0o644 else set()):
        path.chmod(mode | more)
        verdict = judged(home)
        assert isinstance(verdict, Failed), verdict
        assert f"{path} has mode {mode | more:04o}" in verdict.evidence
        fix = verdict.fix
        assert f"chmod {mode:o} " in fix
    typed(fix)
    assert isinstance(judged(home), Passed)


def test_a_link_in_its_place_is_refused(home: Path, tmp_path: Path) -> None:
    """Whoever can put a link there chooses what is read. Where the state directory is, its operator chooses."""
    for listed in MAP[1:]:
        path, elsewhere = home / named(listed), tmp_path / "elsewhere"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        verdict = judged(home)
        assert isinstance(verdict, Failed), listed
        assert f"{path} is a link" in verdict.evidence
        path.unlink()
        elsewhere.rename(path)
    assert isinstance(judged(home), Passed)


if os.geteuid() == 0:
    SERVICES = {name: 65534 - number for number, name in enumerate(("vault", "postgres", "nginx", "bot", "exchange"))}

    def test_a_strangers_file_is_refused_with_the_line_that_mends_it(home: Path) -> None:
        """Neither the operator's nor its service's own; given back by what is shown. Its service's own is fine."""
        for listed in MAP[1:]:
            path = home / named(listed)
            os.chown(path, STRANGER, -1)
            verdict = judged(home, owners=SERVICES)
            assert isinstance(verdict, Failed), listed
            assert f"{path} belongs to uid {STRANGER}" in verdict.evidence
            typed(verdict.fix)
            assert path.stat().st_uid == SERVICES.get(listed.program, 0)
            assert isinstance(judged(home, owners=SERVICES), Passed)
            os.chown(path, 0, -1)

    def test_what_is_roots_is_no_services(home: Path) -> None:
        """A service that owns one of these could name itself another's."""
        for listed in [each for each in MAP[1:] if not each.program]:
            os.chown(home / named(listed), SERVICES["bot"], -1)
            assert isinstance(judged(home, owners=SERVICES), Failed), listed
            os.chown(home / named(listed), 0, -1)
