"""``--mode`` of ``nasos tls setup``, and ``[tls]`` of nasos.toml: who is to sign is said once, and never guessed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nasos.errors import SettingsError
from nasos.settings import load

ACME = '[tls]\nmode = "acme"\nhosts = ["bot.example.org"]\n[tls.acme]\nprogram = ["/bin/false"]\n'


def nasos(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, in a directory that may have a nasos.toml."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "NASOS_HOME": str(place / "home"), "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "nasos", "tls", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=place)


@pytest.mark.parametrize(
    ("toml", "mode", "said"),
    [
        ("", "acme", 'nasos.toml asks for mode = "dev"'),
        (ACME, "dev", 'nasos.toml asks for mode = "acme"'),
        ("", "cloudflare", 'nasos.toml asks for mode = "dev"'),
        (ACME, "cloudflare", 'nasos.toml asks for mode = "acme"'),
        ("", "letsencrypt", "'letsencrypt' is not one of 'dev', 'acme', 'cloudflare'"),
    ],
)
def test_a_mode_that_is_not_the_configured_one_does_nothing(tmp_path: Path, toml: str, mode: str, said: str) -> None:
    """Exit 2, what to write, and no file made."""
    (tmp_path / "nasos.toml").write_text(toml)
    done = nasos(tmp_path, "setup", "--mode", mode)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "home").exists()


def test_the_configured_mode_may_be_named(tmp_path: Path) -> None:
    """And ``renew`` leaves alone what is good."""
    assert nasos(tmp_path, "setup", "--mode", "dev").returncode == 0
    again = nasos(tmp_path, "renew")
    assert again.returncode == 0
    assert again.stderr.count("good as it is") == 6


def test_a_ca_that_is_not_there_leaves_the_development_certificates_good(tmp_path: Path) -> None:
    """Exit 3, with what to type; the state says what is missing."""
    (tmp_path / "nasos.toml").write_text(ACME + 'directory = "https://127.0.0.1:9/dir"\n')
    done = nasos(tmp_path, "setup", "--mode", "acme")
    assert done.returncode == 3
    assert "127.0.0.1:9 does not answer" in done.stderr
    assert "curl -sS https://127.0.0.1:9/dir" in done.stderr
    status = nasos(tmp_path, "status")
    assert status.returncode == 1
    assert "edge      missing" in status.stdout
    assert "no certificate by ACME yet: 127.0.0.1:9 does not answer: ConnectionError; to mend it: nasos tls renew" in (
        status.stdout
    )
    assert status.stdout.count(" good ") == 5


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[tls]\nmode = "acme"\nhosts = ["bot.example.org"]', "needs program under"),
        ('[tls]\nmode = "acme"\n[tls.acme]\nprogram = ["/bin/true"]', "for DNS names, and hosts has localhost"),
        ('[tls]\nmode = "acme"\nhosts = ["192.0.2.1"]\n[tls.acme]\nprogram = ["/bin/true"]', "hosts has 192.0.2.1"),
        ('[tls]\nmode = "cloudflare"', 'mode = "cloudflare" is for DNS names, and hosts has localhost'),
        ('[tls]\nmode = "acme"\nhosts = ["::1"]\n[tls.acme]\nprogram = ["/bin/true"]', "hosts has ::1"),
        ('[tls]\nmode = "http"', "invalid enum value"),
        ('[tls.acme]\nprogram = ["write-zone"]', "program is"),
        ('[tls.acme]\ndirectory = "http://ca.example.org/dir"', '"tls.acme.directory"'),
        ('[tls.acme]\neab_kid = "k"', "eab_kid and eab_key_file go together"),
        ('[tls.acme]\neab_key_file = "/k"', "eab_kid and eab_key_file go together"),
        ('[tls.acme]\ncontact = "nobody"', '"tls.acme.contact"'),
        ("[tls.acme]\nseconds = 0", '"tls.acme.seconds"'),
        ("[tls.acme]\nprogramm = []", "programm"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(tmp_path: Path, toml: str, said: str) -> None:
    """By name."""
    (tmp_path / "nasos.toml").write_text(toml)
    with pytest.raises(SettingsError, match=said.replace(".", r"\.")):
        load({"HOME": str(tmp_path)}, tmp_path)
