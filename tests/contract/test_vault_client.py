"""VaultClient on a real OpenBao, with hvac as the oracle for what lands there."""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hvac
import pytest

from fixtures.vault import Server, VaultUnderTest
from nasos import VaultClient
from nasos.errors import (
    FileRefused,
    NameRefused,
    PermissionDenied,
    SecretDeleted,
    SecretNotFound,
    SettingsError,
    VaultSealed,
    VaultUnreachable,
)
from nasos.ledger import Outcome
from nasos.secret import Secret
from nasos.settings import AppRole, Token, VaultConnection
from nasos.vault import cache
from nasos.vault.session import Session

ROOT = Path(__file__).parents[2]

SNIPPET = """\
from src.utils.security import VaultClient

vault = VaultClient()
vault.store_secret("api_key", "my-secret-api-key")
api_key = vault.get_secret("api_key")
"""


class Events:
    """What a client told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Outcome, dict[str, str]]] = []

    def __call__(self, event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        """Like `Ledger.append`."""
        self.seen.append((event, target, outcome, dict(detail)))


@pytest.fixture
def client(vault: VaultUnderTest, folder: str) -> Iterator[VaultClient]:
    """A client as the role `app`, in a folder of its own."""
    with VaultClient(vault.connection("app"), prefix=folder) as made:
        yield made


@pytest.fixture
def oracle(vault: VaultUnderTest) -> Iterator[hvac.Client]:
    """hvac with a root token."""
    made = hvac.Client(vault.address, token=vault.root_token.reveal(), verify=str(vault.ca_file))
    yield made
    made.adapter.close()


def app_env(home: Path, connection: VaultConnection, mode: int = 0o600) -> None:
    """What bootstrap leaves for VaultClient() without arguments."""
    role = connection.credential
    assert isinstance(role, AppRole)
    home.mkdir(mode=0o700, exist_ok=True)
    text = f"""VAULT_ADDR={connection.address}
VAULT_CACERT={connection.ca_file}
VAULT_ROLE_ID={role.role_id}
VAULT_SECRET_ID_FILE={role.secret_id_file}
"""
    (home / "app.env").write_text(text)
    (home / "app.env").chmod(mode)


def run(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program of the user's, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env={"PATH": os.environ["PATH"], **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_documents_snippet_runs_verbatim(vault: VaultUnderTest, tmp_path: Path, oracle: hvac.Client) -> None:
    """The user's three lines work from the repository root against the local stack, and hvac finds the value."""
    app_env(tmp_path / "home", vault.connection("app"))
    result = run(f"{SNIPPET}print(api_key)", ROOT, NASOS_HOME=str(tmp_path / "home"))
    assert (result.stdout, result.stderr, result.returncode) == ("my-secret-api-key\n", "", 0)
    found = oracle.secrets.kv.v2.read_secret_version(
        "nasos/app/api_key", mount_point="kv", raise_on_deleted_version=True
    )
    assert found["data"]["data"] == {"value": "my-secret-api-key"}


def test_the_environment_comes_before_the_local_stack(vault: VaultUnderTest, tmp_path: Path) -> None:
    """With VAULT_ADDR and a token in the environment, app.env is not even read."""
    (tmp_path / "app.env").write_text("not a line of ours")
    result = run(
        "from nasos import VaultClient; print(VaultClient().list()[:0])", tmp_path, NASOS_HOME=str(tmp_path),
        VAULT_ADDR=vault.address, VAULT_CACERT=str(vault.ca_file), VAULT_TOKEN=vault.root_token.reveal(),
    )  # fmt: skip
    assert (result.stdout, result.returncode) == ("()\n", 0), result.stderr


def test_without_vault_the_error_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No VAULT_ADDR and no stack: a settings error whose hint can be typed; an address alone is not enough either."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="VAULT_ADDR is not set") as caught:
        VaultClient()
    assert "setup_security.sh" in (caught.value.hint or "")
    monkeypatch.setenv("VAULT_ADDR", "https://127.0.0.1:1")
    with pytest.raises(SettingsError, match="no credential"):
        VaultClient()


