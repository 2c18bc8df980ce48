"""From an empty server to a ready one, and back to it from wherever an earlier run was killed.

Rules:

* observe, plan, apply (`reconcile.py`); on a ready server the plan is empty and nothing is written.
* The init answer is on disk before it is used; the completion marker is written last, then ``recovery.json``, then
  the root token is revoked and proved dead, then the answer is removed. Every step may be the last before a
  ``kill -9``: the next run goes on from what it finds.
* Without root token the operator's credential mends drift; what only root may change is named, not attempted.
* A server that somebody else initialized is never wiped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from nasos.errors import BootstrapRefused, CredentialRejected, PermissionDenied, VaultError, VaultRefused, VaultSealed
from nasos.files import ExclusiveLock
from nasos.ledger import Ledger, Outcome
from nasos.secret import Secret
from nasos.vault import system
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials
from nasos.vault.desired import Desired
from nasos.vault.reconcile import Observed, Plan, Progress, Write, apply, observe, plan
from nasos.vault.recovery import Files, InitRecord, Wipe
from nasos.vault.retry import PATIENT
from nasos.vault.system import SealStatus, Shares

_ONE_SHARE: Final = Shares()
_FINISH: Final = ("write recovery.json", "revoke the root token and prove it dead", "remove the init answer")


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, or would be."""

    steps: tuple[str, ...]
    """One line each; empty on a ready server."""
    unknown: tuple[str, ...] = ()
    """Settings that the token at hand may not read."""


def bootstrap(  # noqa: PLR0913  what is made, where it is kept, and who is told: none follows from another
    api: VaultApi,
    desired: Desired,
    files: Files,
    *,
    now: datetime,
    progress: Progress = lambda _text: None,
    ledger: Ledger | None = None,
    token: Secret | None = None,
    begin_again: Wipe | None = None,
    shares: Shares = _ONE_SHARE,
) -> Report:
    """Make the server what ``desired`` says; ``token`` is the caller's own administrator token, if any.

    Raises:
        BootstrapRefused: The server is in a state that must not be touched; the hint says what can be done.
        VaultError: The server refused or was lost; run it again.
        AlreadyRunning: Another bootstrap of the same files is under way.
    """
    done: list[str] = []

    def tell(text: str) -> None:
        progress(text)
        done.append(text)

    run = _Run(api, desired, files, now, tell, token, begin_again, shares)
    try:
        with ExclusiveLock(files.lock, "the bootstrap of vault"):
            unknown = run.complete()
    except VaultError as error:
        if ledger:
            detail = {"after": done[-1] if done else "", "error": type(error).__name__}
            ledger.append("vault.bootstrap", api.address, Outcome.FAILED, detail, now=now)
        raise
    if ledger and done:
        ledger.append("vault.bootstrap", api.address, Outcome.OK, {"steps": str(len(done))}, now=now)
    return Report(tuple(done), unknown)


def preview(api: VaultApi, desired: Desired, files: Files, *, now: datetime, token: Secret | None = None) -> Report:
    """What `bootstrap` would do; nothing is changed.

    Raises:
        BootstrapRefused: As `bootstrap` would.
        VaultSealed: The server waits for a person.
    """
    run = _Run(api, desired, files, now, lambda _text: None, token, None, Shares())
    return run.foresee()


