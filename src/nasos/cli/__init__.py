"""The command line: composition root, and the only place that prints, exits or builds objects from settings.

One file per noun; each is imported only when its command runs, because ``nasos run`` stands before the bot.
``output`` prints, ``context`` builds, ``root`` is the group.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Run the ``nasos`` command; never shows a traceback for an error of ours."""
    # Importing makes many objects and no garbage: a tenth of the start-up was collecting nothing (measured).
    gc.set_threshold(50_000, 20, 20)
    from nasos.cli.root import run

    sys.exit(run(sys.argv[1:]))
