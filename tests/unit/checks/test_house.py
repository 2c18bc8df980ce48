from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.breakages import BREAKAGES
from fixtures.breakages.ground import PASSWORD, TOKEN, chmod, in_project, planted, process
from fixtures.breakages.host import temporary_file_left
from fixtures.breakages.services import asked, cloudflare, in_front
from fixtures.house import House
from nasos.bot.sandbox import shortcomings, supported
from nasos.checks import Process, Target, exit_code, host, run, select, text
from nasos.checks.bot import exposed
from nasos.cloudflare.permissions import KNOWN
from nasos.errors import CloudflareUnreachable, Error
from nasos.finding import Finding, Severity, State


def judged(target: Target, *groups: str) -> dict[str, Finding]:
    """Findings by id."""
    return {finding.id: finding for finding in run(select(groups), target)}


def bad(findings: dict[str, Finding]) -> dict[str, State]:
    """What must not be read as green."""
    return {name: finding.state for name, finding in findings.items() if finding.bad}


NAMES = ("settings", "tokens", "least-privilege", "records", "zone", "origin", "renewal", "companion")


def test_a_healthy_house_is_clean(house: House) -> None:
    """Nothing fails, nothing is unclear, and what is skipped says why."""
    findings = judged(house.healthy)
    assert bad(findings) == {}
    skipped = {name for name, each in findings.items() if each.state is State.SKIP}
    cloudflare = {f"cloudflare.{name}" for name in NAMES}
    assert skipped == cloudflare | {"bot.sandbox", "host.audit-disks", "host.backup"}
    assert exit_code(list(findings.values())) == 0


# A role that asks for no SecretID is both: a login that must be refused, and a setting that was changed.
ALSO_SEEN_BY = {"no SecretID asked": {"vault.settings"}}


@pytest.mark.parametrize("name", BREAKAGES)
def test_breaking_one_thing_fails_exactly_its_check(house: House, name: str) -> None:
    """The id fails with why and fix, only its dependents are skipped, no planted secret is shown; then all is well."""
    expected, breakage = BREAKAGES[name]
    with breakage(house) as target:
        findings = judged(target)
    assert bad(findings) == dict.fromkeys({expected, *ALSO_SEEN_BY.get(name, ())}, State.FAIL)
    assert findings[expected].evidence
    assert findings[expected].why
    assert findings[expected].fix
    assert exit_code(list(findings.values())) == 1
    shown = "\n".join(text(list(findings.values())))
    assert PASSWORD not in shown
    assert TOKEN not in shown
    assert bad(judged(house.healthy, expected.partition(".")[0])) == {}


def test_every_rule_has_a_breakage() -> None:
    """No check that was never seen to fail; swap has its own test below."""
    assert {rule.id for rule in select()} - {expected for expected, _ in BREAKAGES.values()} == {"host.swap"}


SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


@pytest.mark.parametrize(
    ("area", "uuid", "state"),
    [
        ("", "", State.PASS),
        ("/dev/zram0 partition 1 0 100", "", State.PASS),
        ("/dev/dm-77 partition 1 0 -2", "CRYPT-PLAIN-swap", State.PASS),
        ("/dev/dm-77 partition 1 0 -2", "LVM-abc", State.FAIL),
        ("/swapfile file 1 0 -2", "", State.FAIL),
    ],
)
def test_plain_swap_fails_encrypted_and_compressed_do_not(  # noqa: PLR0917  a table and its fixtures
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, area: str, uuid: str, state: State
) -> None:
    """What /proc/swaps lists counts, unless it is in memory or behind dm-crypt."""
    (tmp_path / "swaps").write_text(SWAPS + (f"{area}\n" if area else ""))
    (tmp_path / "dm-77" / "dm").mkdir(parents=True)
    (tmp_path / "dm-77" / "dm" / "uuid").write_text(uuid)
    monkeypatch.setattr(host, "SWAPS", tmp_path / "swaps")
    monkeypatch.setattr(host, "BLOCK_DEVICES", tmp_path)
    assert judged(house.healthy, "host")["host.swap"].state is state


@pytest.mark.parametrize(
    ("pattern", "state"),
    [
        ("core", State.PASS),
        ("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h", State.PASS),
        ("|/usr/bin/collector %p", State.FAIL),
    ],
)
def test_a_dump_that_is_piped_regardless_of_the_limit_fails(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, state: State
) -> None:
    """core(5): the limit does not stop dumps to a program, so that program must be told it."""
    (tmp_path / "core_pattern").write_text(pattern)
    monkeypatch.setattr(host, "CORE_PATTERN", tmp_path / "core_pattern")
    assert judged(house.healthy, "host")["host.core-dumps"].state is state


