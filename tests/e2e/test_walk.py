"""What a newcomer sees after the README's command, in an empty home."""

from __future__ import annotations

import base64
import json
import os
import pwd
import re
import socket
import ssl
import stat
from pathlib import Path

import psycopg
import pytest

from fixtures.stack import Walk, api_login, code_now, cookies_of

PHRASE = "four words of a walker"
SNIPPET = """
from src.utils.security import VaultClient

# Vault 클라이언트 초기화
vault = VaultClient()

# 비밀 저장
vault.store_secret("api_key", "my-secret-api-key")

# 비밀 검색
api_key = vault.get_secret("api_key")
"""


def test_set_up_says_where_and_what_next(stack: Walk) -> None:
    """The closing text has the address, how to log in, and the next commands."""
    for text in (
        f"https://localhost:{stack.port}",
        "./nasos gateway user add YOU --role admin",
        "./nasos status",
        "./nasos down",
        "recovery.json",
    ):
        assert text in stack.setup.stdout, stack.setup.stdout


def test_set_up_again_changes_nothing(stack: Walk) -> None:
    """A second run succeeds and leaves every process as it was."""
    before = {entry["name"]: entry["pid"] for entry in stack.json("status")["programs"]}
    stack.run("./scripts/setup_security.sh")
    after = {entry["name"]: entry["pid"] for entry in stack.json("status")["programs"]}
    assert before == after


def test_every_part_proves_its_health(stack: Walk) -> None:
    """Status shows each part, healthy, and what was proven of it."""
    shown = stack.json("status")
    assert shown["healthy"] is True
    evidence = {entry["name"]: entry["evidence"] for entry in shown["programs"]}
    parts = ["vault", "exchange", "postgres", "bot", "gateway", "nginx", "housekeeping", "watcher", "rotator"]
    assert list(evidence) == parts
    assert "audited read" in evidence["vault"]
    assert "login as nasos_a" in evidence["postgres"]
    assert "dry-run" in evidence["bot"]
    assert "https request" in evidence["nginx"]
    assert "last round" in evidence["housekeeping"]
    assert "events seen" in evidence["watcher"]


def test_the_security_test_is_green(stack: Walk) -> None:
    """`security_test.sh` finds nothing worse than what the newcomer was told to do."""
    done = stack.run("./scripts/security_test.sh", "--json", check=False)
    findings = json.loads(done.stdout)["findings"]
    failed = {finding["id"] for finding in findings if finding["state"] in ("fail", "error")}
    # The recovery file is still here until the operator moves it; swap and a second disk are the machine's.
    assert failed <= {"vault.recovery-moved", "host.swap", "host.audit-disks"}, failed


def test_a_trade_of_the_strategy_stands_in_postgresql(bot: Walk) -> None:
    """The database holds a dry-run trade that carries one of the strategy's own entry tags."""
    login = {name: bot.secret("bots/nasos/db", name) for name in ("username", "password")}
    with psycopg.connect(
        host="127.0.0.1", port=bot.port + 2, dbname="nasos", user=login["username"], password=login["password"],
        sslmode="verify-full", sslrootcert=str(bot.ca_file),
    ) as connection:  # fmt: skip
        rows = connection.execute("SELECT pair, enter_tag, strategy FROM trades").fetchall()
    assert rows
    assert {row[2] for row in rows} == {"NASOSv5_mod3"}
    assert {row[1] for row in rows} <= {"ewo1", "ewo2", "ewolow"}


@pytest.mark.parametrize(
    ("mode", "message"), [("disable", "no pg_hba.conf entry"), ("verify-full", "password authentication failed")]
)
def test_the_database_refuses_plain_text_and_wrong_passwords(stack: Walk, mode: str, message: str) -> None:
    """Without TLS, or with a wrong password, there is no way in."""
    with pytest.raises(psycopg.OperationalError, match=message):
        psycopg.connect(
            host="127.0.0.1", port=stack.port + 2, dbname="nasos", user="nasos_a", password="wrong-password",
            sslmode=mode, sslrootcert=str(stack.ca_file),
        )  # fmt: skip


