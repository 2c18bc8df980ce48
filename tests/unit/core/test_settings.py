from __future__ import annotations

import os
import pwd
import subprocess
import tomllib
from pathlib import Path

import pytest

from nasos.errors import FileRefused, NameRefused, SettingsError
from nasos.settings import (
    AppRole,
    Document,
    Settings,
    Token,
    bot_name,
    child_environment,
    child_identity,
    load,
    parse_document,
)

VALUE = "s.PlantedTokenValue0123456789"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty working directory."""
    return tmp_path


def loaded(here: Path, env: str = "", toml: str = "", **environ: str) -> Settings:
    """Settings from these files and this environment, with a project that has none."""
    project = here / "project"
    project.mkdir(exist_ok=True)
    for name, text in ((".env", env), ("nasos.toml", toml)):
        if text:
            (here / name).write_text(text)
            (here / name).chmod(0o600)
    return load({"NASOS_PROJECT": str(project), "HOME": str(here), **environ}, here)


def refusal(here: Path, env: str = "", toml: str = "", **environ: str) -> SettingsError:
    """The error that these settings give."""
    with pytest.raises(SettingsError) as caught:
        loaded(here, env, toml, **environ)
    return caught.value


def test_nothing_configured_gives_the_defaults(here: Path) -> None:
    """Without any file the state is in the project, nothing is connected and no credential exists."""
    settings = loaded(here)
    assert settings.home == here / "project" / ".nasos"
    assert settings.port is None
    assert settings.vault_connection is None
    assert settings.cloudflare.api_token is None
    assert (settings.stack, settings.vault, settings.tls, settings.bot) == (
        Document().stack,
        Document().vault,
        Document().tls,
        Document().bot,
    )


def test_the_environment_beats_env_file_beats_toml(here: Path) -> None:
    """Three sources, one order; an empty variable means not set."""
    toml, env = "[stack]\nport = 9000\n", "NASOS_PORT=9100\n"
    assert loaded(here, toml=toml).port == 9000
    assert loaded(here, env=env, toml=toml).port == 9100
    assert loaded(here, env=env, toml=toml, NASOS_PORT="9200").port == 9200
    assert loaded(here, env=env, toml=toml, NASOS_PORT="").port == 9100
    assert loaded(here, env="NASOS_PORT=\n", toml=toml).port == 9000


def test_the_working_directory_beats_the_project(here: Path) -> None:
    """A .env beside the operator wins over the checkout's, name by name; an empty name there hides nothing."""
    loaded(here)
    project = here / "project" / ".env"
    project.write_text("VAULT_ADDR=https://project:8200\nVAULT_NAMESPACE=team\n")
    connection = loaded(here, env="VAULT_ADDR=https://here:8200\nVAULT_NAMESPACE=\n").vault_connection
    assert connection is not None
    assert (connection.address, connection.namespace) == ("https://here:8200", "team")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("VAULT_ROLE_ID=abc", "abc"),
        ("  export VAULT_ROLE_ID = abc  ", "abc"),
        ('VAULT_ROLE_ID="a b"', "a b"),
        ("VAULT_ROLE_ID='a # b'", "a # b"),
        ('VAULT_ROLE_ID="a" # comment', "a"),
        ("VAULT_ROLE_ID=a#b", "a#b"),
        ("VAULT_ROLE_ID=a # comment", "a"),
        ("VAULT_ROLE_ID=a=b==", "a=b=="),
        ("\ufeffVAULT_ROLE_ID=abc", "abc"),
        ("# comment\r\nVAULT_ROLE_ID=abc\r\n", "abc"),
        ("VAULT_ROLE_ID=a\u2028b", "a\u2028b"),
        ("VAULT_ROLE_ID=$HOME", "$HOME"),
    ],
)
def test_env_lines_mean_what_shells_and_compose_mean(here: Path, line: str, value: str) -> None:
    """Export, quotes, comments, BOM, CRLF and = inside values; nothing is expanded."""
    connection = loaded(here, env=f"{line}\nVAULT_ADDR=https://v:8200\nVAULT_SECRET_ID=x").vault_connection
    assert connection is not None
    assert isinstance(connection.credential, AppRole)
    assert connection.credential.role_id == value


