"""What may be said of the bot's old credentials: refused, still accepted, or not tried."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nasos.errors import RotationError
from nasos.rotation.journal import Fields
from nasos.rotation.jwt import BotFields
from nasos.secret import Secret

OLD = {"password": Secret("p"), "jwt_secret_key": Secret("old"), "ws_token": Secret("old")}
NEW = {"password": Secret("p"), "jwt_secret_key": Secret("new"), "ws_token": Secret("new")}


def revoked(answer: Sequence[str] | None) -> tuple[str, list[str]]:
    """What is said when the bot answers so, and what it was asked about."""
    asked: list[str] = []

    def tried(_fields: Fields, names: Sequence[str]) -> Sequence[str] | None:
        asked.extend(names)
        return answer

    return BotFields(("jwt_secret_key", "ws_token"), tried=tried).revoke(OLD, NEW, lambda: None), asked


def test_a_bot_that_does_not_run_proves_nothing() -> None:
    """It cannot be asked, and nothing is called refused."""
    said, _ = revoked(None)
    assert "not tried" in said
    assert "refused" not in said


def test_refused_is_said_only_when_it_was_tried() -> None:
    """The bot was asked about the replaced fields, and about no other."""
    said, asked = revoked(())
    assert said.endswith("refused")
    assert asked == ["jwt_secret_key", "ws_token"]


def test_an_old_key_that_still_opens_leaves_the_rotation_open() -> None:
    """That is an error, not a proof."""
    with pytest.raises(RotationError, match="still accepts the ws_token"):
        revoked(["ws_token"])


@pytest.mark.parametrize(
    ("answer", "judged"),
    [
        (["jwt_secret_key", "ws_token"], (True, True)),
        (["ws_token"], (False, True)),
        ([], (False, False)),
        (None, (None, None)),
    ],
)
def test_of_what_is_current_all_has_to_work_and_of_what_was_before_nothing(
    answer: Sequence[str] | None, judged: tuple[object, object]
) -> None:
    """One accepted field of before is one too many, one refused field of now as well; not tried is neither."""
    rotator = BotFields(("jwt_secret_key", "ws_token"), tried=lambda _fields, _names: answer)
    assert (rotator.accepts(NEW, {}), rotator.accepts(OLD, NEW)) == judged
