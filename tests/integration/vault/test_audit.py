"""What the audit devices record, and that logging in cannot be used as a weapon."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fixtures.vault import VaultUnderTest
from nasos.errors import CredentialRejected, RateLimited
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault.auth import AppRoleLogin
from nasos.vault.retry import PATIENT, Retry

# Longer than the session's other tests may keep the limit busy.
STUBBORN = Retry(delays=(0.3,) * 20, patience={RateLimited: 20}, ceiling=10.0)


def lines(path: Path) -> list[dict[str, object]]:
    """Every line of an audit log, decoded."""
    return [msgspec.json.decode(line, type=dict[str, object]) for line in path.read_bytes().splitlines()]


def responses(path: Path, api_path: str) -> list[str]:
    """Responses about one API path, as text."""
    return [
        msgspec.json.encode(line).decode()
        for line in lines(path)
        if line["type"] == "response" and msgspec.convert(line["request"], dict[str, object])["path"] == api_path
    ]


def app_login(vault: VaultUnderTest) -> Secret:
    """A token of the app role."""
    credential = vault.connection("app").credential
    assert isinstance(credential, AppRole)
    return STUBBORN.call(AppRoleLogin(vault.api, credential).obtain).token


def test_both_devices_record_a_write_without_its_value(vault: VaultUnderTest) -> None:
    """A secret's write and read stand in both logs with path and role, and its value in neither; files are 0600."""
    planted = Secret.random()
    token = app_login(vault)
    path = "kv/data/nasos/app/audited"
    vault.api.request("POST", path, {"data": {"value": planted}}, token=token)
    vault.api.request("GET", path, token=token)
    for log in vault.server.audit_files:
        assert len(responses(log, path)) == 2
        assert all('"nasos-app"' in text for text in responses(log, path))
        raw = log.read_text()
        assert planted.reveal() not in raw
        assert token.reveal() not in raw
        assert log.stat().st_mode & 0o777 == 0o600


def test_policies_and_refused_logins_are_readable_in_the_log(vault: VaultUnderTest) -> None:
    """An analyst sees what a policy was changed to and why a login failed; the SecretID tried stays hidden."""
    vault.server.bootstrap()
    text = 'path "kv/data/nasos/app/*" { capabilities = ["read"] }  # audited'
    vault.api.request("POST", "sys/policies/acl/nasos-audited", {"policy": text}, token=vault.root_token)
    vault.api.request("DELETE", "sys/policies/acl/nasos-audited", token=vault.root_token)
    guess = Secret.random()
    with pytest.raises(CredentialRejected):
        STUBBORN.call(AppRoleLogin(vault.api, AppRole("no-such-role", guess)).obtain)
    for log in vault.server.audit_files:
        assert "# audited" in responses(log, "sys/policies/acl/nasos-audited")[0]
        logins = responses(log, "auth/approle/login")
        assert any("invalid role or secret ID" in line for line in logins)
        assert not any(guess.reveal() in line for line in logins)


def test_a_hundred_bad_logins_do_not_lock_the_right_one_out(vault: VaultUnderTest) -> None:
    """Whoever knows a RoleID cannot take the role away from its owner: no lockout, and a limit that passes."""
    held = vault.connection("bot-nasos").credential
    assert isinstance(held, AppRole)
    wrong = AppRoleLogin(vault.api, AppRole(held.role_id, Secret.random()))
    for _ in range(100):
        with pytest.raises(CredentialRejected):
            STUBBORN.call(wrong.obtain)
    assert PATIENT.call(AppRoleLogin(vault.api, held).obtain).token


def test_a_login_flood_is_limited_and_the_limit_is_logged(vault: VaultUnderTest) -> None:
    """More logins than the quota are refused by 429, and each refusal leaves a line."""
    flood = AppRoleLogin(vault.api, AppRole("no-such-role", Secret.random()))
    limited = 0
    for _ in range(200):
        try:
            flood.obtain()
        except CredentialRejected:
            continue
        except RateLimited:
            limited += 1
    assert limited
    for log in vault.server.audit_files:
        assert log.read_text().count("rate limit quota exceeded") >= limited
