"""Nothing starts on files that others could have read or replaced: ``up`` refuses them, and says how to mend each.

Rules: the list is the map of the check ``secrets.files-private``; modes and owners are not mended silently, because
what others could read may be known to them. Directories of ours are made private by `Home.prepare` before. The unseal
key's own rules are in ``stack/seal`` (systemd may provide it).
"""

from __future__ import annotations

from nasos.checks.exposure import existing, flaws
from nasos.errors import FileRefused
from nasos.stack.home import Home


def require_private(home: Home) -> None:
    """Look at every listed file that is there.

    Raises:
        FileRefused: A mode or owner is wrong; the hint is the commands that mend all of them.
    """
    found = flaws(home.root, home.users.owners(), existing(home.root))
    if found:
        raise FileRefused("; ".join(each.what for each in found), " && ".join(each.fix for each in found))
