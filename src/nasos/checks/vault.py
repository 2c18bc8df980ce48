"""Vault: connection and authentication, the first subject of the user's document.

Rules: asked as the role ``checker``, whose policy reads set-up and no value; each claim that something is refused is
tried; every token made here is given back.
"""

from __future__ import annotations

import socket
import uuid
from typing import Final

import msgspec

from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.checks.vault_access import BUSY, SECONDS, address, api, connection, logged_in
from nasos.checks.vault_audit import audit_devices
from nasos.checks.vault_settings import settings
from nasos.errors import CertificateRefused, CredentialRejected, RateLimited, VaultError
from nasos.files import read_private
from nasos.finding import Severity
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault.auth import AppRoleLogin, RoleFile


@rule(
    "vault.reachable",
    title="Vault answers at its address",
    severity=Severity.CRITICAL,
    why="without Vault the bot cannot start and no secret can be read or replaced",
    fix="./nasos up",
)
def reachable(target: Target) -> Verdict:
    """Connect."""
    if target.vault is None:
        return Failed("there is no stack here and VAULT_ADDR is not set")
    host, port = address(target)
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError as error:
        return Failed(f"{host}:{port}: {(error.strerror or 'no answer in time').lower()}")
    return Passed(f"{host}:{port} accepts connections")


@rule(
    "vault.certificate",
    title="Vault's certificate is signed by the CA that we hold",
    severity=Severity.CRITICAL,
    why="a client that talks to whoever answers hands its token to him",
    fix="./scripts/setup_ssl.sh",
    needs=("vault.reachable",),
)
def certificate(target: Target) -> Verdict:
    """Verify strictly, host name included."""
    to = connection(target)
    if to.address.startswith("http:"):
        return Failed("VAULT_ADDR is plain http", "set VAULT_ADDR to https://... in .env")
    try:
        api(target).exchange("GET", "sys/seal-status")
    except CertificateRefused as error:
        return Failed(error.message)
    return Passed(f"verified against {to.ca_file or 'the trusted roots of this system'}")


@rule(
    "vault.tls-plain-refused",
    title="Vault does not speak without TLS",
    severity=Severity.CRITICAL,
    why="a token that travels in plain text can be read on the way",
    fix='set tls_cert_file and tls_key_file in the listener, then "./nasos restart vault"',
    needs=("vault.reachable",),
)
def plain_refused(target: Target) -> Verdict:
    """Ask for the health page in plain HTTP."""
    with socket.create_connection(address(target), SECONDS) as connected:
        connected.sendall(b"GET /v1/sys/seal-status HTTP/1.0\r\nHost: vault\r\n\r\n")
        try:
            answer = connected.recv(4096)
        except ConnectionResetError:
            answer = b""
    if b"sealed" in answer or b" 200 " in answer[:20]:
        return Failed("a plain HTTP request was served")
    return Passed("a plain HTTP request was refused")


@rule(
    "vault.unsealed",
    title="Vault is initialized and unsealed",
    severity=Severity.CRITICAL,
    why="a sealed Vault serves nobody: the bot runs on with what it holds and cannot start again",
    fix="./nasos vault unseal",
    needs=("vault.certificate",),
)
def unsealed(target: Target) -> Verdict:
    """Ask for the seal's state; no token is needed."""
    status = msgspec.convert(api(target).request("GET", "sys/seal-status"), _SealStatus)
    if not status.initialized:
        return Failed("it has never been initialized", "./nasos vault bootstrap")
    return Failed("it is sealed") if status.sealed else Passed("unsealed")


class _SealStatus(msgspec.Struct):
    initialized: bool
    sealed: bool


@rule(
    "vault.authentication",
    title="An AppRole login works, and an audited read with it",
    severity=Severity.CRITICAL,
    why="a Vault whose audit disk is full says it is healthy and fails every request; only a real read tells",
    fix="./nasos vault bootstrap",
    needs=("vault.unsealed",),
)
def authentication(target: Target) -> Verdict:
    """Log in as ``checker`` and read the bootstrap marker."""
    try:
        with logged_in(target) as (server, token):
            server.request("GET", "kv/data/nasos/_meta/bootstrap", token=token)
    except RateLimited:
        raise  # says nothing about the login
    except VaultError as error:
        return Failed(error.message, error.hint or "")
    return Passed("logged in as checker, read the bootstrap marker, gave the token back")


@rule(
    "vault.wrong-credential-refused",
    title="A wrong SecretID is refused",
    severity=Severity.CRITICAL,
    why="a role whose SecretID is not asked for is open to whoever knows its name",
    fix="./nasos vault bootstrap",
    needs=("vault.unsealed",),
)
def wrong_credential_refused(target: Target) -> Verdict:
    """Try to log in with the checker's RoleID and a SecretID that nobody made."""
    held = connection(target).credential
    if not isinstance(held, AppRole):
        return Skipped("the role checker has no credential here")
    role_id = held.role_id
    if held.secret_id_file:
        role_id = msgspec.json.decode(read_private(held.secret_id_file), type=RoleFile).role_id
    server = api(target)
    try:
        grant = BUSY.call(AppRoleLogin(server, AppRole(role_id, Secret(str(uuid.uuid4())))).obtain)
    except CredentialRejected:
        return Passed("refused")
    server.request("POST", "auth/token/revoke-self", {}, token=grant.token)
    return Failed("a made-up SecretID was accepted")


@rule(
    "vault.no-root-token",
    title="No root token is left on this machine",
    severity=Severity.CRITICAL,
    why="the root token opens everything and leaves nothing to take back but itself",
    fix="./nasos vault bootstrap",
)
def no_root_token(target: Target) -> Verdict:
    """The init answer, which holds the root token, is gone once bootstrap is complete."""
    answer = target.home / "vault" / "bootstrap.json"
    if answer.exists():
        return Failed(f"{answer} is still there: bootstrap did not finish")
    return Passed("the init answer is gone")


@rule(
    "vault.recovery-moved",
    title="The recovery key is kept somewhere else",
    severity=Severity.LOW,
    why="whoever copies this disk holds the key that makes a new root token; on the lost disk it helps nobody",
    fix="shred -u .nasos/recovery.json",
)
def recovery_moved(target: Target) -> Verdict:
    """Advice: the file is for moving away."""
    path = target.home / "recovery.json"
    if path.exists():
        return Failed(
            f"{path} is still on this machine", f"copy it to a safe place, compare the copy, then: shred -u {path}"
        )
    return Passed("not on this machine")


RULES: Final = (
    reachable,
    certificate,
    plain_refused,
    unsealed,
    authentication,
    wrong_credential_refused,
    audit_devices,
    settings,
    no_root_token,
    recovery_moved,
)
