from __future__ import annotations

from pathlib import Path

import pytest

from nasos.cloudflare.compose import containers
from nasos.cloudflare.labels import Container
from nasos.cloudflare.memory import Memory, recall, remember
from nasos.errors import FileRefused, UsageError

FILE = """
x-common: &common
  restart: always
  labels: &labels
    cloudflare.proxied: true
    cloudflare.ttl: 0300
services:
  bot:
    <<: *common
    labels:
      <<: *labels
      cloudflare.subdomain: bot
  web:
    labels: ["cloudflare.subdomain=web", "cloudflare.proxied=no", "flag"]
  plain: {image: x}
  empty:
"""


def test_labels_are_the_texts_that_stand_there() -> None:
    """Lists, mappings, merged mappings; no value becomes a number or a truth."""
    assert containers(FILE) == (
        Container("bot", {"cloudflare.proxied": "true", "cloudflare.ttl": "0300", "cloudflare.subdomain": "bot"}),
        Container("web", {"cloudflare.subdomain": "web", "cloudflare.proxied": "no", "flag": ""}),
        Container("plain", {}),
        Container("empty", {}),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no services"),
        ("services: []", "no services"),
        ("- a", "no services"),
        ("services: {a: {labels: text}}", "labels of a"),
        ("services: {a: {labels: [[1]]}}", "labels of a"),
        ("services: {a: {labels: {x: [1]}}}", "labels of a"),
        ("services:\n  a: 1\n  a: 2\n", "the key a stands twice"),
        ("services: {a: [", "cannot be read in line"),
        ("a: *nobody", "cannot be read in line"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
        ("\x00", "cannot be read"),
        ("[" * 10000, "cannot be read"),
    ],
)
def test_what_is_no_compose_file_is_said(text: str, words: str) -> None:
    """Nothing of it is run, and nothing is guessed."""
    with pytest.raises(UsageError, match=words) as refused:
        containers(text)
    assert "docker compose config" in str(refused.value.hint)


def test_what_is_remembered_survives_and_what_is_damaged_only_delays(tmp_path: Path) -> None:
    """A file that cannot be understood is none; one that others can write is refused."""
    from datetime import UTC, datetime

    since = {"1": datetime(2026, 11, 23, tzinfo=UTC)}
    memory = Memory()
    remember(tmp_path, memory, "zone", {})
    assert not (tmp_path / "cloudflare.json").exists()
    remember(tmp_path, memory, "zone", since)
    assert recall(tmp_path).of("zone") == since
    assert (tmp_path / "cloudflare.json").stat().st_mode & 0o777 == 0o600
    for damaged in (b"", b"{", b'{"absent": []}', b'{"absent": {"zone": {"1": "2026-11-23T00:00:00"}}}'):
        (tmp_path / "cloudflare.json").write_bytes(damaged)
        assert recall(tmp_path).of("zone") == {}
    (tmp_path / "cloudflare.json").chmod(0o666)
    with pytest.raises(FileRefused):
        recall(tmp_path)
