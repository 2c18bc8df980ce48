from __future__ import annotations

import json
import re
from collections.abc import Iterator

import click

import documents
from nasos.cli import root
from nasos.tls import State
from nasos.vault.system import Product


def commands_with_json(group: click.Group, name: str) -> Iterator[str]:
    """Names of all commands below a group that take `--json`."""
    context = click.Context(group)
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        assert command
        if isinstance(command, click.Group):
            yield from commands_with_json(command, f"{name} {each}")
        elif any("--json" in parameter.opts for parameter in command.params):
            yield f"{name} {each}"


def documented() -> dict[str, str]:
    """The sections of docs/json.md by command, options apart from their command left out."""
    parts = documents.read("docs/json.md").split("\n## `")[1:]
    return {part.split(" --json`")[0]: part for part in parts}


def test_every_command_with_json_has_a_section_and_no_other() -> None:
    """In docs/json.md; an option that changes the shape has a section of its own."""
    found = {re.sub(r" --\w+", "", name) for name in documented()}
    assert found == set(commands_with_json(root.nasos, "nasos"))


def test_every_field_that_is_explained_is_in_the_example() -> None:
    """A table below an example explains fields of that example."""
    for name, part in documented().items():
        examples = re.findall(r"```json\n(.*?)```", part, re.DOTALL)
        if not examples:
            continue
        keys = set(re.findall(r'"(\w+)":', examples[0]))
        for cell in re.findall(r"^\| (`.+?`) \|", part, re.MULTILINE):
            for field in re.findall(r"`([^`]+)`", cell):
                assert field.rpartition(".")[2] in keys, (name, field)
        json.loads(examples[0])


def test_the_words_for_product_and_state_are_complete() -> None:
    """Exactly those that the code can say."""
    for section, field, words in (
        ("nasos vault status", "product", Product),
        ("nasos tls status", "certificates[].state", State),
    ):
        [row] = re.findall(rf"^\| `{re.escape(field)}` \| (.*) \|$", documented()[section], re.MULTILINE)
        assert set(re.findall(r"`([^`]+)`", row)) == {str(word) for word in words}
