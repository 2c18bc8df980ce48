"""SecretID files replaced with overlap on the real server: what works when, what is proven dead, what a kill leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from fixtures.commands import nasos
from fixtures.vault import BOTS, VaultUnderTest
from nasos.errors import CredentialRejected
from nasos.ledger import Outcome, read
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import Answer, VaultApi
from nasos.vault.credentials import Credentials, State, log_in_once
from nasos.vault.renewal import Renewal
from nasos.vault.retry import PATIENT
from nasos.vault.roles import roles
from nasos.vault.secret_ids import OVERLAP, QUIET_OVERLAP

DESIRED_NAMES = [role.name for role in roles(("nasos",))]
ROLES = {role.name: role for role in roles(BOTS)}


class Killed(Exception):
    """A test ends the run here."""


def renewal(
    vault: VaultUnderTest, token: Secret | None = None, sleep: Callable[[float], None] = lambda _s: None
) -> Renewal:
    """A renewal of the session's files that does not really wait."""
    files = Credentials(vault.server.files.credentials, {})
    return Renewal(vault.api, token or vault.root_token, files, datetime.now(UTC), sleep=sleep)


def held(vault: VaultUnderTest, role: str) -> AppRole:
    """What the role's file holds at this moment."""
    credential = Credentials(vault.server.files.credentials, {}).load(ROLES[role])
    assert credential
    return credential


def works(vault: VaultUnderTest, credential: AppRole) -> bool:
    """Whether it logs in."""
    try:
        log_in_once(vault.api, credential)
    except CredentialRejected:
        return False
    return True


def living(vault: VaultUnderTest, role: str) -> int:
    """How many SecretIDs of a role the server knows."""
    answer = vault.api.request("LIST", f"auth/approle/role/nasos-{role}/secret-id", token=vault.root_token)
    return len(msgspec.convert(answer["data"], dict[str, list[str]])["keys"])


@pytest.mark.parametrize("role", ["app", "operator", "bot-nasos"])
def test_old_and_new_overlap_and_the_old_ends(vault: VaultUnderTest, role: str) -> None:
    """While programs re-read the file both log in; afterwards the new one alone, and the server knows no other."""
    old, seen, before = held(vault, role), [], living(vault, role)

    def during(seconds: float) -> None:
        new = held(vault, role)
        seen.append((seconds, works(vault, old), works(vault, new), new.secret_id == old.secret_id))

    [done] = renewal(vault, sleep=during).run([ROLES[role]])
    assert seen == [(OVERLAP.total_seconds(), True, True, False)]
    assert (done.replaced, done.left) == (True, 0)
    assert done.ended >= 1
    assert works(vault, held(vault, role))
    assert not works(vault, old)
    assert living(vault, role) <= before  # not 1: other tests made some of their own for "app"


def test_a_running_program_notices_nothing(vault: VaultUnderTest) -> None:
    """A token from the old SecretID lives on, and the next login of the same program reads the new file."""
    connection = vault.connection("rotator")
    assert isinstance(connection.credential, AppRole)
    source = AppRoleLogin(vault.api, connection.credential)
    before = PATIENT.call(source.obtain)
    renewal(vault).run([ROLES["rotator"]])
    assert vault.api.request("GET", "auth/token/lookup-self", token=before.token)
    assert source.renew(before).token == before.token
    assert PATIENT.call(source.obtain).token != before.token


def test_the_operator_may_replace_every_credential(vault: VaultUnderTest) -> None:
    """With its own token, its own file included; 9 roles are one overlap."""
    token = PATIENT.call(AppRoleLogin(vault.api, held(vault, "operator")).obtain).token
    waits: list[float] = []
    done = renewal(vault, token, sleep=waits.append).run(tuple(ROLES.values()))
    assert [each.role for each in done if each.replaced] == list(ROLES)
    assert len(waits) == 1
    assert all(works(vault, held(vault, role)) for role in ROLES)


def test_only_what_is_old_enough_is_replaced(vault: VaultUnderTest) -> None:
    """--older-than leaves young ones alone, and a missing one is replaced whatever its age."""
    renewal(vault).run([ROLES["watcher"]])
    [young] = renewal(vault).run([ROLES["watcher"]], older_than=timedelta(days=1))
    assert not young.replaced
    (vault.server.files.credentials / "watcher.json").unlink()
    [missing] = renewal(vault).run([ROLES["watcher"]], older_than=timedelta(days=1))
    assert missing.replaced
    assert works(vault, held(vault, "watcher"))


class Mortal(VaultApi):
    """Ends its user at the n-th request."""

    left: int

    def exchange(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *,
        token: Secret | None = None, wrap_ttl: str | None = None,
    ) -> Answer:  # fmt: skip
        """The same request, as long as the user lives."""
        if self.left == 0:
            raise Killed
        self.left -= 1
        return super().exchange(method, path, body, token=token, wrap_ttl=wrap_ttl)


def killed_runs(vault: VaultUnderTest) -> Iterator[int]:
    """A renewal that is killed before its first request, then before its second, until one gets through."""
    with closing(Mortal(vault.address, vault.ca_file)) as api:
        for count in range(60):
            api.left = count
            files = Credentials(vault.server.files.credentials, {})
            mortal = Renewal(api, vault.root_token, files, datetime.now(UTC), sleep=lambda _s: None)
            try:
                mortal.run([ROLES["gateway"]])
            except Killed:
                yield count
            else:
                return


