"""What ``nasos up`` says at its end: where it is, how to log in, what to do next."""

from __future__ import annotations

from nasos.stack.edge import user_interface
from nasos.stack.embedded import Stack
from nasos.stack.seal.keys import on_disk, wrapped


def _trust(stack: Stack) -> str:
    if stack.edge_ca_file == stack.ca_file:
        return f"{stack.ca_file}   (import it in the browser, or accept its warning)"
    return "nothing to do: the certificate is by a CA that browsers know, or that you named"


def welcome(stack: Stack, seconds: float) -> str:
    """The closing text; holds commands that show secrets, never a secret."""
    bot = stack.settings.bot
    market = "a synthetic market (demo, dry-run)" if bot.exchange == "demo" else "the exchange of your configuration"
    recovery = stack.home.root / "recovery.json"
    lines = [
        "",
        f"The bot runs on {market}; all parts proven healthy after {seconds:.0f} s.",
        "",
        f"  open      {stack.address}   ({user_interface(stack.settings)})",
        f"  trust     {_trust(stack)}",
        "  log in    ./nasos gateway user add YOU --role admin   (a password, and a QR code for your telephone)",
        "",
        "  next      ./scripts/security_test.sh    what is wrong, and how to mend it",
        "            ./nasos status                what runs",
        "            ./nasos down                  stop it",
    ]
    if recovery.exists():
        shamir = stack.settings.vault.seal == "shamir"
        worth = "it opens Vault after each start" if shamir else "it recovers Vault when all else is lost"
        lines += ["", f"  Move {recovery} off this machine now: {worth}."]
    return "\n".join([*lines, *_seal(stack)])


def _seal(stack: Stack) -> list[str]:
    key = on_disk(stack)
    if key.exists():
        return [
            "",
            f"  Vault unseals itself with {key}.",
            "  Whoever copies the whole disk can do so too; ./nasos vault seal-key protect asks a person instead.",
        ]
    if wrapped(key).exists():
        return ["", "  The unseal key has a passphrase: it is in memory until ./nasos down or a reboot."]
    return []