def test_a_comment_in_place_of_a_value_is_no_value(here: Path) -> None:
    """VAULT_TOKEN= # put it here: sets no token."""
    connection = loaded(here, env="VAULT_ADDR=https://v:8200\nVAULT_TOKEN= # put the token here\n").vault_connection
    assert connection is not None
    assert connection.credential is None


@pytest.mark.parametrize(
    ("env", "where", "hint"),
    [
        (f"# fine\n{VALUE}\n", "line 2", "edit line 2"),
        (f"VAULT_TOKEN='{VALUE}", "line 1", "close the quote of VAULT_TOKEN"),
        (f'VAULT_TOKEN="{VALUE}"tail', "line 1", "VAULT_TOKEN"),
        (f"VAULT_TOKNE={VALUE}", "line 1: unknown name VAULT_TOKNE", "did you mean VAULT_TOKEN?"),
        ("\n\nNASOS_PROT=8443", "line 3: unknown name NASOS_PROT", "did you mean NASOS_PORT?"),
        ("NASOS_WHATEVER=1", "unknown name NASOS_WHATEVER", "docs/settings.md"),
        (f"VAULT TOKEN={VALUE}", "line 1", "edit line 1"),
        (f"VAULT_ADDR=https://v:8200\nVAULT_SECRET_ID={VALUE}", "VAULT_ROLE_ID is not set", "set VAULT_ROLE_ID"),
        ("VAULT_ADDR=https://v:8200\nVAULT_ROLE_ID=r", "VAULT_SECRET_ID is not set", "set VAULT_SECRET_ID"),
    ],
)
def test_a_corrupt_env_names_line_or_key_and_never_the_value(here: Path, env: str, where: str, hint: str) -> None:
    """Errors of .env point at the place; the value, which may be a secret, is in no text."""
    error = refusal(here, env=env)
    assert where in error.message
    assert hint in (error.hint or "")
    assert VALUE not in f"{error!r}{error.message}{error.hint}"


def test_a_binary_env_is_refused(here: Path) -> None:
    """Bytes that are no UTF-8 are an error of ours that does not quote them."""
    (here / ".env").write_bytes(b"VAULT_TOKEN=\xff\xfe" + VALUE.encode())
    error = refusal(here)
    assert ".env cannot be read" in error.message
    assert VALUE not in f"{error!r}{error.hint}"


def test_other_programs_names_in_env_are_theirs(here: Path) -> None:
    """Names without our prefixes, and Vault's own other names, are let be."""
    loaded(here, env="POSTGRES_PASSWORD=x\nCOMPOSE_PROJECT_NAME=y\nVAULT_SKIP_VERIFY=0\n")


