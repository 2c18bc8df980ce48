"""Inside the bot's process, before and around freqtrade. The only module of ours that imports it.

``python -I -m nasos.bot.entry LAUNCHER DOCUMENT SANDBOX trade -c ...``: pid of the launcher, descriptor of the
document, what this process may reach (JSON), freqtrade's own arguments. Rules:

* First of all: end with the launcher, no core file, no reading of this memory by other processes of the same user.
* Then the sandbox, before a line of freqtrade or of a strategy runs: files and ports of its own, and no others.
* Secrets are cut out of every log record where it is made, so that the console, a ``--logfile`` and the API's
  ``/logs`` are all clean; uvicorn's line with the websocket token does not appear at any verbosity.
* ``config["original_config"]``, which strategies and backtest archives see, holds no secret.
* Where freqtrade's inside is not what we know, the bot does not start: a guard that silently does nothing is none.

What stays reachable for strategy code in the same process is said in docs/run.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from nasos.errors import EXIT_FAILED, BotError, Error

if TYPE_CHECKING:
    import logging

    from nasos.secret import Redactor, Secret

KNOWN: Final = "2026.9"
"""The freqtrade release that the hooks below were tried with."""


def main(arguments: Sequence[str]) -> None:
    """Guard this process, then run freqtrade with its own arguments; never returns normally."""
    from nasos.bot.sandbox import Confinement, enter
    from nasos.bot.tether import end_with_parent, seal_memory

    try:
        end_with_parent(int(arguments[0]))
        seal_memory()
        enter(Confinement.decode(arguments[2]))
        secrets = document_secrets(int(arguments[1]))
        redact_logs(secrets)
        hide_from_strategies()
        run = _freqtrade_main()
    except Error as error:
        sys.stderr.write(f"nasos: error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"nasos: hint: {error.hint}\n")
        sys.exit(EXIT_FAILED)
    sys.argv = ["freqtrade", *arguments[3:]]
    run(list(arguments[3:]))


def document_secrets(fd: int) -> list[Secret]:
    """The secret values of the document on descriptor ``fd``."""
    import json
    from pathlib import Path

    from nasos.bot.document import PUBLIC
    from nasos.secret import Secret

    content = json.loads(Path(f"/proc/self/fd/{fd}").read_bytes())
    sections = [section for section in content.values() if isinstance(section, dict)]
    leaves = [value for section in sections for name, value in section.items() if name not in PUBLIC]
    return [Secret(text) for value in leaves for text in _texts(value)]


def redact_logs(secrets: Iterable[Secret]) -> None:
    """Cut ``secrets`` and secret-shaped text out of every log record from now on."""
    import logging

    from nasos.secret import RedactionFilter, Redactor

    redactor: Redactor = Redactor(secrets)
    clean = RedactionFilter(redactor).filter
    make = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401  logging's own signature
        record = make(*args, **kwargs)
        clean(record)
        return record

    logging.setLogRecordFactory(made)
    # A filter on the logger outlives freqtrade's dictConfig, which replaces levels and handlers only.
    logging.getLogger("uvicorn.error").addFilter(_not_a_websocket_request)


def hide_from_strategies() -> None:
    """Take the secrets out of ``config["original_config"]`` whenever freqtrade loads its configuration.

    Raises:
        BotError: freqtrade keeps its configuration in another way than the one that we know.
    """
    from freqtrade.configuration.configuration import Configuration

    load: Callable[[Any], dict[str, Any]] | None = getattr(Configuration, "load_config", None)
    if not callable(load):
        raise _unfamiliar("Configuration.load_config")

    def load_config(self: Any) -> dict[str, Any]:  # noqa: ANN401  freqtrade is untyped here
        config = load(self)
        if not isinstance(config.get("original_config"), dict):
            raise _unfamiliar('config["original_config"]')
        strip(config["original_config"])
        return config

    Configuration.load_config = load_config


def strip(config: dict[str, Any]) -> None:
    """Remove every secret that freqtrade knows from a configuration, in place."""
    from nasos.bot.document import FIELDS, SECTIONS

    for name, section in SECTIONS.items():
        content = config.get(section)
        if isinstance(content, dict):
            for field in FIELDS[name]:
                content.pop(field, None)


def _freqtrade_main() -> Callable[[list[str]], None]:
    from freqtrade.main import main as run

    if not callable(run):
        raise _unfamiliar("freqtrade.main")
    return run  # type: ignore[no-any-return]  # freqtrade is untyped here


def _not_a_websocket_request(record: logging.LogRecord) -> bool:
    return '"WebSocket ' not in str(record.msg)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _unfamiliar(what: str) -> BotError:
    from freqtrade import __version__

    return BotError(
        f"freqtrade {__version__} has no {what} as {KNOWN} has it, so secrets could not be kept from strategies",
        f"install freqtrade {KNOWN} in the bot's environment",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
