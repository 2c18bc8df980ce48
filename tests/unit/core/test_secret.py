from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import multiprocessing
import pickle
import pprint
import sys
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from nasos.secret import Secret

VALUE = "kPlantedValue-0123456789"


@dataclasses.dataclass
class Holder:
    """Something that carries a secret among other fields."""

    name: str
    password: Secret


class Record(msgspec.Struct):
    """The same, as a struct."""

    password: Secret


def printing_roads() -> dict[str, Callable[[Any], object]]:
    """Every way to make text or bytes of an object that the standard library and msgspec offer."""
    return {
        "str": str,
        "format": format,
        "format with a spec": lambda s: format(s, ">40"),
        "f-string": lambda s: f"{s}",
        "f-string !s": lambda s: f"{s!s}",
        "str.format": "{}".format,
        "percent": lambda s: "%s" % s,  # noqa: UP031  the road under test
        "percent tuple": lambda s: "%s and %s" % ("a", s),  # noqa: UP031  the road under test
        "print": lambda s: print(s, file=io.StringIO()),
        "concatenation": lambda s: "value: " + s,
        "join": lambda s: ",".join(["a", s]),  # noqa: FLY002  the road under test
        "bytes": bytes,
        "encode": lambda s: s.encode(),
        "len": len,
        "iterate": list,
        "index": lambda s: s[0],
        "order": lambda s: s < Secret("z"),
        "hash": hash,
        "json": json.dumps,
        "json default=str": lambda s: json.dumps(s, default=str),
        "json key": lambda s: json.dumps({s: 1}),
        "msgspec json": msgspec.json.encode,
        "msgspec msgpack": msgspec.msgpack.encode,
        "msgspec builtins": msgspec.to_builtins,
        "msgspec struct": lambda s: msgspec.json.encode(Record(s)),
        "msgspec dataclass": lambda s: msgspec.json.encode(Holder("n", s)),
        "pickle": pickle.dumps,
        "pickle 0": lambda s: pickle.dumps(s, protocol=0),
        "pickle inside a dataclass": lambda s: pickle.dumps(Holder("n", s)),
        "reduce": lambda s: s.__reduce__(),
        "getstate": lambda s: s.__getstate__(),
        "vars": vars,
        "write": lambda s: io.StringIO().write(s),
    }


@pytest.mark.parametrize("road", printing_roads())
def test_every_road_to_text_refuses_without_the_value(road: str) -> None:
    """A Secret refuses to become text, and the refusal does not hold the value either."""
    with pytest.raises((TypeError, AttributeError)) as refusal:
        printing_roads()[road](Secret(VALUE))
    assert VALUE not in "".join(traceback.format_exception(refusal.value))


def test_the_value_is_there_all_along() -> None:
    """The negative twin: reveal() gives exactly what was put in."""
    assert Secret(VALUE).reveal() == VALUE


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(VALUE)),
        f"{Secret(VALUE)!r}",
        f"{Secret(VALUE)!a}",
        repr(Holder("n", Secret(VALUE))),
        str(Holder("n", Secret(VALUE))),
        repr(Record(Secret(VALUE))),
        repr([Secret(VALUE)]),
        str({"k": Secret(VALUE)}),
        pprint.pformat(Holder("n", Secret(VALUE))),
        repr(dataclasses.asdict(Holder("n", Secret(VALUE)))),
        repr(KeyError(Secret(VALUE))),
        str(ValueError("no", Secret(VALUE))),
        json.dumps({"k": Secret(VALUE)}, default=repr),
    ],
)
def test_repr_shows_that_a_secret_stands_there_and_nothing_else(shown: str) -> None:
    """Containers, dataclasses and exceptions show Secret(...), never the value."""
    assert "Secret(...)" in shown
    assert VALUE not in shown


def test_an_exception_with_a_secret_as_its_only_argument_does_not_print_it() -> None:
    """A traceback of an exception that carries a secret has no value in it."""
    shown = "".join(traceback.format_exception(ValueError(Secret(VALUE))))
    assert VALUE not in shown


def test_a_traceback_with_locals_shows_no_value() -> None:
    """Frames that hold a Secret can be shown with their locals."""

    def work(password: Secret) -> None:
        held = {"password": password, "again": Holder("n", password)}
        raise RuntimeError("failed with", len(held))

    with pytest.raises(RuntimeError) as failure:
        work(Secret(VALUE))
    shown = "".join(traceback.TracebackException.from_exception(failure.value, capture_locals=True).format())
    assert "Secret(...)" in shown
    # pytest's own frame holds nothing of it; the value stands in this module's source as a name only.
    assert VALUE not in shown


def test_a_wrong_type_is_refused_without_keeping_it_in_the_frame() -> None:
    """Secret(b'...') is refused, and a traceback with locals does not show the bytes."""
    planted = [VALUE.encode()]
    with pytest.raises(TypeError) as refusal:
        Secret(planted.pop())  # type: ignore[arg-type]
    shown = "".join(traceback.TracebackException.from_exception(refusal.value, capture_locals=True).format())
    assert VALUE not in shown


def test_logging_a_secret_prints_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    """Logging's own error report about a record it cannot render does not hold the value."""
    stream = io.StringIO()
    logger = logging.getLogger("test.secret")
    logger.propagate = False
    logger.handlers = [logging.StreamHandler(stream)]
    logger.error("password is %s", Secret(VALUE))
    logger.error("password is %r", Secret(VALUE))
    logger.error(Secret(VALUE))
    assert VALUE not in stream.getvalue() + capsys.readouterr().err
    assert "password is Secret(...)" in stream.getvalue()


def test_a_copy_into_another_process_is_refused() -> None:
    """Multiprocessing pickles arguments; a Secret does not travel that way."""
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    with pytest.raises(TypeError, match="refuses pickling"):
        queue.put(Secret(VALUE))


def test_copies_inside_the_process_are_the_same_object() -> None:
    """Copy and deepcopy make no second place that holds the value."""
    secret = Secret(VALUE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"k": [secret]})["k"][0] is secret


def test_a_secret_cannot_be_changed() -> None:
    """No attribute can be set, replaced or added."""
    secret = Secret(VALUE)
    for name in ("_value", "other"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(secret, name, "x")
    with pytest.raises(AttributeError):
        del secret._value  # type: ignore[attr-defined]
    assert secret.reveal() == VALUE


@pytest.mark.parametrize("value", ["", "a", VALUE, "zwei\nZeilen", "한국어 \U0001f511", "\ud800"])
def test_equality_is_between_secrets_only(value: str) -> None:
    """A Secret equals a Secret of the same value, whatever characters; never a str."""
    assert Secret(value) == Secret(value)
    assert Secret(value) != Secret(value + "x")
    assert Secret(value) != value
    assert bool(Secret(value)) is bool(value)


def test_random_values_are_long_unique_and_not_numbers() -> None:
    """Generated values never parse as a number or a boolean, which freqtrade would convert."""
    values = {Secret.random().reveal() for _ in range(1000)}
    assert len(values) == 1000
    assert all(value.startswith("k") and len(value) >= 43 for value in values)


def test_the_module_is_not_fooled_by_a_subclass_of_str() -> None:
    """A str subclass with a talkative repr stays hidden as well."""

    class Loud(str):
        __slots__ = ()

        def __repr__(self) -> str:
            return f"LOUD {VALUE}"

    assert repr(Secret(Loud(VALUE))) == "Secret(...)"
    assert sys.getsizeof(Secret(VALUE)) < 100
