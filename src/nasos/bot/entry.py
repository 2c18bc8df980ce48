"""The bot's process: closed, confined, connected to its launcher, and then freqtrade.

``python -I -m nasos.bot.entry LAUNCHER ORDERS SANDBOX trade -c ...``: pid of the launcher, descriptor of the order
line, what this process may reach (JSON), freqtrade's own arguments. Rules:

* First of all: end with the launcher, no core file, no reading of this memory by other processes of the same user.
* Then the sandbox, before a line of freqtrade or of a strategy runs: files and ports of its own, and no others.
* Then the hooks (`inside/`), each of which refuses a freqtrade that it does not know.

What stays reachable for strategy code in the same process is said in docs/run.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from nasos.errors import EXIT_FAILED, BotError, Error

if TYPE_CHECKING:
    from socket import socket

    from nasos.bot.orders import Line, Message
    from nasos.secret import Secret

    Answer = TypeVar("Answer", bound=Message)

ANSWER_SECONDS: Final = 30.0
"""Patience with the launcher, which answers from memory."""


def main(arguments: Sequence[str]) -> None:
    """Guard this process, then run freqtrade with its own arguments; never returns normally."""
    from nasos.bot.sandbox import Confinement, enter
    from nasos.bot.tether import end_with_parent, seal_memory

    try:
        end_with_parent(int(arguments[0]))
        seal_memory()
        enter(Confinement.decode(arguments[2]))
        prepare(int(arguments[1]), int(arguments[0]))
        run = _freqtrade_main()
    except Error as error:
        refuse(error)
    sys.argv = ["freqtrade", *arguments[3:]]
    run(list(arguments[3:]))


def refuse(error: Error) -> NoReturn:
    """End at once: freqtrade would catch an exception of ours and end with 0, or trade on without its guard."""
    sys.stderr.write(f"nasos: error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"nasos: hint: {error.hint}\n")
    sys.stderr.flush()
    os._exit(EXIT_FAILED)


def prepare(descriptor: int, launcher: int) -> None:
    """Take up the order line and put the hooks in place.

    Raises:
        BotError: The descriptor is not the launcher's, or freqtrade's inside is not what we know.
    """
    from nasos.bot.inside import configuration, logs
    from nasos.bot.orders import Line

    process = Process(_end(descriptor, launcher), Line)
    logs.redact(process.redactor)
    process.line.start()
    configuration.feed(process.document, process.loaded)


class Process:
    """What this process has from its launcher, and does for it."""

    def __init__(self, end: socket, line: type[Line]) -> None:
        from nasos.bot.inside.api import Credentials
        from nasos.bot.inside.tls import ApiTls
        from nasos.secret import Redactor

        self.redactor = Redactor()
        self.line = line(end, self.obey)
        self._credentials = Credentials()
        self._tls = ApiTls(self._certificate, refuse)

    def document(self) -> Mapping[str, object]:
        """The secret part of the configuration, fresh from the launcher; logs are clean of it from here on."""
        import json

        from nasos.bot.inside.logs import secrets_of
        from nasos.bot.orders import Document, Load

        content: dict[str, Any] = json.loads(self._asked(Load(), Document).json.reveal())
        self.redactor.learn(secrets_of(content))
        return content

    def loaded(self, config: Mapping[str, Any]) -> None:
        """Secure the API that this configuration is going to start."""
        if not listens(config):
            return
        try:
            self._tls.require()
            self._credentials.watch()
        except Error as error:
            refuse(error)

    def obey(self, order: Message) -> Message:
        """Do what the launcher says.

        Raises:
            BotError: It cannot be done.
        """
        from nasos.bot.orders import Certificate, Done, Refused, Swap
        from nasos.bot.packed import inner

        match order:
            case Swap():
                self.redactor.learn(inner(order.api.values()))
                self._credentials.swap(order.api)
            case Certificate():
                self._tls.renew(order.pem)
            case _:
                return Refused("that is no order")
        return Done()

    def _certificate(self) -> Secret:
        from nasos.bot.orders import Certificate, Certify

        return self._asked(Certify(), Certificate).pem

    def _asked(self, question: Message, wanted: type[Answer]) -> Answer:
        try:
            answer = self.line.ask(question, ANSWER_SECONDS)
            if not isinstance(answer, wanted):
                raise BotError("the launcher answered something else than was asked")
        except Error as error:
            refuse(error)
        return answer


def listens(config: Mapping[str, Any]) -> bool:
    """Whether freqtrade starts its API with this configuration."""
    mode, section = getattr(config.get("runmode"), "value", None), config.get("api_server")
    if not isinstance(section, Mapping):
        return False
    return mode == "webserver" or (mode in {"live", "dry_run"} and bool(section.get("enabled")))


def _end(descriptor: int, launcher: int) -> socket:
    """The order line's socket, made by the launcher and by nobody else; no program that the bot starts inherits it."""
    import struct
    from socket import SO_PEERCRED, SOL_SOCKET, socket

    missing = BotError("there is no order line to the launcher", 'start the bot with "nasos run --bot NAME -- ..."')
    try:
        os.set_inheritable(descriptor, False)
        end = socket(fileno=descriptor)
        peer = struct.unpack("=iII", end.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))[0]
    except OSError:
        raise missing from None
    if peer != launcher:
        raise missing
    return end


def _freqtrade_main() -> Callable[[list[str]], None]:
    from freqtrade.main import main as run

    from nasos.bot.inside.familiar import unfamiliar

    if not callable(run):
        raise unfamiliar("freqtrade.main")
    return run  # type: ignore[no-any-return]  # freqtrade is untyped here


if __name__ == "__main__":
    main(sys.argv[1:])
