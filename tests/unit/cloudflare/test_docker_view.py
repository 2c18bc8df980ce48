"""Where the view of a Docker Engine listens; what it shows is tested beside a real Engine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nasos.cloudflare.docker_view import View
from nasos.errors import StackError


def test_a_socket_left_over_is_replaced(tmp_path: Path) -> None:
    """A view that was killed leaves one; only its owner may open the new one."""
    path = tmp_path / "view.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    with View(path, tmp_path / "docker.sock"):
        assert path.is_socket()
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_socket_is_kept(tmp_path: Path) -> None:
    """A file that was named by mistake is not removed."""
    path = tmp_path / "precious"
    path.write_text("a trade database")
    with pytest.raises(StackError, match="cannot listen"):
        View(path, tmp_path / "docker.sock")
    assert path.read_text() == "a trade database"
