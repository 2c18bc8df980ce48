from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from nasos.settings import DEFAULT_PORT, ENVIRONMENT_KEYS, AcmeSettings, Document, OtherBot, OwnSecret, parse_document

PAGE = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
EXAMPLE = PAGE.split("```toml\n")[1].split("```")[0]


def test_every_name_of_the_environment_is_documented_and_no_other() -> None:
    """The table of docs/settings.md lists exactly the names that are read."""
    assert re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE) == list(ENVIRONMENT_KEYS)


def test_every_key_of_nasos_toml_is_documented_and_no_other() -> None:
    """The example holds exactly the tables and keys that are read."""
    documented = {table: list(content) for table, content in tomllib.loads(EXAMPLE).items()}
    assert documented == {field.name: list(field.type.__struct_fields__) for field in msgspec.structs.fields(Document)}
    acme = tomllib.loads(EXAMPLE)["tls"]["acme"]
    assert list(acme) == list(AcmeSettings.__struct_fields__)


def test_the_documented_values_are_the_defaults(tmp_path: Path) -> None:
    """Copied as it stands, the example changes nothing."""
    path = tmp_path / "nasos.toml"
    # An empty text stands for "no default".
    path.write_text(re.sub(r'^\w+ = ""', "#", EXAMPLE, flags=re.MULTILINE))
    read, default = parse_document(path), Document()
    assert (read.stack.port, read.stack.listen) == (DEFAULT_PORT, default.stack.listen)
    assert (read.vault, read.tls, read.bot) == (default.vault, default.tls, default.bot)
    assert read.housekeeping == default.housekeeping
    assert read.rotation == default.rotation
    assert read.gateway == default.gateway


def test_every_key_of_a_secret_of_ones_own_is_documented_and_no_other() -> None:
    """The table below the example."""
    assert _listed(PAGE.split('`[rotation.secrets."app/<name>"]`')[1]) == list(OwnSecret.__struct_fields__)


def test_every_key_of_another_bot_is_documented_and_no_other() -> None:
    """The same for `[gateway.bots]`."""
    table = PAGE.split("`[gateway.bots.<name>]`")[1].split("`[rotation.secrets")[0]
    assert _listed(table) == list(OtherBot.__struct_fields__)


def _listed(table: str) -> list[str]:
    cells = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("name", ENVIRONMENT_KEYS)
def test_every_documented_name_is_one_of_ours(name: str) -> None:
    """Names carry a prefix, so that a misspelt one can be told from another program's."""
    assert name.startswith(("NASOS_", "VAULT_", "CLOUDFLARE_"))
