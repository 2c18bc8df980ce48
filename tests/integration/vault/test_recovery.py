"""The recovery key opens what docs/vault.md says it opens, the way it says, and nothing without that."""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec
import pytest

from fixtures.vault import Server
from nasos.errors import VaultError
from nasos.secret import Secret
from nasos.vault import system

OPTION = "  disable_unauthed_generate_root_endpoints = false\n"


class Attempt(msgspec.Struct):
    """``sys/generate-root``."""

    nonce: str
    otp: str = ""
    encoded_token: str = ""


def with_option(server: Server) -> None:
    """Restart with the temporary option of docs/vault.md."""
    config = server.home / "vault" / "config.hcl"
    text = config.read_text()
    config.write_text(text.replace("  tls_min_version", f"{OPTION}  tls_min_version"))
    server.stop()
    server.start()
    system.wait_active(server.api, 30)


def test_the_recovery_key_makes_a_root_token(new_server: Callable[..., Server]) -> None:
    """Operator credential lost: with the option and the recovery key a root token is made, and bootstrap mends all."""
    server = new_server()
    server.bootstrap()
    [key] = msgspec.json.decode(server.files.recovery.read_bytes())["keys"]
    (server.files.credentials / "operator.json").unlink()
    with pytest.raises(VaultError):
        server.api.request("PUT", "sys/generate-root/attempt", {})

    with_option(server)
    begun = msgspec.convert(server.api.request("PUT", "sys/generate-root/attempt", {}), Attempt)
    body = {"key": Secret(key), "nonce": begun.nonce}
    ended = msgspec.convert(server.api.request("PUT", "sys/generate-root/update", body), Attempt)
    encoded = base64.b64decode(ended.encoded_token + "=" * (-len(ended.encoded_token) % 4))
    root = Secret(bytes(a ^ b for a, b in zip(encoded, begun.otp.encode(), strict=True)).decode())

    assert "write credentials/operator.json (missing)" in server.bootstrap(token=root).steps
    assert server.bootstrap().steps == ()
