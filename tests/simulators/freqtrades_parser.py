"""Run by the bot's interpreter: what freqtrade itself reads out of a configuration file.

Each line of standard input is a file's content in base64; each line of standard output ``= VALUE`` (as Python writes
it) or ``! WHY`` (the name of the exception).
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from pathlib import Path

from freqtrade.configuration.load_config import load_file


def main(path: Path) -> None:
    """Until standard input ends."""
    for line in sys.stdin:
        path.write_bytes(base64.b64decode(line))
        try:
            told = "= " + ascii(load_file(path))
        except (ValueError, RecursionError, MemoryError) as refused:
            told = f"! {type(refused).__name__}"
        sys.stdout.write(told + os.linesep)
        sys.stdout.flush()


with tempfile.TemporaryDirectory() as place:
    main(Path(place) / "config.json")
