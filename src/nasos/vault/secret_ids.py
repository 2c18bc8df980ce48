"""SecretIDs as the server keeps them: made with a note of where they go, superseded after a while, destroyed for good.

Rules: each one made here notes in its metadata the file it is kept in, so that only what this very file held is ever
destroyed; whatever others minted (another machine, a first delivery) is theirs. What is superseded is derived from
the server alone: older than the file's own and past its overlap, or newer, which only a killed run leaves behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from nasos.errors import SecretNotFound, VaultRefused
from nasos.secret import Secret
from nasos.vault.client import VaultApi
from nasos.vault.roles import TOKEN_MAX_TTL, Role

OVERLAP: Final = timedelta(seconds=15)
"""Old and new both work: every program reads the file at each login, and no login waits longer than 10 s."""

QUIET_OVERLAP: Final = timedelta(seconds=TOKEN_MAX_TTL)
"""Where nobody asked for a replacement: whoever logged in with the old one must have logged in again by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """One SecretID, without its value."""

    accessor: str
    created: datetime
    expires: datetime | None
    kept_in: str
    """Host and file, as noted when it was made; empty where somebody else made it."""
    overlap: timedelta
    """How long the one before it goes on working."""


class _Shown(msgspec.Struct):
    secret_id_accessor: str
    creation_time: datetime
    expiration_time: datetime
    metadata: dict[str, str] | None = None


def mint(api: VaultApi, token: Secret, role: Role, kept_in: str, overlap: timedelta) -> Secret:
    """Make a SecretID for the file ``kept_in``.

    Raises:
        VaultError: The server refused, or its answer was lost (what it may have made is destroyed by the next run).
    """
    note = {"kept_in": kept_in, "overlap": str(int(overlap.total_seconds()))}
    # The API takes the metadata as a string of JSON; audit logs and tokens show it in plain.
    body = {"metadata": msgspec.json.encode(note).decode()}
    return Secret(text(api.request("POST", f"{_path(role)}/secret-id", body, token=token), "secret_id"))


def look_up(api: VaultApi, token: Secret, role: Role, secret_id: Secret) -> Minted | None:
    """What the server knows of a SecretID; None: it does not take it (any more)."""
    answer = api.request("POST", f"{_path(role)}/secret-id/lookup", {"secret_id": secret_id}, token=token)
    return _minted(answer) if answer else None


def others(api: VaultApi, token: Secret, role: Role, current: Minted) -> tuple[Minted, ...]:
    """Every living SecretID of the role that was kept in the same file as ``current``."""
    try:
        known = api.request("LIST", f"{_path(role)}/secret-id", token=token).get("data")
    except SecretNotFound:
        return ()
    accessors = known.get("keys") if isinstance(known, Mapping) else None
    found = (_look_up(api, token, role, str(key)) for key in accessors or () if key != current.accessor)
    return tuple(minted for minted in found if minted is not None and minted.kept_in == current.kept_in)


def superseded(known: Iterable[Minted], current: Minted, now: datetime) -> tuple[str, ...]:
    """Accessors of those that may go: nobody can hold them any more."""
    over = current.created + current.overlap <= now
    return tuple(minted.accessor for minted in known if over or minted.created > current.created)


def destroy(api: VaultApi, token: Secret, role: Role, accessor: str) -> None:
    """End a SecretID, and prove that the server does not know it any more; one that is gone already is fine.

    Raises:
        VaultRefused: The server still knows it.
    """
    body = {"secret_id_accessor": accessor}
    if _look_up(api, token, role, accessor) is None:
        return
    api.request("POST", f"{_path(role)}/secret-id-accessor/destroy", body, token=token)
    if _look_up(api, token, role, accessor) is not None:
        raise VaultRefused(f"a SecretID of {role.full_name} still works after it was destroyed", "run it again")


def text(answer: Mapping[str, object], key: str) -> str:
    """A text in the data of an answer.

    Raises:
        VaultRefused: It is not there.
    """
    data = answer.get("data")
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise VaultRefused(f"the server's answer has no {key}", "check VAULT_ADDR")
    return value


def _look_up(api: VaultApi, token: Secret, role: Role, accessor: str) -> Minted | None:
    body = {"secret_id_accessor": accessor}
    try:
        answer = api.request("POST", f"{_path(role)}/secret-id-accessor/lookup", body, token=token)
    except SecretNotFound:
        return None
    return _minted(answer) if answer else None  # HashiCorp Vault says 204 for a SecretID that has just expired


def _minted(answer: Mapping[str, object]) -> Minted:
    try:
        shown = msgspec.convert(answer.get("data"), _Shown)
    except msgspec.ValidationError:
        raise VaultRefused("the server's answer about a SecretID cannot be understood", "check VAULT_ADDR") from None
    note = shown.metadata or {}
    seconds = note.get("overlap", "")
    return Minted(
        accessor=shown.secret_id_accessor,
        created=shown.creation_time,
        # Year 1 is Go's zero time: a SecretID that the operator made without an end.
        expires=shown.expiration_time if shown.expiration_time.year > 1 else None,
        kept_in=note.get("kept_in", ""),
        overlap=timedelta(seconds=int(seconds)) if seconds.isascii() and seconds.isdigit() else QUIET_OVERLAP,
    )


def _path(role: Role) -> str:
    return f"auth/approle/role/{role.full_name}"
