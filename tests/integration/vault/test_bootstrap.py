"""Bootstrap on the real server: what it leaves behind, what it repairs, and what it refuses to touch."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fixtures.vault import BOTS, DESIRED, Server, VaultUnderTest
from nasos.errors import (
    AlreadyRunning,
    BootstrapRefused,
    CredentialRejected,
    FileRefused,
    PermissionDenied,
    VaultError,
)
from nasos.files import ExclusiveLock
from nasos.ledger import Ledger, Outcome, read
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault import system
from nasos.vault.auth import AppRoleLogin
from nasos.vault.bootstrap import Desired, bootstrap, preview
from nasos.vault.retry import PATIENT
from nasos.vault.roles import roles

NewServer = Callable[..., Server]
NOW = datetime.now(UTC)


class Stopped(Exception):
    """A test ends bootstrap here."""


def stop_at(text: str) -> Callable[[str], None]:
    """A progress callback that ends the run before the step ``text``."""

    def progress(step: str) -> None:
        if step == text:
            raise Stopped

    return progress


def snapshot(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file that bootstrap may write, with mode and content."""
    places = [home / "recovery.json", *sorted((home / "credentials").iterdir()), *sorted((home / "vault").glob("*.*"))]
    return {str(path): (path.stat().st_mode, path.read_bytes()) for path in places if path.is_file()}


def get(server: Server, path: str, token: Secret) -> dict[str, object]:
    """The data at ``path``."""
    return msgspec.convert(server.api.request("GET", path, token=token)["data"], dict[str, object])


def login(vault: VaultUnderTest, role: str) -> Secret:
    """A token of the role."""
    credential = vault.connection(role).credential
    assert isinstance(credential, AppRole)
    return PATIENT.call(AppRoleLogin(vault.api, credential).obtain).token


def test_a_second_run_changes_nothing(vault: VaultUnderTest) -> None:
    """On a ready server the plan is empty, no file is touched, no SecretID is made."""
    accessors = "auth/approle/role/nasos-app/secret-id"
    before = snapshot(vault.home), vault.api.request("LIST", accessors, token=vault.root_token)["data"]
    assert preview(vault.api, DESIRED, vault.server.files, now=NOW).steps == ()
    assert vault.server.bootstrap().steps == ()
    after = snapshot(vault.home), vault.api.request("LIST", accessors, token=vault.root_token)["data"]
    assert after == before


def test_what_is_left_on_disk_is_private_and_complete(vault: VaultUnderTest) -> None:
    """Credentials of every role and the recovery file are 0600; the init answer and its root token are gone."""
    names = {f"{role.name}.json" for role in roles(BOTS)} | {"app.secret-id"}
    assert {path.name for path in vault.server.files.credentials.iterdir()} == names
    for path in (*vault.server.files.credentials.iterdir(), vault.server.files.recovery):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not vault.server.files.answer.exists()
    recovery = msgspec.json.decode(vault.server.files.recovery.read_bytes())
    assert set(recovery) == {"address", "created", "kind", "threshold", "keys", "advice"}
    assert (recovery["kind"], len(recovery["keys"])) == ("recovery key", 1)
    assert recovery["advice"][0].startswith("Move this file off this machine")


def test_every_credential_logs_in(vault: VaultUnderTest) -> None:
    """Each role's file is good for a login as that role, the user's own SecretID file too."""
    for role in roles(BOTS):
        shown = get(vault.server, "auth/token/lookup-self", login(vault, role.name))
        assert shown["policies"] == [role.full_name]
    held = vault.connection("app").credential
    assert isinstance(held, AppRole)
    bare = AppRole(role_id=held.role_id, secret_id_file=vault.server.files.credentials / "app.secret-id")
    assert PATIENT.call(AppRoleLogin(vault.api, bare).obtain).token


def test_the_root_token_is_dead(new_server: NewServer) -> None:
    """The token from sys/init answers nothing any more, and no other root token exists."""
    server = new_server()
    with pytest.raises(Stopped):
        server.bootstrap(progress=stop_at("mark the bootstrap complete"))
    record = server.files.load()
    assert record
    assert record.root_token
    assert get(server, "auth/token/lookup-self", record.root_token)["policies"] == ["root"]
    server.bootstrap()
    with pytest.raises((PermissionDenied, CredentialRejected)):
        get(server, "auth/token/lookup-self", record.root_token)
    assert record.root_token.reveal() not in "".join(
        path.read_text(errors="replace") for path in server.home.rglob("*") if path.is_file() and path.suffix != ".db"
    )


def test_the_plan_of_an_empty_server_changes_nothing(new_server: NewServer) -> None:
    """`preview` tells every step from init to the end of the root token, and leaves server and disk as they were."""
    server = new_server()
    before = snapshot(server.home)
    steps = preview(server.api, DESIRED, server.files, now=NOW).steps
    assert steps[0] == "initialize the server"
    assert "mount KV v2 at kv/" in steps
    assert steps[-2:] == ("revoke the root token and prove it dead", "remove the init answer")
    assert not system.seal_status(server.api).initialized
    assert snapshot(server.home) == before
    assert server.bootstrap().steps == steps