FIXABLE = {
    "modes": chmod("tls/edge.key", 0o644),
    "directory": chmod("credentials", 0o755),
    "left-over": temporary_file_left,
}


@pytest.mark.parametrize("name", FIXABLE)
def test_the_fix_is_a_command_that_mends_it(house: House, name: str) -> None:
    """What the report says to type, typed into a shell, makes the check pass."""
    with FIXABLE[name](house) as target:
        [failed] = [each for each in judged(target, "secrets").values() if each.state is State.FAIL]
        subprocess.run(["/bin/sh", "-c", failed.fix], check=True)
        assert bad(judged(target, "secrets")) == {}


def test_a_cloudflare_in_front_passes_when_all_of_it_holds(house: House) -> None:
    """The way was gone to its end and is kept up; the companion says what it does."""
    with in_front()(house) as target:
        found = judged(replace(target, companion=lambda: "3 records wanted"), "cloudflare")
    passed = {name: finding.evidence for name, finding in found.items() if finding.state is State.PASS}
    assert passed.keys() == {"cloudflare.origin", "cloudflare.renewal", "cloudflare.companion"}
    assert passed["cloudflare.companion"] == "3 records wanted"


@pytest.mark.parametrize("token", ["t" * 40, None], ids=["env", "vault"])
def test_a_well_formed_cloudflare_pair_is_not_called_verified(house: House, token: str | None) -> None:
    """The shape is right, and no more is said of it; the token may be in Vault."""
    with cloudflare(token, "a" * 32)(house) as target:
        findings = judged(target, "cloudflare")
    assert findings["cloudflare.settings"].state is State.PASS
    assert {each.state for name, each in findings.items() if name != "cloudflare.settings"} == {State.SKIP}


def test_what_cloudflare_is_asked_passes_when_all_of_it_holds(house: House) -> None:
    """The tokens fit, the names go through Cloudflare, the zone is as it is to be."""
    with asked()(house) as target:
        findings = judged(target, "cloudflare")
    for name in ("tokens", "least-privilege", "records", "zone"):
        assert findings[f"cloudflare.{name}"].state is State.PASS, name


def test_an_excess_is_as_bad_as_what_it_could_do(house: House) -> None:
    """Who may make tokens may do everything."""
    *_, everything = KNOWN
    for permission in (KNOWN[1], everything):
        with asked(excess=(permission,))(house) as target:
            finding = judged(target, "cloudflare")["cloudflare.least-privilege"]
        assert (finding.severity, permission.name in finding.evidence) == (permission.harm, True)
    assert everything.harm is Severity.CRITICAL


def test_what_cloudflare_does_not_answer_is_not_green(house: House) -> None:
    """Each of the four is an error then."""

    def away() -> None:
        raise CloudflareUnreachable("nobody answers")

    for name in ("tokens", "excess", "records", "zone"):
        with asked()(house) as target:
            assert target.front
            broken = replace(target, front=replace(target.front, **{name: away}))  # type: ignore[arg-type]
            findings = judged(broken, "cloudflare")
        rule = f"cloudflare.{'least-privilege' if name == 'excess' else name}"
        assert bad(findings) == {rule: State.ERROR}


@pytest.mark.parametrize(
    "line",
    [
        "VAULT_TOKEN=x",
        "VAULT_SECRET_ID=x",
        "CLOUDFLARE_API_TOKEN=x",
        "DB_PASSWORD=",
        "DB_PASSWORD=${FROM_ELSEWHERE}",
        "API_TOKEN=<your token>",
        "PASSWORD_FILE=/run/secrets/x",
        "DB_PASSWORD=# later",
        "# DB_PASSWORD=old",
    ],
)
def test_what_may_stand_in_env_is_not_called_a_leak(house: House, line: str) -> None:
    """Documented names, references, placeholders, paths and comments."""
    with in_project(".env", f"{line}\n")(house) as target:
        assert bad(judged(target, "secrets")) == {}


def test_a_bot_without_secrets_in_its_configuration_is_clean(house: House) -> None:
    """The negative twin: empty keys and a login without password are no secrets."""
    content = b'{"exchange": {"name": "binance", "key": "", "secret": ""}, "db_url": "postgresql://u@h/d"}'
    with planted("bot/nasos/user_data/config.json", content)(house) as target:
        assert bad(judged(target, "secrets")) == {}


