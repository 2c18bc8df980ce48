"""By what clients verify the edge: the development CA, or the roots of whoever signs its certificate.

Rules: as long as there is no certificate by ACME or of Cloudflare's, the development one serves, and is verified as
such. Cloudflare's Origin CA is trusted by Cloudflare alone, and here. The public roots are those of the ``certifi``
package, which comes with the ACME library: the same for the CA's own server, for what it sends, and for the proof.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nasos.errors import TlsError
from nasos.settings import TlsSettings
from nasos.tls.pairs import Pairs

ORIGIN_ROOT: Final = Path(__file__).parent / "roots" / "cloudflare_origin_ecc.pem"
"""developers.cloudflare.com/ssl/static/origin_ca_ecc_root.pem, until 2029-08-15."""
EXTRA = 'uv pip install "nasos[acme]"'


def edge_pairs(directory: Path, owner: int | None = None, mode: str = "acme") -> Pairs:
    """The edge's pairs below ``tls/``; ``owner`` runs nginx, where that has a user of its own."""
    return Pairs(directory / mode, owner, 0o700 if owner is None else 0o711)


def by_others(directory: Path, tls: TlsSettings) -> bool:
    """Whether the edge shows a certificate that was not signed by the development CA."""
    return tls.mode != "dev" and edge_pairs(directory, mode=tls.mode).live.exists()


def edge_files(directory: Path, tls: TlsSettings) -> tuple[Path, Path]:
    """Certificate and key that nginx shows."""
    if by_others(directory, tls):
        live = edge_pairs(directory, mode=tls.mode).live
        return live / "chain.pem", live / "key.pem"
    return directory / "edge.pem", directory / "edge.key"


def edge_trust(directory: Path, tls: TlsSettings) -> Path:
    """The CA file by which a client verifies the edge."""
    if by_others(directory, tls):
        return public_roots(tls)
    return directory / "ca.pem"


def public_roots(tls: TlsSettings) -> Path:
    """The roots that a certificate by ACME, or by Cloudflare's Origin CA, leads to.

    Raises:
        TlsError: What ACME needs is not installed.
    """
    if tls.mode == "cloudflare":
        return Path(tls.origin_roots_file).expanduser() if tls.origin_roots_file else ORIGIN_ROOT
    if tls.acme.roots_file:
        return Path(tls.acme.roots_file).expanduser()
    try:
        import certifi
    except ModuleNotFoundError:
        raise TlsError("what ACME needs is not installed", EXTRA) from None
    return Path(certifi.where())
