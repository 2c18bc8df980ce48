"""People log in with name and password, act under their own name, and end with one command."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from fixtures.commands import nasos
from fixtures.vault import DESIRED, VaultUnderTest
from nasos.errors import CredentialRejected, NameRefused, PermissionDenied, SecretNotFound, UsageError, VaultRefused
from nasos.ledger import read
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault import people
from nasos.vault.auth import AppRoleLogin
from nasos.vault.credentials import log_in_once
from nasos.vault.people import MOUNT, Rights
from nasos.vault.retry import PATIENT

PASSWORD = Secret("correct horse battery staple")


@pytest.fixture
def alice(vault: VaultUnderTest) -> Iterator[str]:
    """An operator of flesh and blood."""
    people.add(vault.api, vault.root_token, "alice", PASSWORD, rights=Rights.OPERATOR, cidrs=DESIRED.bound_cidrs)
    yield "alice"
    people_gone(vault, "alice")


def people_gone(vault: VaultUnderTest, *names: str) -> None:
    """Nobody of these is left."""
    for name in names:
        if any(person.name == name for person in people.people(vault.api, vault.root_token)):
            people.remove(vault.api, vault.root_token, name)


def logged_in(vault: VaultUnderTest, name: str, password: Secret = PASSWORD) -> Secret:
    """A token of the person, whatever other tests did to the login limit."""
    return PATIENT.call(lambda: people.log_in(vault.api, name, password)).token


def alive(vault: VaultUnderTest, token: Secret) -> bool:
    """Whether the server knows the token."""
    return vault.api.exchange("GET", "auth/token/lookup-self", token=token).ok


def test_a_person_has_the_rights_he_was_given(vault: VaultUnderTest, alice: str) -> None:
    """An operator reads and writes secrets; a viewer sees names and ages and not one value."""
    people.add(vault.api, vault.root_token, "vic", PASSWORD, rights=Rights.VIEWER, cidrs=DESIRED.bound_cidrs)
    try:
        operator, viewer = logged_in(vault, alice), logged_in(vault, "vic")
        vault.api.request("POST", "kv/data/nasos/app/seen", {"data": {"value": "x"}}, token=operator)
        assert vault.api.request("GET", "kv/metadata/nasos/app/seen", token=viewer)["data"]
        for method, path in (("GET", "kv/data/nasos/app/seen"), ("POST", "kv/data/nasos/app/seen")):
            with pytest.raises(PermissionDenied):
                vault.api.request(method, path, {"data": {"value": "y"}} if method == "POST" else None, token=viewer)
        assert {p.name: p.rights for p in people.people(vault.api, operator)} == {
            "alice": Rights.OPERATOR, "vic": Rights.VIEWER,
        }  # fmt: skip
        shown = msgspec.convert(
            vault.api.request("GET", "auth/token/lookup-self", token=viewer)["data"], dict[str, object]
        )
        assert (shown["policies"], shown["creation_ttl"]) == (["nasos-viewer"], people.LOGIN_TTL)
    finally:
        people_gone(vault, "vic")


@pytest.mark.parametrize("how", ["removed", "another password"])
def test_the_end_of_access_is_the_end_of_every_login(vault: VaultUnderTest, alice: str, how: str) -> None:
    """Removed, or given another password: tokens from before are dead at once; a namesake's live on."""
    people.add(vault.api, vault.root_token, "alice2", PASSWORD, rights=Rights.VIEWER, cidrs=None)
    try:
        mine, other = logged_in(vault, alice), logged_in(vault, "alice2")
        if how == "removed":
            people.remove(vault.api, vault.root_token, alice)
        else:
            people.set_password(vault.api, vault.root_token, alice, Secret("another one altogether"))
        assert not alive(vault, mine)
        assert alive(vault, other)
        with pytest.raises(CredentialRejected):
            logged_in(vault, alice)
    finally:
        people_gone(vault, "alice2")


