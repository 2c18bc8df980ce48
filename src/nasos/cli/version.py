"""``nasos --version``: version and origin of every part."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from nasos.cli.output import say
from nasos.errors import Error
from nasos.settings import child_environment, load
from nasos.stack.binaries import PROGRAMS, find


def show(version: str) -> None:
    """Print one line per part: name, version, origin."""
    say(f"nasos      {version:12} {Path(__file__).resolve().parents[1]}")
    say(f"python     {platform.python_version():12} {sys.executable}")
    for name in ("bao", "postgres", "nginx"):
        wheel, _, packaged = PROGRAMS[name].wheel.partition(" ")
        try:
            origin = f"{wheel} wheel, sha-256 verified, {find(name)}"
        except Error as error:
            origin = f"not usable: {error.message}"
        say(f"{name:10} {packaged:12} {origin}")
    say(f"supervisor {_installed('supervisor'):12} PyPI wheel, hash-locked")
    say(_bot())


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "missing"


def _bot() -> str:
    python = load().bot_python()
    if not python.exists():
        return f"{'freqtrade':10} {'missing':12} ./scripts/setup_security.sh installs it"
    code = "from importlib.metadata import version as v; print(v('freqtrade'), v('ccxt'))"
    done = subprocess.run(
        [str(python), "-c", code], env=child_environment(), capture_output=True, text=True, check=False, timeout=30
    )
    freqtrade, _, ccxt = done.stdout.strip().partition(" ")
    return (
        f"{'freqtrade':10} {freqtrade or 'broken':12} PyPI wheel, hash-locked, {python}\nccxt       {ccxt or 'broken'}"
    )