def test_an_app_env_that_others_can_read_is_refused(
    vault: VaultUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may replace app.env could send our login elsewhere: it must be private."""
    app_env(tmp_path, vault.connection("app"), mode=0o644)
    monkeypatch.setenv("NASOS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileRefused, match="can be read by other users"):
        VaultClient()


def test_another_python_is_told_which_one_to_use(tmp_path: Path) -> None:
    """Where nasos is not installed, the import error names .venv/bin/python."""
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import src.utils.security"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert ".venv/bin/python" in result.stderr.splitlines()[-1]


def test_hvac_reads_what_we_write_and_we_read_what_hvac_writes(
    client: VaultClient, oracle: hvac.Client, folder: str
) -> None:
    """Fields, versions, description and deletion look the same from both sides."""
    kv = oracle.secrets.kv.v2
    client.store_secret("key", "line 1\nline 2 ü", description="for people")
    theirs = kv.read_secret_version(f"{folder}/key", mount_point="kv", raise_on_deleted_version=True)["data"]
    assert theirs["data"] == {"value": "line 1\nline 2 ü"}
    assert theirs["metadata"]["custom_metadata"] == {"description": "for people"}
    kv.create_or_update_secret(f"{folder}/key", {"value": "theirs", "n": 7}, cas=1, mount_point="kv")
    record = client.read("key")
    assert record.version == 2
    assert {name: value.reveal() for name, value in record.fields.items()} == {"value": "theirs", "n": "7"}
    client.delete("key")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version(f"{folder}/key", mount_point="kv", raise_on_deleted_version=True)
    kv.undelete_secret_versions(f"{folder}/key", [2], mount_point="kv")
    assert client.get_secret("key") == "theirs"
    kv.delete_metadata_and_all_versions(f"{folder}/key", mount_point="kv")
    with pytest.raises(SecretNotFound):
        client.read("key")


def test_get_secret_falls_back_to_the_default_only_when_there_is_none(client: VaultClient) -> None:
    """Missing and deleted give the default, even None; without one they raise; a refused name always raises."""
    assert client.get_secret("nope", "d") == "d"
    assert client.get_secret("nope", None) is None
    with pytest.raises(SecretNotFound):
        client.get_secret("nope")
    client.store_secret("gone", "x")
    client.delete("gone")
    assert client.get_secret("gone", "d") == "d"
    with pytest.raises(SecretDeleted):
        client.get_secret("gone")
    with pytest.raises(NameRefused):
        client.get_secret("../x", "d")


def test_a_secret_without_the_field_value_names_its_fields(client: VaultClient) -> None:
    """get_secret reads `value`; the error of another shape lists the names, not the values."""
    client.write("pair", {"username": "hidden-user", "password": "hidden-pass"})
    with pytest.raises(SecretNotFound, match="it has password, username") as caught:
        client.get_secret("pair")
    assert "hidden" not in str(caught.value)


def test_an_own_write_is_seen_at_once(client: VaultClient) -> None:
    """Every kind of write of ours drops the cached value."""
    for number in range(5):
        client.store_secret("key", str(number))
        assert client.get_secret("key") == str(number)
    client.delete("key")
    assert client.get_secret("key", "none") == "none"
    client.undelete("key", [5])
    assert client.get_secret("key") == "4"
    client.destroy("key", [5])
    assert client.get_secret("key", "none") == "none"


def test_writes_are_told_with_names_and_never_with_values(vault: VaultUnderTest, folder: str) -> None:
    """Each write is one event with outcome; a refused one is told as refused."""
    events = Events()
    with VaultClient(vault.connection("app"), prefix=folder, on_event=events) as client:
        client.store_secret("key", "canary-value")
        client.delete("key", [1])
    with (
        VaultClient(vault.connection("bot-nasos"), prefix=folder, on_event=events) as client,
        pytest.raises(PermissionDenied, match="denied create or update"),
    ):
        client.store_secret("key", "canary-value")
    target = f"{folder}/key"
    assert [(event, seen, outcome) for event, seen, outcome, _ in events.seen] == [
        ("secret.write", target, Outcome.OK),
        ("secret.delete", target, Outcome.OK),
        ("secret.write", target, Outcome.REFUSED),
    ]
    assert events.seen[0][3] == {"fields": "value", "version": "1"}
    assert "canary" not in repr(events.seen)


def test_an_outage_is_bridged_loudly_and_only_so_long(
    vault: VaultUnderTest, folder: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed: the last value with a warning and one event; past max_stale and for unknown names: an error."""
    monkeypatch.setattr(cache, "FRESH_FOR", 0.0)
    events = Events()
    with VaultClient(vault.connection("app"), prefix=folder, on_event=events) as patient:
        never = VaultClient(vault.connection("app"), prefix=folder, max_stale=0)
        patient.store_secret("key", "last known")
        assert patient.get_secret("key") == never.get_secret("key") == "last known"
        vault.kill()
        try:
            with caplog.at_level(logging.WARNING):
                assert [patient.get_secret("key") for _ in range(3)] == ["last known"] * 3
            with pytest.raises(VaultUnreachable, match="cannot be reached"):
                never.get_secret("key")
            with pytest.raises(VaultUnreachable, match="cannot be reached"):
                patient.get_secret("other", "a default does not hide an outage")
        finally:
            vault.restart()
        assert [event for event, *_ in events.seen] == ["secret.write", "vault.stale-read"]
        assert any("serving key as it was read" in message for message in caplog.messages)
        assert "last known" not in caplog.text
        patient.store_secret("key", "after")
        assert patient.get_secret("key") == "after"
        never.close()


def test_a_sealed_vault_is_bridged_too_but_a_new_client_is_told(
    new_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed: the last value for who has read it, VaultSealed with the command to type for who has not."""
    monkeypatch.setattr(cache, "FRESH_FOR", 0.0)
    server = new_server(shamir=True)  # one with a key file would unseal itself at once
    root = server.bootstrap_keeping_root()
    client = VaultClient(server.connection("app"))
    client.store_secret("key", "last known")
    client.get_secret("key")
    server.api.request("POST", "sys/seal", {}, token=root)
    assert client.get_secret("key") == "last known"
    with pytest.raises(VaultSealed) as caught:
        VaultClient(server.connection("app")).get_secret("key")
    assert caught.value.hint == "nasos vault unseal"


def test_a_denied_read_is_never_answered_from_the_past(
    vault: VaultUnderTest, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Vault says no or not found, a value that was read before is not served."""
    monkeypatch.setattr(cache, "FRESH_FOR", 0.0)
    name = f"nasos-test-{os.urandom(4).hex()}"
    rule = f'path "kv/data/{folder}/*" {{ capabilities = ["create", "update", "read"] }}'
    root = Session(vault.api, vault.root_connection.credential)  # type: ignore[arg-type]  # it has one
    root.request("PUT", f"sys/policies/acl/{name}", {"policy": rule})
    made = root.request("POST", "auth/token/create-orphan", {"policies": [name], "ttl": "5m"})["auth"]
    assert isinstance(made, dict)
    connection = VaultConnection(vault.address, vault.ca_file, Token(Secret(made["client_token"])))
    with VaultClient(connection, prefix=folder) as client:
        client.store_secret("key", "before")
        assert client.get_secret("key") == "before"
        root.request("DELETE", f"sys/policies/acl/{name}")
        with pytest.raises(PermissionDenied, match="denied read"):
            client.get_secret("key", "default")


def test_many_threads_share_one_client(client: VaultClient) -> None:
    """Sixteen threads write and read their own keys through one client without a wrong answer."""
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(10):
            client.store_secret(f"key{number}", f"{number}-{turn}")
            if client.get_secret(f"key{number}") != f"{number}-{turn}":
                wrong.append(f"{number}-{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_uses_its_own_connection(client: VaultClient) -> None:
    """After fork both processes go on reading; the child's end does not end the parent's token."""
    client.store_secret("key", "before")

    def child(pipe: object) -> None:
        client._cache.clear()
        pipe.send(client.get_secret("key"))  # type: ignore[attr-defined]  # a Connection
        client.close()

    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,))
    process.start()
    process.join(30)
    assert (process.exitcode, ours.recv()) == (0, "before")
    assert client.read("key").fields["value"] == Secret("before")
