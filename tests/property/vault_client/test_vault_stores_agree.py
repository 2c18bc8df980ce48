"""The store in memory and the real one, driven by the same random operations, never tell a different story."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.stores import session_of
from fixtures.vault import VaultUnderTest
from nasos.errors import Error
from nasos.vault.kv import KvStore
from nasos.vault.memory import MemoryStore
from nasos.vault.store import SecretStore

NUMBERS = st.integers(min_value=0, max_value=12)
NAMES = st.sampled_from(["a", "b", "a/c"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.none() | NUMBERS),
    st.tuples(st.just("read"), NAMES, st.none() | NUMBERS),
    st.tuples(st.just("list"), st.sampled_from(["", "/a", "/b"]), st.none()),
    st.tuples(st.sampled_from(["history", "delete", "metadata"]), NAMES, st.none()),
    st.tuples(st.sampled_from(["delete", "undelete", "destroy"]), NAMES, NUMBERS),
    st.tuples(st.just("set_metadata"), NAMES, NUMBERS),
)


@pytest.fixture
def real(vault: VaultUnderTest) -> Iterator[KvStore]:
    """KV v2 as the role `app`."""
    session = session_of(vault.connection("app"))
    yield KvStore(session)
    session.close()


def told(store: SecretStore, folder: str, step: tuple[str, str, int | None]) -> object:
    """What one operation answers, without times."""
    what, name, number = step
    path = f"{folder}/{name}"
    try:
        match what:
            case "write":
                return store.write(path, {"value": f"{name}{number}"}, cas=number)
            case "read":
                record = store.read(path, number)
                return (
                    record.version,
                    {key: value.reveal() for key, value in record.fields.items()},
                    dict(record.custom),
                )
            case "list":
                return store.list(folder + name)
            case "set_metadata":
                store.set_metadata(path, {"n": str(number)})
                return None
            case "history" | "metadata":
                known = store.metadata(path)
                fates = [(each.number, each.deleted is None, each.destroyed) for each in store.history(path)]
                return known.current, dict(known.custom), fates
            case _:
                versions = None if number is None else [number]
                return getattr(store, what)(path, versions)
    except Error as error:
        return type(error).__name__


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=3, max_size=25))
def test_both_stores_answer_every_sequence_alike(real: KvStore, steps: list[tuple[str, str, int | None]]) -> None:
    """Whatever is written, deleted, restored and asked for, in whatever order: the same answers and the same errors."""
    folder, memory = f"nasos/app/{secrets.token_hex(6)}", MemoryStore()
    for step in steps:
        assert told(memory, folder, step) == told(real, folder, step), step