@pytest.mark.parametrize("name", ["VAULT_TOKEN", "VAULT_SECRET_ID", "CLOUDFLARE_API_TOKEN"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_an_env_with_a_secret_must_be_private(here: Path, name: str, mode: int) -> None:
    """A .env that others can read is refused once it holds a secret, with the chmod line as the hint."""
    loaded(here, env="VAULT_ADDR=https://v:8200\n")
    (here / ".env").chmod(mode)
    assert load({"NASOS_PROJECT": str(here / "project")}, here).vault_connection is not None
    (here / ".env").write_text(f"{name}={VALUE}\n")
    with pytest.raises(FileRefused) as caught:
        load({"NASOS_PROJECT": str(here / "project")}, here)
    assert caught.value.hint == f"chmod 600 {here / '.env'}"
    assert VALUE not in caught.value.message


@pytest.mark.parametrize(
    ("toml", "said", "hint"),
    [
        ("[stack\nport = 1", "line 1", "edit "),
        ("[stack]\n\nport = = 1", "line 3", "edit "),
        ("[stack]\nport = 80", '"stack.port"', "docs/settings.md"),
        ("[stack]\nport = '8443'", '"stack.port"', "docs/settings.md"),
        ("[stack]\nprot = 8443", "unknown key stack.prot", "did you mean port?"),
        ("[stakc]\nport = 8443", "unknown key [stakc]", "did you mean stack?"),
        (
            "[zzz]\n",
            "unknown key [zzz]",
            "known here: bot, cloudflare, gateway, housekeeping, rotation, stack, tls, vault",
        ),
        ("stack = 1", "stack is a table", "write [stack]"),
        ("[vault]\nseal = 'wax'", '"vault.seal"', "docs/settings.md"),
        ("[bot]\nname = 'Upper'", '"bot.name"', "docs/settings.md"),
        ("[bot]\nstrategy = '../x'", '"bot.strategy"', "docs/settings.md"),
        ("[tls]\nhosts = 'localhost'", '"tls.hosts"', "docs/settings.md"),
        ("[stack]\nlisten = 'any; evil'", '"stack.listen"', "docs/settings.md"),
        ("[tls]\nhosts = ['ok.example', 'a b;']", '"tls.hosts[1]"', "docs/settings.md"),
        ('[bot]\nname = "nasos\\n"', '"bot.name"', "docs/settings.md"),
        ('[stack]\nlisten = "127.0.0.1\\n"', '"stack.listen"', "docs/settings.md"),
        ("a = " + "[" * 20000, "nasos.toml", "edit "),
        ("a = " + "9" * 5000, "nasos.toml", "edit "),
    ],
)
def test_a_corrupt_toml_names_line_or_key(here: Path, toml: str, said: str, hint: str) -> None:
    """Errors of nasos.toml point at the line (syntax) or the key (meaning), with the nearest known name."""
    error = refusal(here, toml=toml)
    assert said in error.message
    assert hint in (error.hint or "")
    assert error.exit_code == 2
    assert error.message[0].islower() or error.message.startswith(str(here))


def test_a_binary_toml_is_refused(here: Path) -> None:
    """A nasos.toml that is no text is an error of ours."""
    (here / "nasos.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        parse_document(here / "nasos.toml")


def test_every_table_reaches_its_struct(here: Path) -> None:
    """A full nasos.toml is read into the structs."""
    toml = """
[stack]
port = 9443
listen = "0.0.0.0"
[vault]
seal = "shamir"
key_dir = "/keys"
[tls]
hosts = ["bot.example", "192.0.2.1", "::1"]
[bot]
name = "second"
strategy = "Mine"
exchange = "config"
config = "config.json"
dry_run = false
python = "/usr/bin/python3"
"""
    settings = loaded(here, toml=toml)
    assert tomllib.loads(toml)["bot"]["strategy"] == settings.bot.strategy
    assert (settings.port, settings.stack.listen, settings.vault.seal) == (9443, "0.0.0.0", "shamir")  # noqa: S104
    assert settings.key_dir == Path("/keys")
    assert settings.tls.hosts == ("bot.example", "192.0.2.1", "::1")
    assert settings.bot.dry_run is False


@pytest.mark.parametrize("port", ["80", "8443x", "99999", "65530", "-1", "\uff18443", "8443\n"])
def test_a_bad_port_is_refused(here: Path, port: str) -> None:
    """Only 1024 to 65529 in plain digits: the six ports after it must exist too."""
    assert "NASOS_PORT" in refusal(here, NASOS_PORT=port).message


def test_a_token_wins_over_the_pair_and_both_are_hidden(here: Path) -> None:
    """Credentials are Secrets; trailing newlines of pasted tokens are cut."""
    settings = loaded(
        here, VAULT_ADDR="https://v:8200", VAULT_TOKEN=f"{VALUE}\n", VAULT_ROLE_ID="r", VAULT_SECRET_ID="x"
    )
    assert settings.vault_connection is not None
    assert isinstance(settings.vault_connection.credential, Token)
    assert settings.vault_connection.credential.value.reveal() == VALUE
    assert VALUE not in repr(settings)


def test_the_secret_id_may_stand_in_a_file(here: Path) -> None:
    """VAULT_SECRET_ID_FILE keeps the value out of .env; the value itself wins when both are given."""
    pair = {"VAULT_ADDR": "https://v:8200", "VAULT_ROLE_ID": "r", "VAULT_SECRET_ID_FILE": "/run/secret-id"}
    connection = loaded(here, **pair).vault_connection
    assert connection is not None
    assert connection.credential == AppRole("r", None, Path("/run/secret-id"))


def test_homes_and_key_directories_are_absolute(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative and ~ paths are resolved once, so that a later chdir changes nothing."""
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.chdir(here)
    settings = loaded(here, NASOS_HOME="state", NASOS_KEY_DIR="~/keys")
    assert settings.home == here / "state"
    assert settings.key_dir == here / "keys"


def test_what_a_process_was_given_is_not_taken_from_a_file(here: Path) -> None:
    """systemd's credentials and the session's directory are this process's; a key directory with a name beats them."""
    (here / ".env").write_text("CREDENTIALS_DIRECTORY=/a\nXDG_RUNTIME_DIR=/b\nNASOS_RUNTIME_DIR=/dev/shm/c\n")
    settings = loaded(here)
    assert (settings.credentials_dir, settings.session_dir) == (None, None)
    assert settings.runtime_dir == Path("/dev/shm/c")  # noqa: S108  a value of the setting
    own = {"CREDENTIALS_DIRECTORY": "/run/credentials/n", "XDG_RUNTIME_DIR": "/run/user/1"}
    settings = loaded(here, **own)
    assert (settings.credentials_dir, settings.session_dir) == (Path("/run/credentials/n"), Path("/run/user/1"))
    assert loaded(here, NASOS_KEY_DIR="/k", **own).credentials_dir is None


def test_a_child_gets_nothing_that_we_were_configured_with() -> None:
    """The clean environment has no name of ours, of Vault or of Cloudflare, unless asked for by name."""
    environ = {"PATH": "/bin", "VAULT_TOKEN": VALUE, "NASOS_HOME": "/x", "AWS_KEY": "y", "LANG": "C",
               "CREDENTIALS_DIRECTORY": "/c"}  # fmt: skip
    assert child_environment(environ=environ) == {"PATH": "/bin", "LANG": "C"}
    assert child_environment(("NASOS_HOME",), environ) == {"PATH": "/bin", "LANG": "C", "NASOS_HOME": "/x"}


@pytest.mark.parametrize("name", ["", "A", "-a", "a/b", "..", "a" * 32, "a\n", "ä", "a_b", "1a"])
def test_a_bot_name_is_safe_everywhere(name: str) -> None:
    """Nothing that would mean something in a path, a role or a file name."""
    with pytest.raises(NameRefused):
        bot_name(name)
    assert bot_name("nasos-2") == "nasos-2"


def test_a_child_of_another_user_keeps_no_group_of_roots() -> None:
    """As root, a child that runs as somebody has the group of that user and no other; None changes nothing."""
    assert child_identity(None) == {}
    if os.geteuid() != 0:  # only root may become somebody; who may not is refused by the kernel
        with pytest.raises(PermissionError):
            subprocess.run(["/usr/bin/id"], check=True, **child_identity(pwd.getpwnam("nobody").pw_uid))
        return
    nobody = pwd.getpwnam("nobody")
    shown = subprocess.run(
        ["/bin/sh", "-c", "id -u; id -G"], capture_output=True, text=True, check=True, **child_identity(nobody.pw_uid)
    )
    assert shown.stdout.split() == [str(nobody.pw_uid), str(nobody.pw_gid)]
