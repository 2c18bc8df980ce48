"""The process of freqtrade's ``convert-db``: closed and confined like the bot's own, then freqtrade.

``python -I -m nasos.bot.moving.child PARENT SANDBOX convert-db ...``. It needs no document and no hooks: there is no
configuration and no strategy, and the only secret, the database login, comes over the credential page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nasos.errors import EXIT_FAILED, Error


def main(arguments: Sequence[str]) -> None:
    """Guard this process, then run freqtrade with the rest; never returns normally."""
    from nasos.bot.sandbox import Confinement, enter
    from nasos.bot.tether import end_with_parent, seal_memory

    try:
        end_with_parent(int(arguments[0]))
        seal_memory()
        enter(Confinement.decode(arguments[1]))
    except Error as error:
        sys.stderr.write(f"nasos: error: {error.message}\n")
        sys.exit(EXIT_FAILED)
    from freqtrade.main import main as run

    sys.argv = ["freqtrade", *arguments[2:]]
    run(list(arguments[2:]))


if __name__ == "__main__":
    main(sys.argv[1:])
