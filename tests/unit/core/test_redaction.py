from __future__ import annotations

import io
import logging
import logging.handlers
import queue

import pytest

from nasos.secret import MIN_REDACTED_LENGTH, REDACTED, RedactionFilter, Redactor, Secret

VALUE = "kPlantedValue-0123456789"
MISSING: dict[str, str] = {}
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPlanted\nsecondline\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    """A logger whose handler redacts VALUE."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactionFilter(Redactor([Secret(VALUE)])))
    return silent_logger(handler), stream


def silent_logger(handler: logging.Handler) -> logging.Logger:
    """A logger that writes to this handler only."""
    logger = logging.getLogger(f"test.{id(handler)}")
    logger.propagate = False
    logger.handlers = [handler]
    return logger


@pytest.mark.parametrize(
    "text",
    [
        "hvs." + "A" * 24,
        "s." + "B" * 24,
        "b." + "C" * 40,
        "token=hvb." + "D" * 90,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        PEM,
        PEM.replace("PRIVATE", "EC PRIVATE"),
        PEM[: PEM.index("secondline")],
        "GET /api/v1/message/ws?token=abc123 HTTP/1.1",
        "https://api.telegram.org/bot123456789:AA" + "x" * 33 + "/getMe",
    ],
)
def test_secret_shapes_are_replaced_without_knowing_them(text: str) -> None:
    """Tokens, JWTs, private keys (whole or cut off) and tokens in URLs are redacted by their shape."""
    shown = Redactor().redact(f"before {text} after")
    assert REDACTED in shown
    assert shown.startswith("before ")
    for part in ("A" * 24, "B" * 24, "C" * 24, "D" * 24, "eyJzdWIi", "MC4CAQ", "abc123", "x" * 33):
        assert part not in shown


@pytest.mark.parametrize(
    "text",
    ["vault is sealed", "kv/nasos/app/api_key version 3", "https://127.0.0.1:8444/v1/sys/health", "s.py line 12"],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """The negative twin: nothing that is not a secret is replaced."""
    assert Redactor([Secret("x" * MIN_REDACTED_LENGTH)]).redact(text) == text


def test_the_longer_value_wins_over_its_own_prefix() -> None:
    """A known prefix of a longer known value does not leave the rest standing."""
    shown = Redactor([Secret(VALUE[:10]), Secret(VALUE)]).redact(f"<{VALUE}>")
    assert shown == f"<{REDACTED}>"


def test_a_value_with_lines_is_found_line_by_line() -> None:
    """A multi-line value is redacted when only one of its lines is printed."""
    assert Redactor([Secret("first-line\nsecond-line")]).redact("got second-line") == f"got {REDACTED}"


def test_short_values_do_not_eat_ordinary_words() -> None:
    """Values below the minimum length are not replaced: they would tear words apart."""
    assert Redactor([Secret("ab")]).redact("about") == "about"


def test_learned_values_add_up() -> None:
    """Values learned later are redacted together with the earlier ones."""
    redactor = Redactor([Secret("first-value")])
    redactor.learn([Secret("later-value")])
    assert redactor.redact("first-value later-value") == f"{REDACTED} {REDACTED}"


def test_a_message_is_redacted_with_its_arguments(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Format arguments are rendered before redaction, so a value split over both is found."""
    logger, stream = log
    logger.warning("login of %s with %s", "bot", VALUE)
    logger.warning("%sValue-0123456789", "kPlanted")
    assert stream.getvalue() == f"login of bot with {REDACTED}\n{REDACTED}\n"


def test_a_traceback_is_redacted(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Exception text, causes and notes pass the filter too."""
    logger, stream = log
    try:
        try:
            _ = MISSING[VALUE]
        except KeyError as error:
            wrapped = ValueError(f"wrapped {VALUE}")
            wrapped.add_note(f"noted {VALUE}")
            raise wrapped from error
    except ValueError:
        logger.exception("failed")
    assert VALUE not in stream.getvalue()
    assert stream.getvalue().count(REDACTED) >= 3
    assert "Traceback" in stream.getvalue()


def test_text_cached_by_another_handler_is_redacted() -> None:
    """A record that comes through a queue carries its traceback as text; that is redacted too."""
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    logger = silent_logger(logging.handlers.QueueHandler(records))
    try:
        _ = MISSING[VALUE]
    except KeyError:
        logger.exception("failed", stack_info=True)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactionFilter(Redactor([Secret(VALUE)])))
    record = records.get_nowait()
    record.exc_text, record.stack_info = f"Traceback {VALUE}", f"Stack {VALUE}"
    handler.handle(record)
    assert VALUE not in stream.getvalue()
    assert "Traceback" in stream.getvalue()


class Broken:
    """An argument that cannot be rendered."""

    def __str__(self) -> str:
        raise RuntimeError(VALUE)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("%s %s", ("one",)),
        ("%d", ("text",)),
        ("%(name)s", ({"other": 1},)),
        ("%s", (Broken(),)),
        ("%s", (Secret(VALUE),)),
    ],
)
def test_a_record_that_cannot_be_rendered_is_kept_without_its_arguments(
    log: tuple[logging.Logger, io.StringIO],
    message: str,
    arguments: tuple[object, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A broken log call neither loses the record nor shows the arguments."""
    logger, stream = log
    logger.warning(message, *arguments)
    assert message in stream.getvalue()
    assert VALUE not in stream.getvalue() + capsys.readouterr().err