DRIFT = [
    ("sys/policies/acl/nasos-app", {"policy": 'path "kv/*" { capabilities = ["read"] }'}, "write policy nasos-app"),
    ("auth/approle/role/nasos-watcher", {"token_policies": ["nasos-operator"]}, "write role nasos-watcher"),
    ("auth/approle/role/nasos-gateway", {"token_bound_cidrs": ["0.0.0.0/0"]}, "write role nasos-gateway"),
    ("auth/approle/role/nasos-checker", {"secret_id_num_uses": 1}, "write role nasos-checker"),
]


@pytest.mark.parametrize(("path", "change", "step"), DRIFT)
def test_drift_is_repaired_with_the_operators_credential(
    vault: VaultUnderTest, path: str, change: dict[str, object], step: str
) -> None:
    """A policy or role that somebody widened is shown by the plan and set back, and nothing else is written."""
    vault.api.request("POST", path, change, token=vault.root_token)
    assert preview(vault.api, DESIRED, vault.server.files, now=NOW).steps == (step,)
    assert vault.server.bootstrap().steps == (step,)
    assert vault.server.bootstrap().steps == ()


def test_drift_beyond_the_operator_is_named_and_needs_root(vault: VaultUnderTest) -> None:
    """A removed login limit is not passed over: bootstrap says what only a root token may set back, and does so."""
    vault.api.request("DELETE", "sys/quotas/rate-limit/nasos-login", token=vault.root_token)
    vault.api.request("POST", "sys/auth/approle/tune", {"audit_non_hmac_response_keys": []}, token=vault.root_token)
    with pytest.raises(BootstrapRefused, match=r"settings of approle/, login limit") as refusal:
        vault.server.bootstrap()
    assert "VAULT_TOKEN" in str(refusal.value.hint)
    assert len(vault.server.bootstrap(token=vault.root_token).steps) == 2
    assert vault.server.bootstrap().steps == ()


def test_what_openbao_forgets_at_a_restart_is_set_again(vault: VaultUnderTest) -> None:
    """After a restart the sys/ audit setting is gone; the operator may set it to this value, and to no other."""
    vault.start_again()
    assert set(vault.server.bootstrap().steps) <= {"log policies and mount settings readably"}
    assert vault.server.bootstrap().steps == ()
    token = login(vault, "operator")
    others: list[dict[str, object]] = [
        {"audit_non_hmac_request_keys": []},
        {"audit_non_hmac_response_keys": ["x"]},
        {"max_lease_ttl": "1h"},
    ]
    for body in others:
        with pytest.raises(PermissionDenied):
            vault.api.request("POST", "sys/mounts/sys/tune", body, token=token)


@pytest.mark.parametrize("damage", ["removed", "not json", "another SecretID", "app.secret-id removed"])
def test_a_lost_credential_is_minted_anew(vault: VaultUnderTest, damage: str) -> None:
    """A credential file that is gone or does not work any more is replaced; the others stay."""
    directory = vault.server.files.credentials
    before = snapshot(vault.home)
    if damage == "removed":
        (directory / "app.json").unlink()
    elif damage == "not json":
        (directory / "app.json").write_text("{")
    elif damage == "app.secret-id removed":
        (directory / "app.secret-id").unlink()
    else:
        other = (directory / "gateway.json").read_bytes()
        (directory / "app.json").write_bytes(other)
        (directory / "app.secret-id").write_text(msgspec.json.decode(other)["secret_id"])
    why = "refused by the server" if damage == "another SecretID" else "missing"
    assert vault.server.bootstrap().steps == (f"write credentials/app.json ({why})",)
    changed = {path for path, content in snapshot(vault.home).items() if before[path] != content}
    assert {Path(path).name for path in changed} == {"app.json", "app.secret-id"}
    test_every_credential_logs_in(vault)


def test_a_credential_near_its_end_is_replaced_in_time(vault: VaultUnderTest) -> None:
    """In the last third of a SecretID's life any run makes a new one."""
    late = NOW + timedelta(days=21)
    steps = preview(vault.api, DESIRED, vault.server.files, now=late).steps
    assert steps == tuple(f"write credentials/{role.name}.json (near its end)" for role in roles(BOTS))


def test_a_credential_that_others_can_read_is_refused(vault: VaultUnderTest) -> None:
    """An open credential file is not silently replaced: its SecretID may be stolen and would stay good."""
    path = vault.server.files.credentials / "watcher.json"
    path.chmod(0o644)
    try:
        with pytest.raises(FileRefused, match="other users"):
            vault.server.bootstrap()
    finally:
        path.chmod(0o600)