def test_an_unreadable_configuration_is_not_called_clean(house: House) -> None:
    """A file that cannot be understood is an error, with exit code 3."""
    with in_project("user_data/config.json", "{broken")(house) as target:
        findings = judged(target, "secrets")
    assert bad(findings) == {"secrets.plain-config": State.ERROR}
    assert exit_code(list(findings.values())) == 3


def test_a_harmless_process_is_clean(house: House) -> None:
    """The negative twin of the leaks: ordinary variables and addresses without a login."""
    with process("--url", "https://127.0.0.1:8444/v1", VAULT_ADDR="https://v:1", NASOS_HOME="/x")(house) as target:
        assert bad(judged(target, "bot")) == {}


CONFINED = """
from nasos.bot.sandbox import Confinement, enter
enter(Confinement())
print("entered", flush=True)
input()
"""


def test_a_confined_bot_is_clean_where_the_kernel_can(house: House) -> None:
    """On a kernel without Landlock the check fails: could-not is never green."""
    command = [sys.executable, "-I", "-c", CONFINED, "nasos.bot.entry"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bot:
        assert bot.stdout
        bot.stdout.readline()
        target = replace(house.healthy, processes=(Process("bot", bot.pid),))
        finding = judged(target, "bot")["bot.sandbox"]
        bot.kill()
    assert finding.state is (State.PASS if supported() else State.FAIL)


def test_a_machine_where_unix_sockets_stay_open_is_a_finding(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter knows two machines' system calls; on another one nothing is refused, and that is said, not passed."""
    command = [sys.executable, "-I", "-c", CONFINED, "nasos.bot.entry"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bot:
        assert bot.stdout
        bot.stdout.readline()
        target, told = replace(house.healthy, processes=(Process("bot", bot.pid),)), {}
        for machine in ("aarch64", "riscv64"):
            monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
            told[machine] = judged(target, "bot")["bot.sandbox"], shortcomings()
        bot.kill()
    words = "unix sockets cannot be refused on riscv64"
    assert words in told["riscv64"][1]  # what the launcher records and says
    assert words not in told["aarch64"][1]
    assert told["riscv64"][0].state is State.FAIL
    assert told["aarch64"][0].state is (State.PASS if supported() else State.FAIL)


def test_a_stricter_mode_is_fine(house: House) -> None:
    """Read-only secrets and closed directories are not complained about."""
    with chmod("tls/ca.key", 0o400)(house) as target:
        assert bad(judged(target, "secrets")) == {}


def test_a_foreign_owner_fails_and_a_services_own_does_not(house: House) -> None:
    """Where each service has a uid of its own, a file is its service's or root's; nobody else's."""
    key = house.home / "tls" / "vault.key"
    uid = key.stat().st_uid
    own = replace(house.healthy, owners={"vault": uid, "nginx": uid + 1})
    assert bad(judged(own, "secrets")) == {}
    swapped = replace(house.healthy, home=house.home, owners={})
    assert bad(judged(swapped, "secrets")) == {}


def map_of_architecture() -> Iterator[tuple[str, int]]:
    """Path and mode of every line in ARCHITECTURE.md's map of the state directory."""
    document = (Path(__file__).parents[3] / "ARCHITECTURE.md").read_text()
    table = document.split("## State directory")[1].split("\n\nOutside it")[0]
    for cells in re.findall(r"^\| (`.+?) \| ([^|]+) \|", table, re.MULTILINE):
        names = re.findall(r"`([^`]+)`", cells[0])
        modes = [int(mode, 8) for mode in re.findall(r"\d{4}", cells[1])]
        for name, mode in zip(names, modes * len(names), strict=False):
            yield (names[0].rpartition(".")[0] + name if name.startswith(".") else name), mode


def test_the_map_is_architectures() -> None:
    """Every file and directory that ARCHITECTURE.md lists is judged, with the mode that stands there."""
    from nasos.checks.exposure import MAP

    judged_ = {listed.pattern.rstrip("/"): listed.mode for listed in MAP}
    for name, mode in map_of_architecture():
        pattern = re.sub(r"<[^>]+>", "*", name.rstrip("/"))
        expanded = [pattern.replace("tls/*", f"tls/{service}") for service in ("vault", "postgres", "edge")]
        for each in dict.fromkeys(expanded):
            assert judged_.get(each) == mode, each


def test_a_strangers_process_is_not_called_clean() -> None:
    """Who may not look into another user's process cannot tell; a sealed process of one's own is fine."""
    pid = os.fork()
    if pid == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            list(exposed(Process("init", 1)))
        except Error:
            own = list(exposed(Process("sealed", os.getpid())))  # setuid made this process undumpable
            os._exit(7 if own == [] else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
