"""Labels from a compose file: what Docker would be told, without Docker.

Rules: YAML by the safe loader with every value as the text that it is written as (``yes`` stays ``yes``, ``0x10`` stays
``0x10``); a key that stands twice is an error, as it is for Docker. Nothing is filled in: ``${NAME}`` is no host name,
and ``docker compose config`` knows what to put there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from nasos.cloudflare.labels import Container
from nasos.errors import UsageError

LARGEST: Final = 1 << 20
"""Bytes of a compose file."""
RESOLVED: Final = "docker compose config | nasos cloudflare plan --compose -"
_MERGE: Final = "tag:yaml.org,2002:merge"


class _Texts(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML is untyped
    """Scalars are texts; only ``<<`` means something."""

    yaml_implicit_resolvers: Final = {"<": [(_MERGE, re.compile(r"^<<$"))]}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401, FBT001, FBT002  PyYAML's
        keys = [key.value for key, _ in node.value if key.tag != _MERGE and isinstance(key.value, str)]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(problem=f"the key {min(twice)} stands twice")
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def containers(text: str) -> tuple[Container, ...]:
    """The services of a compose file, with their labels.

    Raises:
        UsageError: It is no compose file.
    """
    document = _parsed(text)
    services = document.get("services") if isinstance(document, Mapping) else None
    if not isinstance(services, Mapping):
        raise UsageError("the compose file has no services", RESOLVED)
    return tuple(Container(str(name), _labels(str(name), service)) for name, service in services.items())


def _labels(name: str, service: object) -> dict[str, str]:
    labels = service.get("labels") if isinstance(service, Mapping) else None
    if labels in (None, ""):
        return {}
    if isinstance(labels, Mapping):
        pairs = list(labels.items())
    elif isinstance(labels, list) and all(isinstance(each, str) for each in labels):
        pairs = [(each.partition("=")[0], each.partition("=")[2]) for each in labels]
    else:
        pairs = [(None, None)]
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in pairs):
        raise UsageError(f"the labels of {name[:60]} are neither texts nor a list of NAME=VALUE", RESOLVED)
    return dict(pairs)


def _parsed(text: str) -> object:
    try:
        found: object = _Texts(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(
            f"the compose file cannot be read{where}: {problem or type(error).__name__}", RESOLVED
        ) from None
    return found
