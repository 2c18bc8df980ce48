"""``nasos vault prepare``: what a Vault server needs before its first start, where no stack makes it.

Rules: what is there is kept; a certificate is made anew when it is due. Key, CA and certificate each have a directory
of their own, so that each can be given to one service alone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from nasos.cli.output import say
from nasos.files import atomic_write, private_directory


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--host", "hosts", multiple=True, default=("vault",), help="A name of the server; localhost is one.")
def prepare(directory: Path, hosts: tuple[str, ...]) -> None:
    """Make an unseal key, a CA and a certificate in DIRECTORY (key, ca, tls, trust); safe to repeat."""
    from nasos.tls import DevCa, ensure_leaf
    from nasos.vault.server import make_unseal_key

    now = datetime.now(UTC)
    for name in ("key", "ca", "tls", "trust"):
        private_directory(directory / name)
    made = make_unseal_key(directory / "key" / "unseal.key")
    ca = DevCa.open(directory / "ca", now=now, hosts=hosts)
    leaf = ensure_leaf(ca, directory / "tls", "vault", (*hosts, "localhost", "127.0.0.1"), now=now)
    for place in ("tls", "trust"):
        atomic_write(directory / place / "ca.pem", ca.path.read_bytes(), 0o644)
    say(f"unseal key {'made' if made else 'kept'}; certificate until {leaf.not_after:%Y-%m-%d}")
