"""``[rotation.secrets]``: what is refused, and by what name."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasos.errors import NameRefused, SettingsError
from nasos.settings import GatewaySettings, OtherBot, OwnSecret, RotationSettings, parse_document
from nasos.vault.roles import Entrusted, entrusted, roles

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
    policy = next(
        role.policy for role in roles(("nasos",), entrusted(rotation, GatewaySettings())) if role.name == "rotator"
    )
    assert 'path "kv/data/nasos/app/foo" {\n  capabilities = ["read", "update"]' in policy
    assert 'path "kv/data/nasos/app/boss" {\n  capabilities = ["read"]' in policy
    assert 'path "kv/destroy/nasos/app/foo" {' in policy
    assert policy.count("nasos/app/") == 4
    others = [
        role.policy
        for role in roles(("nasos",), entrusted(rotation, GatewaySettings()))
        if role.name not in {"rotator", "app"}
    ]
    assert not any("app/foo" in text for text in others)


def test_the_gateway_is_entrusted_with_the_keys_of_the_bots_that_are_named_and_no_others() -> None:
    """By `[gateway.bots]`; nobody else's policy grows by it, and a name that is none makes no policy."""
    other = OtherBot(hosts=("b.test",), port=8080, ca_file="/ca.pem")
    named = roles(("nasos",), entrusted(RotationSettings(), GatewaySettings(bots={"second": other})))
    plain = roles(("nasos",), entrusted(RotationSettings(), GatewaySettings()))
    [(new, old)] = [(a.policy, b.policy) for a, b in zip(named, plain, strict=True) if a.policy != b.policy]
    assert new.count("nasos/bots/") == old.count("nasos/bots/") + 1 == 2
    assert 'path "kv/data/nasos/bots/second/jwt" {\n  capabilities = ["read"]' in new
    with pytest.raises(NameRefused):
        roles(("nasos",), Entrusted(minted=["second/+"]))


B = '{ hosts = ["b.test"], port = 1, ca_file = "/c" }'


@pytest.mark.parametrize(
    ("bot", "hosts", "reason"),
    [
        ('bots.second = { hosts = ["x.test"], port = 1, ca_file = "/c" }', '["a.test"]', "not among hosts"),
        ('bots.second = { hosts = ["a.test"], port = 1, ca_file = "/c" }', '["a.test", "b.test"]', "stack's own bot"),
        ('bots.second = { hosts = ["A.TEST"], port = 1, ca_file = "/c" }', '["a.test", "b.test"]', "stack's own bot"),
        ('bots.nasos = { hosts = ["b.test"], port = 1, ca_file = "/c" }', '["a.test", "b.test"]', "stack's own bot"),
        ('bots.second = { hosts = [], port = 1, ca_file = "/c" }', '["a.test"]', "hosts is empty"),
        ('bots.second = { hosts = ["b.test"], port = 1, ca_file = "c" }', '["a.test", "b.test"]', "ca_file"),
        ('bots.second = { hosts = ["b.test"], port = 1 }', '["a.test", "b.test"]', "ca_file"),
        ('bots.Second = { hosts = ["b.test"], port = 1, ca_file = "/c" }', '["a.test", "b.test"]', "characters"),
        (f"bots.b = {B}\nbots.c = {B}", '["a.test", "b.test"]', "leads to two bots"),
    ],
)  # fmt: skip
def test_a_bot_that_nobody_could_tell_apart_is_refused(tmp_path: Path, bot: str, hosts: str, reason: str) -> None:
    """Each name leads to one bot; what is missing is named."""
    path = tmp_path / "nasos.toml"
    path.write_text(f"[tls]\nhosts = {hosts}\n[gateway]\n{bot}\n")
    with pytest.raises(SettingsError, match=reason):
        parse_document(path)