def test_killed_before_each_request_something_works(vault: VaultUnderTest) -> None:
    """Whatever the file holds logs in at any moment, and a next run leaves exactly that one."""
    killed = -1
    for killed in killed_runs(vault):
        assert works(vault, held(vault, "gateway")), killed
        [mended] = renewal(vault).run([ROLES["gateway"]])
        assert mended.left == 0
        assert living(vault, "gateway") == 1, killed
    assert killed > 10


def test_an_orphan_of_a_killed_run_is_ended_by_bootstrap(
    vault: VaultUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SecretID that never reached its file is newer than the file's: the next bootstrap destroys it."""

    def killed(*_arguments: object, **_options: object) -> None:
        raise Killed

    vault.server.bootstrap()  # whatever other tests left on this server
    with monkeypatch.context() as patched:
        patched.setattr(Credentials, "_write", killed)
        with pytest.raises(Killed):
            renewal(vault).run([ROLES["companion"]])
    before = living(vault, "companion")
    assert vault.server.bootstrap().steps == ("end what credentials/companion.json held before (1)",)
    assert living(vault, "companion") == before - 1
    assert works(vault, held(vault, "companion"))


def test_what_others_minted_stays(vault: VaultUnderTest) -> None:
    """A SecretID without our note, made by hand for another machine, outlives every renewal."""
    answer = vault.api.request("POST", "auth/approle/role/nasos-app/secret-id", {}, token=vault.root_token)
    foreign = AppRole(
        role_id=held(vault, "app").role_id,
        secret_id=Secret(msgspec.convert(answer["data"], dict[str, object])["secret_id"]),  # type: ignore[arg-type]
    )
    renewal(vault).run([ROLES["app"]])
    assert works(vault, foreign)


def test_a_long_overlap_is_ended_later(vault: VaultUnderTest) -> None:
    """Asked for a day, the old one logs in until the day is over; then any run of bootstrap ends it."""
    old = held(vault, "checker")
    [done] = renewal(vault).run([ROLES["checker"]], overlap=timedelta(days=1))
    assert (done.ended, done.left) == (0, 1)
    assert works(vault, old)
    assert vault.server.bootstrap().steps == ()
    files = Credentials(vault.server.files.credentials, {})
    tomorrow = datetime.now(UTC) + timedelta(days=1, minutes=1)
    assert files.standing(vault.api, vault.root_token, ROLES["checker"], tomorrow).superseded(tomorrow)
    [ended] = Renewal(vault.api, vault.root_token, files, tomorrow).run(
        [ROLES["checker"]], older_than=timedelta(days=9)
    )
    assert (ended.replaced, ended.ended) == (False, 1)
    assert not works(vault, old)


def test_a_new_one_that_does_not_log_in_replaces_nothing(vault: VaultUnderTest) -> None:
    """Where the role may not log in from here, the file keeps what it has, and the new SecretID is destroyed."""
    path, role = "auth/approle/role/nasos-companion", ROLES["companion"]
    before, count = held(vault, "companion"), living(vault, "companion")
    vault.api.request("POST", path, {"secret_id_bound_cidrs": ["192.0.2.1/32"]}, token=vault.root_token)
    try:
        with pytest.raises(CredentialRejected, match="does not log in from here"):
            renewal(vault).run([role])
        assert held(vault, "companion").secret_id == before.secret_id
        assert living(vault, "companion") == count
    finally:
        vault.server.bootstrap()
    assert works(vault, before)


def test_the_command_lists_and_replaces(vault: VaultUnderTest) -> None:
    """As an operator types it: all good, one role replaced, the ledger tells, no value is shown."""
    shown = nasos(vault.server, "vault", "credentials", "list", "--json")
    assert shown.returncode == 0, shown.stderr
    assert {row["role"]: row["state"] for row in json.loads(shown.stdout)} == dict.fromkeys(DESIRED_NAMES, "good")
    before = held(vault, "watcher")
    done = nasos(vault.server, "vault", "credentials", "renew", "--role", "watcher", "--overlap", "0", "--json")
    assert (done.returncode, json.loads(done.stdout)[0]["replaced"]) == (0, True), done.stderr
    after = held(vault, "watcher")
    assert not works(vault, before)
    for credential in (before, after):
        assert credential.secret_id
        assert credential.secret_id.reveal() not in done.stdout + done.stderr + shown.stdout + shown.stderr
    [event] = [e for e in read(vault.home / "ledger" / "events.jsonl") if e.event == "vault.credential"]
    assert (event.target, event.outcome) == ("credentials/watcher.json", Outcome.OK)
    wrong = nasos(vault.server, "vault", "credentials", "renew", "--role", "nobody")
    assert (wrong.returncode, "there is no role nobody" in wrong.stderr) == (2, True)


def test_a_clock_that_jumps_ends_nothing_early_and_nothing_twice(vault: VaultUnderTest) -> None:
    """An hour off in either direction: the file's own SecretID is never superseded, whatever now is said to be."""
    files, role = Credentials(vault.server.files.credentials, {}), ROLES["watcher"]
    for hours in (-1, 1, -1):
        now = datetime.now(UTC) + timedelta(hours=hours)
        Renewal(vault.api, vault.root_token, files, now, sleep=lambda _s: None).run([role])
        assert works(vault, held(vault, "watcher"))
        assert files.standing(vault.api, vault.root_token, role, now).state is State.GOOD
    assert timedelta(hours=1) < QUIET_OVERLAP