def from_elsewhere(vault: VaultUnderTest, path: str, body: dict[str, str], times: int) -> set[int]:
    """Requests from another address of this machine; the statuses that were answered."""
    seen = set()
    context = ssl.create_default_context(cafile=str(vault.ca_file))
    with closing(
        http.client.HTTPSConnection("127.0.0.1", vault.server.port, context=context, source_address=("127.0.0.9", 0))
    ) as connection:
        for _ in range(times):
            connection.request("POST", f"/v1/{path}", json.dumps(body))
            answer = connection.getresponse()
            answer.read()
            seen.add(answer.status)
    return seen


def test_a_hundred_bad_logins_leave_the_right_one_working(vault: VaultUnderTest, alice: str) -> None:
    """100 wrong SecretIDs and 100 wrong passwords from elsewhere: most are cut off, none locks the owner out."""
    credential = vault.connection("bot-nasos").credential
    assert isinstance(credential, AppRole)
    wrong = {"role_id": credential.role_id, "secret_id": "00000000-0000-0000-0000-000000000000"}
    assert 200 not in from_elsewhere(vault, "auth/approle/login", wrong, 100)
    log_in_once(vault.api, credential)
    answers = from_elsewhere(vault, f"auth/{MOUNT}/login/{alice}", {"password": "wrong, every time"}, 100)
    assert answers <= {400, 429}  # a busy machine takes longer for a bcrypt than the limit asks
    assert alive(vault, logged_in(vault, alice))
    # The right password from there does not help either: people are bound to loopback as roles are.
    assert from_elsewhere(vault, f"auth/{MOUNT}/login/{alice}", {"password": PASSWORD.reveal()}, 1) <= {400, 403, 429}


def test_a_hundred_bad_logins_from_here_leave_it_working_too(vault: VaultUnderTest, alice: str) -> None:
    """From the owner's own address: his login waits for the limit and goes through."""
    refused = 0
    for _ in range(100):
        answer = vault.api.exchange("POST", f"auth/{MOUNT}/login/{alice}", {"password": Secret("wrong, every time")})
        refused += answer.status in (400, 429)
    assert refused == 100
    assert alive(vault, logged_in(vault, alice))


@pytest.mark.parametrize("name", ["operator", "bot-nasos", "root", "Alice", "a/b", "", "-a", "a" * 32])
def test_a_person_cannot_be_called_like_a_service(vault: VaultUnderTest, name: str) -> None:
    """The ledger must tell them apart, and a name is part of a path."""
    with pytest.raises(NameRefused):
        people.add(vault.api, vault.root_token, name, PASSWORD, rights=Rights.VIEWER, cidrs=None)


@pytest.mark.parametrize("password", ["", "elevenbytes", "x" * 73])
def test_a_password_that_cannot_serve_is_refused(vault: VaultUnderTest, password: str) -> None:
    """Too short for its purpose, or longer than bcrypt reads."""
    with pytest.raises(UsageError, match="password is"):
        people.add(vault.api, vault.root_token, "bob", Secret(password), rights=Rights.VIEWER, cidrs=None)
    assert people.people(vault.api, vault.root_token) == ()


def test_what_does_not_fit_is_said(vault: VaultUnderTest, alice: str) -> None:
    """A second person of a name, another password for nobody, the end of nobody."""
    with pytest.raises(VaultRefused, match="already"):
        people.add(vault.api, vault.root_token, alice, PASSWORD, rights=Rights.VIEWER, cidrs=None)
    with pytest.raises(SecretNotFound, match="no person bob"):
        people.set_password(vault.api, vault.root_token, "bob", PASSWORD)
    with pytest.raises(SecretNotFound, match="no person bob"):
        people.remove(vault.api, vault.root_token, "bob")


