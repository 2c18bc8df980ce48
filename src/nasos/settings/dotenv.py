"""``.env`` and the names that it may hold.

Rules: a misspelt name of ours is an error, other programs' names are theirs; a line is never quoted in an error (it may
be a secret); a file with a secret must be private.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from nasos.errors import SettingsError
from nasos.files import read_private

ENVIRONMENT_KEYS: Final = {
    "NASOS_HOME": "state directory of the stack",
    "NASOS_PROJECT": "checkout that holds nasos.toml and .env; set by ./nasos",
    "NASOS_KEY_DIR": "directory of the unseal key, outside NASOS_HOME",
    "NASOS_RUNTIME_DIR": "directory on a tmpfs for an unseal key that lies on no disk",
    "NASOS_PORT": "HTTPS port; the internal ports follow it",
    "NASOS_ALLOW_PLAIN_HTTP": "1 allows VAULT_ADDR over plain http on loopback",
    "VAULT_ADDR": "address of Vault or OpenBao",
    "VAULT_TOKEN": "token; or use the AppRole pair",
    "VAULT_ROLE_ID": "AppRole RoleID",
    "VAULT_SECRET_ID": "AppRole SecretID",
    "VAULT_SECRET_ID_FILE": "file with the AppRole SecretID (preferred: the value stays out of .env)",
    "VAULT_SECRET_ID_WRAPPED": "1 when the SecretID is a response-wrapping token, to be unwrapped once",
    "VAULT_CACERT": "PEM file of the CA that signed Vault's certificate",
    "VAULT_NAMESPACE": "Vault or OpenBao namespace",
    "CLOUDFLARE_API_TOKEN": "Cloudflare API token",
    "CLOUDFLARE_ZONE_ID": "Cloudflare zone",
}
"""Every name read from the environment or ``.env``, with its one-line meaning (docs/settings.md lists them)."""

_SECRET_KEYS: Final = ("VAULT_TOKEN", "VAULT_SECRET_ID", "CLOUDFLARE_API_TOKEN")
_OURS: Final = ("NASOS_", "VAULT_", "CLOUDFLARE_")


_LINE: Final = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")
_QUOTED: Final = re.compile(r"""(?:"([^"]*)"|'([^']*)')\s*(?:\s#.*)?""")


def read_dotenv(path: Path) -> dict[str, str]:
    """The names and values of a ``.env``, quotes and comments taken off.

    Raises:
        SettingsError: A line or a name cannot be understood; names the line, never its content.
        FileRefused: It holds a secret and others can read it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}", f'"file {path}" may tell') from None
    values: dict[str, str] = {}
    # Not splitlines(): it also breaks at U+2028 and form feeds, inside a value.
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            # Never echo the line: it may be a secret without its name.
            raise SettingsError(f"{path} line {number} is not NAME=value", f"edit line {number} of {path}")
        name, value = match.groups()
        _known(name, f"{path} line {number}")
        values[name] = _unquoted(value, name, f"{path} line {number}")
    if any(values.get(name) for name in _SECRET_KEYS):
        read_private(path)
    return values


def _unquoted(value: str, name: str, where: str) -> str:
    text = value.strip()
    if text[:1] not in ("'", '"'):
        return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
    quoted = _QUOTED.fullmatch(text)
    if not quoted:
        raise SettingsError(
            f"{where}: {name} is not one quoted value", f"close the quote of {name}, with nothing after"
        )
    return quoted[1] if quoted[1] is not None else quoted[2]


def _known(name: str, where: str) -> None:
    """Refuse a misspelt name of ours; other programs' names in the same .env are theirs."""
    if name == "CLOUDFLARE_API_KEY":
        raise SettingsError(
            f"{where}: {name} is the global API key, which may do everything; it is not taken",
            "make an API token at https://dash.cloudflare.com/profile/api-tokens, and set CLOUDFLARE_API_TOKEN",
        )
    if name in ENVIRONMENT_KEYS or not name.startswith(_OURS):
        return
    import difflib  # for the unhappy only: every start of a bot passes here

    close = difflib.get_close_matches(name, ENVIRONMENT_KEYS, n=1, cutoff=0.8)
    if close:
        raise SettingsError(f"{where}: unknown name {name}", f"did you mean {close[0]}?")
    if name.startswith("NASOS_"):
        raise SettingsError(f"{where}: unknown name {name}", "see docs/settings.md for all names")