def test_the_bots_password_opens_the_bot_and_not_the_front_door(stack: Walk) -> None:
    """The stored password, and no other, logs in at the bot itself; what it gives there opens nothing in front."""
    assert api_login(stack, "nasos", "not-the-password") is None
    password = stack.secret("bots/nasos/api", "password")
    body = api_login(stack, "nasos", password)
    assert body
    token = json.loads(body)["access_token"]
    assert stack.https("/api/v1/balance", {"Authorization": f"Bearer {token}"})[0] == 401
    pair = base64.b64encode(f"nasos:{password}".encode()).decode()
    assert stack.https("/api/v1/token/login", {"Authorization": f"Basic {pair}"}, "POST", b"")[0] == 401


def test_a_programs_token_opens_what_its_role_may(stack: Walk) -> None:
    """A viewer's token reads and does not trade; revoked, it opens nothing."""
    refused = stack.nasos("gateway", "token", "create", "a-screen", "--bot", "another", check=False)
    assert (refused.returncode, "no bot another" in refused.stderr) == (2, True)
    token = stack.nasos("gateway", "token", "create", "a-screen", "--bot", "nasos").stdout.strip()
    head = {"Authorization": f"Bearer {token}"}
    assert stack.until(lambda: stack.https("/api/v1/count", head)[0] == 200)
    assert stack.https("/api/v1/stopbuy", head, "POST", b"")[0] == 403
    [known] = [each for each in stack.json("gateway", "token", "list") if each["name"] == "a-screen"]
    stack.nasos("gateway", "token", "revoke", known["id"])
    assert stack.https("/api/v1/count", head)[0] == 401


def test_who_was_given_a_link_enrols_himself(stack: Walk) -> None:
    """The link shows a second factor to him who has the password, and its first code lets him in; once."""
    told = stack.nasos("gateway", "user", "add", "newcomer", "--enrol", stdin=f"{PHRASE}\n").stdout.split()
    first, link = told[-1], stack.nasos("gateway", "user", "enrol", "newcomer", "--hours", "1").stdout.split()[-1]
    assert first.partition("#")[0] == link.partition("#")[0] == f"https://localhost:{stack.port}/auth/enrol"
    assert stack.https("/auth/enrol")[0] == 200

    def ask(what: str, shown: str, code: str | None = None) -> tuple[int, bytes]:
        typed = {"name": "newcomer", "password": PHRASE, "link": shown.partition("#")[2]}
        body = json.dumps(typed | ({"code": code} if code else {})).encode()
        status, _, content = stack.https(f"/auth/{what}", {"Content-Type": "application/json"}, "POST", body)
        return status, content

    assert ask("enrolment", first)[0] == 401
    status, content = ask("enrolment", link)
    assert status == 200
    key = re.search(r"secret=([A-Z2-7]+)", json.loads(content)["address"])
    assert key
    assert ask("enrolment/confirm", link, code_now(key[1]))[0] == 200
    assert ask("enrolment", link)[0] == 401
    stack.nasos("gateway", "user", "rm", "newcomer")


def test_who_is_removed_leaves_nothing_that_opens(stack: Walk) -> None:
    """His session, and the token that he made for a program, end with `vault user rm`; a colleague's token does not."""
    colleague = stack.bearer
    key = stack.nasos("gateway", "user", "add", "leaver", "--role", "admin", stdin=f"{PHRASE}\n").stdout.split()[-1]

    def come_in() -> dict[str, str] | None:
        typed = json.dumps({"name": "leaver", "password": PHRASE, "code": code_now(key)}).encode()
        status, headers, _ = stack.https("/auth/login", {"Content-Type": "application/json"}, "POST", typed)
        return {"Cookie": cookies_of(headers)} if status == 200 else None

    session = stack.until(come_in)
    stack.nasos("login", "leaver", stdin=f"{PHRASE}\n")
    made = stack.nasos("gateway", "token", "create", "his-screen").stdout.strip()
    stack.nasos("logout")
    his = (session, {"Authorization": f"Bearer {made}"})
    assert [stack.https("/api/v1/count", each)[0] for each in (*his, colleague)] == [200, 200, 200]
    stack.nasos("vault", "user", "rm", "leaver")
    assert [stack.https("/api/v1/count", each)[0] for each in (*his, colleague)] == [401, 401, 200]
    assert stack.nasos("secret", "get", "gateway/people/leaver", "--reveal", check=False).returncode != 0