def test_the_commands_act_under_the_persons_name(vault: VaultUnderTest) -> None:
    """Added, logged in, a secret written, logged out: the ledger names her, and after that the operator."""
    server, typed = vault.server, f"{PASSWORD.reveal()}\n"
    file = vault.home / "login.json"
    said = ""
    try:
        for words, stdin in (
            (("vault", "user", "add", "carol", "--rights", "operator"), typed),
            (("login", "carol"), typed),
            (("secret", "set", "app/by_carol"), "a value of hers"),
            (("vault", "user", "list", "--json"), ""),
        ):
            done = nasos(server, *words, stdin=stdin)
            assert done.returncode == 0, done.stderr
            said += done.stdout + done.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        token = Secret(msgspec.json.decode(file.read_bytes())["token"])
        assert alive(vault, token)
        out = nasos(server, "logout")
        assert out.returncode == 0, out.stderr
        assert not file.exists()
        assert not alive(vault, token)
        assert nasos(server, "secret", "set", "app/by_role", stdin="a value").returncode == 0
        assert nasos(server, "vault", "user", "rm", "carol").returncode == 0
    finally:
        file.unlink(missing_ok=True)
        people_gone(vault, "carol")
    events = [(e.actor, e.event, e.target) for e in read(vault.home / "ledger" / "events.jsonl")]
    assert ("carol", "vault.login", vault.address) in events
    assert ("carol", "secret.write", "nasos/app/by_carol") in events
    assert ("carol", "vault.logout", vault.address) in events
    assert ("operator", "secret.write", "nasos/app/by_role") in events
    assert ("operator", "vault.person", "carol") in events
    assert not any(value in said for value in (PASSWORD.reveal(), token.reveal()))


def test_an_ended_login_is_no_way_back_to_the_operator(vault: VaultUnderTest, alice: str) -> None:
    """Its token revoked elsewhere: commands fail and say what to type; they do not go on as the operator."""
    assert nasos(vault.server, "login", alice, stdin=f"{PASSWORD.reveal()}\n").returncode == 0
    people.set_password(vault.api, vault.root_token, alice, Secret("another one altogether"))
    try:
        done = nasos(vault.server, "secret", "list")
        assert done.returncode == 3
        assert "nasos login" in done.stderr
        wrong = nasos(vault.server, "login", alice, stdin="not the password\n")
        assert (wrong.returncode, "refused the name or the password" in wrong.stderr) == (3, True)
    finally:
        assert nasos(vault.server, "logout").returncode == 0
    assert nasos(vault.server, "secret", "list").returncode == 0


def test_a_login_is_not_taken_to_another_server(vault: VaultUnderTest, alice: str) -> None:
    """Its token stays where it was given: with another VAULT_ADDR the command refuses before it asks anything."""
    assert nasos(vault.server, "login", alice, stdin=f"{PASSWORD.reveal()}\n").returncode == 0
    file = vault.home / "login.json"
    held = msgspec.json.decode(file.read_bytes())
    try:
        file.write_bytes(msgspec.json.encode(held | {"address": "https://127.0.0.1:1"}))
        done = nasos(vault.server, "secret", "list")
        assert (done.returncode, "is logged in to https://127.0.0.1:1" in done.stderr) == (2, True)
        file.write_bytes(msgspec.json.encode(held))
        file.chmod(0o644)
        opened = nasos(vault.server, "secret", "list")
        assert (opened.returncode, f"chmod 600 {file}" in opened.stderr) == (3, True)
    finally:
        file.unlink()


def test_a_service_reads_on_while_somebody_is_logged_in(vault: VaultUnderTest, alice: str) -> None:
    """A login changes whose commands these are, not what services log in with."""
    assert nasos(vault.server, "login", alice, stdin=f"{PASSWORD.reveal()}\n").returncode == 0
    try:
        credential = vault.connection("rotator").credential
        assert isinstance(credential, AppRole)
        token = PATIENT.call(AppRoleLogin(vault.api, credential).obtain).token
        shown = msgspec.convert(
            vault.api.request("GET", "auth/token/lookup-self", token=token)["data"], dict[str, object]
        )
        assert shown["policies"] == ["nasos-rotator"]
    finally:
        assert nasos(vault.server, "logout").returncode == 0
