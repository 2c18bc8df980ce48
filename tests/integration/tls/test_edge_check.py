"""A configuration is proven by the nginx that will run it, before it runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.edge import edge_config
from nasos.errors import TlsError
from nasos.tls import nginx


def _written(binary: Path, certificates: Path, directory: Path, **changes: object) -> Path:
    config = edge_config(certificates, directory, 1, **changes)
    path = directory / "nginx.conf"
    path.write_text(nginx.render(config, nginx.inspect(binary)))
    return path


def test_good_configuration_is_accepted(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """The rendered configuration passes, in a directory with a space, for every interface, with FreqUI."""
    directory = tmp_path / "a home"
    directory.mkdir()
    nginx.check(binary, _written(binary, certificates, directory, listen="0.0.0.0", frequi=True))  # noqa: S104  checked, never started


@pytest.mark.parametrize(
    ("damage", "word"),
    [(b"", "pem"), (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "pem")],
)
def test_bad_certificate_is_refused(binary: Path, certificates: Path, tmp_path: Path, damage: bytes, word: str) -> None:
    """A damaged PEM is refused with nginx's own reason, on one line."""
    bad = tmp_path / "bad.pem"
    bad.write_bytes(damage)
    with pytest.raises(TlsError) as caught:
        nginx.check(binary, _written(binary, certificates, tmp_path, certificate=bad))
    assert word in caught.value.message
    assert "\n" not in caught.value.message


def test_key_of_another_certificate_is_refused(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """A certificate and a key that do not belong together are refused before a reload could."""
    with pytest.raises(TlsError, match="key"):
        nginx.check(binary, _written(binary, certificates, tmp_path, key=certificates / "vault.key"))


def test_missing_key_is_refused(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """A key that is not there is named."""
    with pytest.raises(TlsError, match=r"nowhere\.key"):
        nginx.check(binary, _written(binary, certificates, tmp_path, key=tmp_path / "nowhere.key"))


def test_not_nginx_is_refused() -> None:
    """Another program in nginx's place is told apart."""
    with pytest.raises(TlsError, match="does not answer like nginx"):
        nginx.inspect(Path("/bin/true"))
    with pytest.raises(TlsError, match="cannot be run"):
        nginx.inspect(Path("/nowhere/nginx"))