def test_a_person_comes_in_with_password_and_code_and_leaves(stack: Walk) -> None:
    """Right password, wrong code: the same answer as for nobody; both right: the bot's data; logged out: nothing."""
    key = stack.nasos("gateway", "user", "add", "walker", "--role", "trader", stdin=f"{PHRASE}\n").stdout.split()[-1]

    def answer(name: str, code: str) -> tuple[int, dict[str, str], bytes]:
        typed = json.dumps({"name": name, "password": PHRASE, "code": code}).encode()
        return stack.https("/auth/login", {"Content-Type": "application/json"}, "POST", typed)

    wrong, nobody = answer("walker", "000000"), answer("nobody-here", "000000")
    assert (wrong[0], wrong[2]) == (nobody[0], nobody[2]) == (401, wrong[2])
    status, headers, _ = stack.until(lambda: (got := answer("walker", code_now(key)))[0] == 200 and got)
    assert status == 200
    cookies = {"Cookie": cookies_of(headers)}
    assert stack.https("/api/v1/count", cookies)[0] == 200
    assert stack.https("/api/v1/stopbuy", {**cookies, "Origin": "https://evil.example"}, "POST", b"")[0] == 403
    status, _, body = stack.https("/api/v1/token/login", {**cookies, "Authorization": "Basic eDp5"}, "POST", b"")
    token = json.loads(body)["access_token"]
    assert stack.https("/api/v1/count", {"Authorization": f"Bearer {token}"})[0] == 200
    stack.nasos("gateway", "user", "logout", "walker")
    assert stack.https("/api/v1/count", {"Authorization": f"Bearer {token}"})[0] == 401
    assert stack.https("/auth/refresh", cookies, "POST", b"")[0] == 401


def test_basic_auth_is_refused_outside_login(stack: Walk) -> None:
    """freqtrade takes basic auth on every endpoint; the front door does not, or the login limit would be idle."""
    status, _, _ = stack.https("/api/v1/balance", {"Authorization": "Basic bmFzb3M6d3Jvbmc="})
    assert status == 403


def test_the_documents_snippet_runs_verbatim(stack: Walk) -> None:
    """The user's own Korean document works as written, from the repository's root."""
    done = stack.run(".venv/bin/python", "-c", SNIPPET + "\nassert api_key == 'my-secret-api-key'\nprint('ok')")
    assert done.stdout == "ok\n"
    assert stack.secret("app/api_key", "value") == "my-secret-api-key"


def test_the_app_role_cannot_read_the_bots_secrets(stack: Walk) -> None:
    """The user's own programs see `nasos/app` only."""
    code = (
        "from nasos import VaultClient\nfrom nasos.errors import PermissionDenied\n"
        "try:\n    VaultClient(prefix='nasos').read('bots/nasos/api')\nexcept PermissionDenied:\n    print('denied')"
    )
    assert stack.run(".venv/bin/python", "-c", code).stdout == "denied\n"


def test_each_service_runs_as_its_own_user_under_root(stack: Walk) -> None:
    """Run as root: six services, six uids, none of them root. Run as a user: everything is that user's."""
    owners = {}
    for entry in stack.json("status")["programs"]:
        owners[entry["name"]] = Path(f"/proc/{entry['pid']}").stat().st_uid
    if stack.user is None and os.geteuid() == 0:
        assert owners.pop("housekeeping") == 0  # root, confined, and on a service's files that service
        assert owners.pop("watcher") == 0  # reads two users' ledgers; what it sends out, nasos-alerts sends
        assert owners.pop("rotator") == 0  # confined; replaces the credential files of every service
        assert len(set(owners.values())) == 6
        assert 0 not in owners.values()
        assert pwd.getpwuid(owners["vault"]).pw_name == "nasos-vault"
    else:
        expected = pwd.getpwnam(stack.user).pw_uid if stack.user else os.geteuid()
        assert set(owners.values()) == {expected}