def test_a_new_bot_gets_its_role(vault: VaultUnderTest) -> None:
    """One more bot: one policy, one role, one credential; the rotator may mint for it, the gateway let people to it."""
    desired = replace(DESIRED, bots=(*BOTS, "third"))
    try:
        assert set(vault.server.bootstrap(desired=desired).steps) == {
            "write policy nasos-bot-third",
            "write role nasos-bot-third",
            "write policy nasos-rotator",
            "write policy nasos-gateway",
            "write credentials/bot-third.json (missing)",
        }
    finally:
        vault.server.bootstrap()
        (vault.server.files.credentials / "bot-third.json").unlink()


def test_a_foreign_mount_under_our_name_is_left_alone(new_server: NewServer) -> None:
    """Where kv/ holds somebody's version 1 secrets, bootstrap refuses before it has changed anything."""
    server = new_server()
    with pytest.raises(Stopped):
        server.bootstrap(progress=stop_at("mount KV v2 at kv/"))
    record = server.files.load()
    assert record
    assert record.root_token
    server.api.request("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "1"}}, token=record.root_token)
    with pytest.raises(BootstrapRefused, match="kv/ exists and is something else"):
        server.bootstrap()
    assert "approle/" not in get(server, "sys/auth", record.root_token)


def test_a_server_of_somebody_else_needs_his_token(new_server: NewServer) -> None:
    """An initialized server without our traces is never begun again; with an administrator's token it is set up."""
    server = new_server()
    root = system.initialize(server.api, system.seal_status(server.api), system.Shares()).root_token
    system.wait_active(server.api)
    with pytest.raises(BootstrapRefused, match="no operator credential"):
        server.bootstrap()
    assert server.bootstrap(token=root).steps[0] == "mount KV v2 at kv/"
    assert server.bootstrap().steps == ()
    assert get(server, "auth/token/lookup-self", root)["policies"] == ["root"]
    assert not server.files.recovery.exists()


def test_an_empty_server_next_to_the_keys_of_another_is_refused(new_server: NewServer) -> None:
    """A data volume that was not mounted must not lead to a second vault over the first one's keys."""
    server = new_server()
    server.bootstrap()
    before = snapshot(server.home)
    server.wipe()
    with pytest.raises(BootstrapRefused, match="holds the keys of another one"):
        server.bootstrap()
    assert snapshot(server.home) == before
    assert not system.seal_status(server.api).initialized


def test_a_lost_init_answer_is_begun_again_only_where_nothing_was_stored(new_server: NewServer) -> None:
    """Our own note without an answer: the embedded server starts over; without a way to, or with traces, it refuses."""
    server = new_server()
    server.files.note_intent(server.address)
    system.initialize(server.api, system.seal_status(server.api), system.Shares())
    system.wait_active(server.api)
    with pytest.raises(BootstrapRefused, match="never were on disk"):
        bootstrap(server.api, DESIRED, server.files, now=NOW)
    trace = server.files.credentials / "app.json"
    trace.write_text("{}")
    with pytest.raises(BootstrapRefused, match="never were on disk"):
        server.bootstrap()
    trace.unlink()
    assert server.bootstrap().steps[:2] == (
        "begin again: an earlier run was ended before the keys were on disk, and nothing was stored",
        "initialize the server",
    )
    assert server.bootstrap().steps == ()


def test_an_unaudited_server_is_refused(new_server: NewServer) -> None:
    """Without an audit device no secret is put into the server."""
    server = new_server()
    config = server.home / "vault" / "config.hcl"
    head, _, rest = config.read_text().partition('audit "file" "primary"')
    config.write_text(head + "telemetry" + rest.partition("telemetry")[2])
    server.stop()
    server.start()
    with pytest.raises(BootstrapRefused, match="no audit device"):
        server.bootstrap()
    assert not any(server.files.credentials.iterdir())


def test_two_bootstraps_do_not_meet(vault: VaultUnderTest) -> None:
    """While one runs, a second says so and does nothing."""
    with ExclusiveLock(vault.server.files.answer.with_suffix(".lock"), "test"), pytest.raises(AlreadyRunning):
        vault.server.bootstrap()


def test_the_ledger_tells_of_changes_and_failures(vault: VaultUnderTest, tmp_path: Path) -> None:
    """An effective run is one ok event, a refused one a failed event, an idle one no event."""
    ledger = Ledger(tmp_path / "events.jsonl", "operator")

    def run(desired: Desired) -> None:
        bootstrap(vault.api, desired, vault.server.files, now=NOW, ledger=ledger)

    run(DESIRED)
    vault.api.request("DELETE", "sys/policies/acl/nasos-watcher", token=vault.root_token)
    run(DESIRED)
    vault.api.request("DELETE", "sys/quotas/rate-limit/nasos-login", token=vault.root_token)
    with pytest.raises(VaultError):
        run(DESIRED)
    vault.server.bootstrap(token=vault.root_token)
    assert [(event.event, event.outcome) for event in read(ledger.path)] == [
        ("vault.bootstrap", Outcome.OK),
        ("vault.bootstrap", Outcome.FAILED),
    ]
