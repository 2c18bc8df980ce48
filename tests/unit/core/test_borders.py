"""What only one module may do, read from the source itself."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nasos

SOURCE = Path(nasos.__file__).parent
ALLOWED = Path(__file__).with_name("reveal_allowlist.toml")

# path -> why it may print or exit although it is not in cli/
MAY_PRINT = {
    "__main__.py": "the command itself",
    "bot/entry.py": "runs inside the bot's process and ends it",
    "notify/sender.py": "a process of its own that answers on its standard output",
    "stack/watcher/__main__.py": "a program of its own that supervisord starts; standard output is the protocol",
    "bot/moving/child.py": "the converter's process, which it ends",
    "stack/keeper.py": "stands in for the program that it keeps: passes its exit code on",
    "stack/demo_exchange/__main__.py": "a program of its own that supervisord starts",
    "stack/verified.py": "becomes the program that it verified, or says why not",
    "stack/rotator/__main__.py": "a program of its own that supervisord starts",
    "stack/rotator/certificates.py": "a program of its own that the rotator starts",
    "stack/companion/__main__.py": "a program of its own that supervisord starts",
    "stack/companion/opener.py": "a process that this program forks, which ends without what its parent would do",
    "gateway/__main__.py": "a program of its own that supervisord starts",
    "gateway/server.py": "part of that program: its standard error is its log",
    "gateway/app.py": "the same",
    "gateway/told.py": "the same",
    "stack/housekeeping/__main__.py": "a program of its own that supervisord starts",
}
# path -> why it may look at os.environ although it is not settings/loading.py
MAY_READ_ENVIRONMENT: dict[str, str] = {}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package, parsed; the shipped strategy is freqtrade's, not ours."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith("bot/strategies/"):
            yield name, ast.parse(path.read_text(), name)


def places(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node with the qualified name of the function or class it stands in."""

    def walk(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{scope}.{child.name}".lstrip(".")
            yield inner, child
            yield from walk(child, inner)

    yield from walk(tree, "")


def dotted(node: ast.AST) -> str:
    """``os.environ`` for the expression that says so; empty for others."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def reveals() -> Counter[str]:
    """How often ``reveal`` is taken from something, per ``module::function``."""
    return Counter(
        f"{name}::{scope}"
        for name, tree in modules()
        for scope, node in places(tree)
        if isinstance(node, ast.Attribute) and node.attr == "reveal"
    )


def test_every_reveal_stands_in_the_list_with_its_reason() -> None:
    """A value leaves a Secret only where reveal_allowlist.toml says why; nothing stale stays in the list."""
    allowed = tomllib.loads(ALLOWED.read_text())["reveal"]
    assert all(len(reason) > 15 for reason in allowed.values())
    found = set(reveals())
    assert sorted(found - set(allowed)) == [], "add these with a reason, or do without reveal()"
    assert sorted(set(allowed) - found) == [], "these do not reveal any more: remove them"


def test_the_value_has_no_other_way_out() -> None:
    """Nobody but Secret itself touches the slot behind reveal()."""
    for name, tree in modules():
        for _, node in places(tree):
            if isinstance(node, ast.Attribute) and node.attr == "_value" and name != "secret.py":
                assert dotted(node) == "self._value", f"{name}:{node.lineno}"


def test_only_settings_reads_the_environment() -> None:
    """``os.environ`` and ``os.getenv`` stand in settings.py, or in a listed place."""
    found = {
        name
        for name, tree in modules()
        for _, node in places(tree)
        if dotted(node) in ("os.environ", "os.getenv", "os.environb", "os.putenv")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {a.name for a in node.names} & {"environ"})
    }
    assert found - set(MAY_READ_ENVIRONMENT) == {"settings/loading.py"}
    assert set(MAY_READ_ENVIRONMENT) <= found


def test_only_the_command_line_prints_and_exits() -> None:
    """``print``, ``sys.exit``, ``sys.stdout`` and click's echo stand in cli/, or in a listed place."""
    loud = {"print", "exit", "quit", "input", "sys.exit", "sys.stdout", "sys.stderr", "os._exit"}
    loud |= {"click.echo", "click.secho", "SystemExit", "breakpoint"}
    found = {
        name
        for name, tree in modules()
        for _, node in places(tree)
        if dotted(node) in loud and not name.startswith("cli/")
    }
    assert found - set(MAY_PRINT) == set()
    assert {name for name in MAY_PRINT if (SOURCE / name).exists()} <= found | {"__main__.py"}


def test_no_module_switches_verification_off() -> None:
    """No unverified TLS context, no shell, no eval, no pickle, no yaml.load in the whole package."""
    forbidden = {"ssl._create_unverified_context", "eval", "exec", "pickle.loads", "os.system", "yaml.load"}
    for name, tree in modules():
        for _, node in places(tree):
            assert dotted(node) not in forbidden, f"{name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.keyword) and node.arg in ("shell", "verify"):
                assert not isinstance(node.value, ast.Constant) or node.value.value is (node.arg == "verify"), name


def test_files_of_tests_have_names_of_their_own() -> None:
    """pytest imports them by their base names: two of one name are an error of the whole run, seen by nobody before."""
    names = Counter(path.name for path in Path(__file__).parents[2].rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