SECRET_FILES = re.compile(r"(credentials/.*|recovery\.json|app\.env|tls/.*\.key|ledger/.*|log/.*)$")


def test_the_state_directory_is_closed_to_others(stack: Walk) -> None:
    """No file of the map can be read by group or others where it holds or may hold a secret."""
    if stack.user is not None:
        assert stat.S_IMODE(stack.home.stat().st_mode) == 0o700
    open_files = [
        str(path.relative_to(stack.home))
        for path in stack.home.rglob("*")
        if path.is_file()
        and SECRET_FILES.match(str(path.relative_to(stack.home)))
        and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_files == []


def test_the_unseal_key_is_outside_the_state_directory(stack: Walk) -> None:
    """A tar of NASOS_HOME holds no file with the key's bytes."""
    stack_id = json.loads((stack.home / "stack.json").read_text())["id"]
    places = [Path("/etc/nasos"), Path(stack.environment["HOME"]) / ".config" / "nasos"]
    keys = [place / stack_id / "unseal.key" for place in places if (place / stack_id / "unseal.key").exists()]
    assert len(keys) == 1
    key = keys[0].read_bytes()
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    holders = [path for path in stack.home.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert holders == []


def test_version_names_every_part(stack: Walk) -> None:
    """`--version` says version and origin of each program."""
    shown = stack.nasos("--version").stdout
    for name in ("nasos", "bao", "postgres", "nginx", "freqtrade", "supervisor"):
        assert re.search(rf"^{name}\s+\S*\d", shown, re.MULTILINE), shown


def test_two_stacks_live_side_by_side(stack: Walk, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A second NASOS_HOME without the first one's ports answers with its own id and is told apart."""
    del tmp_path_factory
    second = stack.home.parent / "second"
    done = stack.run("./nasos", "status", extra={"NASOS_HOME": str(second)}, check=False)
    assert done.returncode == 3
    assert "nasos: hint: ./nasos up" in done.stderr


def test_a_name_added_to_the_edge_is_served_after_up(stack: Walk) -> None:
    """`hosts` in nasos.toml, then `up`: certificate and nginx know the name at once; taken out, it is refused again."""
    bot = stack.pid("bot")
    document = stack.project / "nasos.toml"
    document.write_text('[tls]\nhosts = ["localhost", "bot.internal"]\n')
    try:
        stack.nasos("up")
        stack.until(lambda: _served_under(stack, "bot.internal"), 10)
    finally:
        document.unlink()
    stack.nasos("up")
    stack.until(lambda: not _served_under(stack, "bot.internal"), 10)
    assert _served_under(stack, "localhost")
    assert stack.pid("bot") == bot


def _served_under(walk: Walk, name: str) -> bool:
    """Whether the edge shows a certificate for this name that our CA signed."""
    context = ssl.create_default_context(cafile=str(walk.ca_file))
    try:
        with (
            socket.create_connection(("127.0.0.1", walk.port), 10) as plain,
            context.wrap_socket(plain, server_hostname=name),
        ):
            return True
    except ssl.SSLError:
        return False


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--port", "80"], 2, "80"),
        (["--port", "nonsense"], 2, "nonsense"),
        (["--prot", "1"], 2, "--prot"),
    ],
)
def test_set_up_refuses_wrong_arguments(stack: Walk, arguments: list[str], code: int, message: str) -> None:
    """A wrong argument gets two lines and exit code 2, and nothing is changed."""
    done = stack.run("./scripts/setup_security.sh", *arguments, check=False)
    assert done.returncode == code
    assert message in done.stderr
    assert "nasos: hint:" in done.stderr
