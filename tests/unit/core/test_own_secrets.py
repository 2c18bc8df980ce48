"""``[rotation.secrets]``: what is refused, and by what name."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasos.errors import SettingsError
from nasos.settings import OwnSecret, parse_document
from nasos.vault.roles import entrusted, roles

TABLE = '[rotation.secrets."app/foo"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TABLE + 'rotator = "rando"', "no rotator is called rando"),
        (TABLE + 'rotator = "rando"', "secrets.app/foo"),
        (TABLE + 'rotator = "os.path:join; evil"', "no rotator is called"),
        (TABLE + 'rotator = "acme:Tokens"\nprogram = ["/x"]', "program means nothing"),
        (TABLE + 'fields = ["a"]', 'missing required field "rotator"'),
        (TABLE + 'rotatr = "random"', 'unknown field "rotatr"'),
        (TABLE + 'rotator = "random"\nfields = []', "fields is empty"),
        (TABLE + 'rotator = "random"\nport = 5432', "port means nothing to the rotator random"),
        (TABLE + 'rotator = "command"', "needs program"),
        (TABLE + 'rotator = "command"\nprogram = ["relative"]', "needs program"),
        (TABLE + 'rotator = "postgres-single"', "needs a database"),
        (TABLE + 'rotator = "postgres-alternating"\ndatabase = "x"\nport = 5432', "need an admin"),
        ('[rotation.secrets."bots/x/db"]\nrotator = "random"', "not yours"),
        ('[rotation.secrets."postgres/admin"]\nrotator = "random"', "not yours"),
        ('[rotation.secrets."_rotation/x"]\nrotator = "random"', "allowed characters"),
        ('[rotation.secrets."app/../x"]\nrotator = "random"', "allowed characters"),
        ('[rotation.secrets."app/+"]\nrotator = "random"', "allowed characters"),
        ("[rotation]\nsecrets = 3", "rotation.secrets"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """The message names the secret and what is wrong with it."""
    path = tmp_path / "nasos.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        parse_document(path)
    assert told in raised.value.message


def test_the_rotator_is_given_exactly_what_is_named(tmp_path: Path) -> None:
    """The secret to write, its administrator to read, and nothing else of the user's."""
    path = tmp_path / "nasos.toml"
    path.write_text(TABLE + 'rotator = "postgres-single"\ndatabase = "x"\nadmin = "app/boss"')
    rotation = parse_document(path).rotation
    assert isinstance(rotation.secrets["app/foo"], OwnSecret)
    policy = next(role.policy for role in roles(("nasos",), entrusted(rotation)) if role.name == "rotator")
    assert 'path "kv/data/nasos/app/foo" {\n  capabilities = ["read", "update"]' in policy
    assert 'path "kv/data/nasos/app/boss" {\n  capabilities = ["read"]' in policy
    assert 'path "kv/destroy/nasos/app/foo" {' in policy
    assert policy.count("nasos/app/") == 4
    others = [role.policy for role in roles(("nasos",), entrusted(rotation)) if role.name not in {"rotator", "app"}]
    assert not any("app/foo" in text for text in others)