@dataclass(frozen=True, slots=True)
class _Run:
    api: VaultApi
    desired: Desired
    files: Files
    now: datetime
    tell: Progress
    given: Secret | None
    begin_again: Wipe | None
    shares: Shares

    @property
    def store(self) -> Credentials:
        # Only where we bound the roles to addresses ourselves do we know that they may log in from here.
        provable = self.desired.bound_cidrs is not None
        return Credentials(self.files.credentials, self.desired.owners, provable=provable)

    def complete(self) -> tuple[str, ...]:
        """Do all of it; return what could not be seen."""
        record = self._initialized()
        self._unsealed(record)
        system.wait_active(self.api)
        with self._authority(record) as acting:
            todo = plan(observe(self.api, acting.token, self.desired, self.store, self.now), self.desired)
            beyond = () if acting.may_all else todo.beyond_operator
            apply(self.api, acting.token, _without(todo, beyond), self.store, progress=self.tell, now=self.now)
            if beyond:
                raise BootstrapRefused(
                    f"changed since bootstrap, and only a root token may set it back: {', '.join(beyond)}",
                    "nasos vault recover (it asks for the recovery key), or bootstrap once with a root VAULT_TOKEN",
                )
            if record:
                self._finish(record)
        return todo.unknown

    def foresee(self) -> Report:
        """The same without doing it."""
        status, record = system.seal_status(self.api), self.files.load()
        if not status.initialized or (record and record.root_token is None):
            product = system.health(self.api).product
            steps = plan(Observed.of_nothing(product), self.desired).steps
            return Report(("initialize the server", *(step.text for step in steps), *_FINISH))
        if status.sealed:
            raise VaultSealed("vault is sealed: what it holds cannot be seen", "nasos vault unseal")
        with self._authority(record) as acting:
            todo = plan(observe(self.api, acting.token, self.desired, self.store, self.now), self.desired)
        return Report((*(step.text for step in todo.steps), *(_FINISH if record else ())), todo.unknown)

    def _initialized(self) -> InitRecord | None:
        """The init answer, asked for now or kept from an earlier run; None when that run finished."""
        status, record = system.seal_status(self.api), self.files.load()
        if status.initialized and record and record.root_token is None:
            status = self._begun_again()
        if status.initialized:
            return record
        if self.files.recovery.exists() or self.store.any() or (record and record.root_token):
            raise BootstrapRefused(
                f"the server is empty, but {self.files.recovery.parent} holds the keys of another one",
                "restore that server's data; or, to begin with an empty vault, move "
                f"{self.files.recovery.name}, {self.files.credentials.name} and {self.files.answer.name} away",
            )
        self.tell("initialize the server")
        self.files.note_intent(self.api.address)
        try:
            said = system.initialize(self.api, status, self.shares)
        except VaultRefused:
            if record is None:
                self.files.forget()  # a plain no to the first try: whoever else is initializing it, it is not ours
                raise
            # Killed in mid-init, OpenBao says "not initialized" and still refuses: its raft log "already has state".
            status = self._begun_again()
            said = system.initialize(self.api, status, self.shares)
        return self.files.note_answer(self.api.address, status, self.shares, said)

    def _begun_again(self) -> SealStatus:
        if self.begin_again is None or not self.files.never_used():
            raise BootstrapRefused(
                "an earlier run was ended while the server was being initialized; its keys never were on disk",
                "embedded server: nasos up begins again; elsewhere: remove its (unused) data yourself and "
                f"then {self.files.answer}",
            )
        self.tell("begin again: an earlier run was ended before the keys were on disk, and nothing was stored")
        self.begin_again()
        status = system.wait_answering(self.api, 30)
        if status.initialized:
            raise BootstrapRefused("the server still has its data after it was begun again", "nasos logs vault")
        return status

    def _unsealed(self, record: InitRecord | None) -> None:
        status = system.seal_status(self.api)
        if not status.sealed or status.recovery_seal:
            return
        if record is None:
            raise VaultSealed("vault is sealed", "nasos vault unseal")
        self.tell("unseal the server")
        for key in record.keys[: record.threshold]:
            system.unseal(self.api, key)

    @contextmanager
    def _authority(self, record: InitRecord | None) -> Iterator[_Authority]:
        """Init's root token while it lives, else the caller's, else the operator's (given back afterwards)."""
        if record and record.root_token and _alive(self.api, record.root_token):
            yield _Authority(record.root_token, may_all=True)
        elif self.given:
            yield _Authority(self.given, may_all=True)
        else:
            operator = self._operator()
            try:
                yield _Authority(operator, may_all=False)
            finally:
                with suppress(VaultError):
                    self.api.request("POST", "auth/token/revoke-self", {}, token=operator)

    def _operator(self) -> Secret:
        role = next(role for role in self.desired.roles if role.name == "operator")
        credential = self.store.load(role)
        if credential is None:
            raise BootstrapRefused(
                f"the server is initialized, and there is no operator credential in {self.files.credentials}",
                "nasos vault recover (it asks for the recovery key), or VAULT_TOKEN of an administrator for this run",
            )
        try:
            return PATIENT.call(AppRoleLogin(self.api, credential).obtain).token
        except CredentialRejected:
            raise CredentialRejected(
                "vault refused the operator's credential",
                "nasos vault recover (it asks for the recovery key), or VAULT_TOKEN of an administrator for this run",
            ) from None

    def _finish(self, record: InitRecord) -> None:
        """Everything is done and marked: keep the keys for the operator, end the root token."""
        if not self.files.recovery.exists():
            self.tell(_FINISH[0])
            self.files.write_recovery(record, self.now)
        if record.root_token and _alive(self.api, record.root_token):
            self.tell(_FINISH[1])
            self.api.request("POST", "auth/token/revoke-self", {}, token=record.root_token)
            if _alive(self.api, record.root_token):
                raise VaultRefused("the root token still works after it was revoked", f"it is in {self.files.answer}")
        self.tell(_FINISH[2])
        self.files.forget()


@dataclass(frozen=True, slots=True)
class _Authority:
    token: Secret
    may_all: bool


def _without(todo: Plan, names: tuple[str, ...]) -> Plan:
    steps = tuple(step for step in todo.steps if not (isinstance(step, Write) and step.setting.name in names))
    return replace(todo, steps=steps)


def _alive(api: VaultApi, token: Secret) -> bool:
    try:
        api.request("GET", "auth/token/lookup-self", token=token)
    except (PermissionDenied, CredentialRejected):
        return False
    return True


__all__ = ["Desired", "Files", "Observed", "Plan", "Report", "apply", "bootstrap", "observe", "plan", "preview"]
