"""The configuration of the embedded server, and its unseal key.

Rules: TLS from the first second; loopback only; two audit devices, because a server with one stops serving when that
one cannot be written; the unseal key is made once, is never overwritten, and lies outside the state directory.

Left out on purpose: ``consistency_missing_header_forward``. On a sealed node it answers 503 to every request without
a consistency header, also to ``sys/init``, ``sys/unseal`` and ``sys/seal-status`` (measured, OpenBao 2.7.2), and one
node has no standby that could be stale.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nasos.errors import FileRefused
from nasos.files import atomic_write, fsync_directory, private_directory, read_private, refused

UNSEAL_KEY_BYTES: Final = 32
"""AES-256, as ``seal "static"`` asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What differs between one embedded server and the next."""

    port: int
    cluster_port: int = 0
    """Raft's own listener; 0 lets the kernel choose, which is enough for one node."""
    data_dir: Path
    """Raft storage; exists, private to the server's user."""
    tls_cert: Path
    tls_key: Path
    audit_files: tuple[Path, Path]
    """The two logs; their directories exist (the server would make them with the file's mode)."""
    second_device: str = "second"
    """Name of the second device; another one for another path: a server whose device of the same name has moved never
    becomes active (measured, OpenBao 2.7.2)."""
    unseal_key: Path | None
    """Key file of the static seal; None: Shamir, a person unseals after each start."""
    key_id: str = "1"
    """What the server calls that key: it looks data's key up by this name."""
    previous_key: Path | None = None
    """The key before it, which data may still be under; opened with it, data goes over to the new one."""
    previous_key_id: str = "0"
    root_from_shares: bool = False
    """Whether key shares may make a root token: for the minutes of a recovery only, on a port that nobody knows."""
    node_id: str = "nasos"
    max_request_size: int = 2 << 20
    """Bytes; a secret of 1 MiB grows under JSON, and raft itself refuses entries that are larger."""


def render_config(config: ServerConfig) -> str:
    """The HCL text.

    Raises:
        FileRefused: A path cannot be written down in HCL without changing its meaning.
    """
    return _TEMPLATE.format(
        data=_quoted(config.data_dir),
        node_id=config.node_id,
        port=config.port,
        cluster_port=config.cluster_port,
        certificate=_quoted(config.tls_cert),
        key=_quoted(config.tls_key),
        max_request_size=config.max_request_size,
        seal=_seal(config),
        root_from_shares=_ROOT_FROM_SHARES if config.root_from_shares else "",
        audit_primary=_quoted(config.audit_files[0]),
        second_device=config.second_device,
        audit_second=_quoted(config.audit_files[1]),
    )


def key_id(key: bytes) -> str:
    """The name of a key, derived from it, so that no file has to remember which is which."""
    return hashlib.sha256(b"nasos unseal key\0" + key).hexdigest()[:16]


def _seal(config: ServerConfig) -> str:
    if config.unseal_key is None:
        return "# No seal stanza: Shamir. A person gives the key shares after each start."
    lines = [f'current_key_id = "{config.key_id}"', f"current_key = {_quoted(config.unseal_key, 'file://')}"]
    if config.previous_key is not None:
        lines += [
            f'previous_key_id = "{config.previous_key_id}"',
            f"previous_key = {_quoted(config.previous_key, 'file://')}",
        ]
    return 'seal "static" {\n' + "".join(f"  {line}\n" for line in lines) + "}"


def _quoted(path: Path, scheme: str = "") -> str:
    text = str(path)
    if not text.isprintable() or any(sign in text for sign in '"\\$%'):
        raise FileRefused(
            f"{text!r} cannot stand in the server's configuration", "choose a path without quotes, $ and %"
        )
    return f'"{scheme}{text}"'


def make_unseal_key(path: Path, owner: int | None = None) -> bool:
    """Make sure that ``path`` holds an unseal key; True when it was made now. An existing key is never replaced.

    Raises:
        FileRefused: What is there is no private file of 32 bytes, or the key cannot be written.
    """
    if path.exists():
        _require_key(path, owner)
        return False
    private_directory(path.parent, owner)
    new = path.with_name(f".{path.name}.new")
    atomic_write(new, secrets.token_bytes(UNSEAL_KEY_BYTES), owner=owner)
    try:
        # A link, unlike a rename, fails when somebody else made the key in between.
        os.link(new, path)
    except FileExistsError:
        _require_key(path, owner)
        return False
    except OSError as error:
        raise refused(path, error) from None
    finally:
        new.unlink(missing_ok=True)
        fsync_directory(path.parent)
    return True


def _require_key(path: Path, owner: int | None) -> None:
    if len(read_private(path, owner=owner)) != UNSEAL_KEY_BYTES:
        raise FileRefused(
            f"{path} is not an unseal key of {UNSEAL_KEY_BYTES} bytes",
            "restore it from your backup: without it nothing in this vault can be read again",
        )


_ROOT_FROM_SHARES: Final = "  disable_unauthed_generate_root_endpoints = false\n"

_TEMPLATE: Final = """\
# Written by nasos at each start; docs/vault.md explains every line.
ui           = false
api_addr     = "https://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"

storage "raft" {{
  path                   = {data}
  node_id                = "{node_id}"
  performance_multiplier = 1
}}

listener "tcp" {{
  address          = "127.0.0.1:{port}"
  cluster_address  = "127.0.0.1:{cluster_port}"
  tls_cert_file    = {certificate}
  tls_key_file     = {key}
  tls_min_version  = "tls13"
  tls_auto_reload  = true
  max_request_size = {max_request_size}
{root_from_shares}}}

{seal}

audit "file" "primary" {{
  options {{
    file_path     = {audit_primary}
    mode          = "0600"
    hmac_accessor = "false"
  }}
}}

audit "file" "{second_device}" {{
  options {{
    file_path            = {audit_second}
    mode                 = "0600"
    hmac_accessor        = "false"
    elide_list_responses = "true"
  }}
}}

telemetry {{
  prometheus_retention_time = "1h"
  disable_hostname          = true
}}
"""
