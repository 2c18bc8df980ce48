"""What an error means on this machine: a Vault that answers 500 may have no room for its audit log.

Rules: looked for only when something failed; what cannot be looked at changes nothing of the error that there is.
"""

from __future__ import annotations

from nasos.errors import Error, OutcomeUnknown, VaultUnreachable


def explained(error: Error) -> Error:
    """``error``, with the full disk that is its cause, where there is one."""
    if not isinstance(error, VaultUnreachable | OutcomeUnknown):
        return error
    from nasos.disk import ROOM_HINT, fullness
    from nasos.settings import load
    from nasos.stack.embedded import Stack

    try:
        full = fullness(Stack.existing(load()).places)
    except (Error, OSError):
        return error
    return type(error)(f"{full}: {error.message}", ROOM_HINT) if full else error
