"""One token, tried: what its task needs, and what it should be refused; only questions, never a change."""

from __future__ import annotations

from nasos.cloudflare.answers import TokenState, Zone
from nasos.cloudflare.client import VERIFY, Client
from nasos.cloudflare.permissions import Excess, Held, Permission, Task, edit_missing, foreign
from nasos.cloudflare.site import named
from nasos.errors import ApiTokenRefused, CloudflareRefused, PermissionMissing
from nasos.settings import CloudflareSettings


def held(client: Client, settings: CloudflareSettings, task: Task, place: str) -> Held:
    """Whether the token can do its task.

    Raises:
        CloudflareError: It cannot be told.
    """
    try:
        zones = named(client, settings)
    except (ApiTokenRefused, PermissionMissing) as error:
        return Held(task=task, place=place, error=error.message)
    lacks = tuple(f"{name} for {zone.name}" for zone in zones for name in _lacking(client, zone, task))
    return Held(task=task, place=place, state=_state(client, zones[0]), lacks=lacks)


def excess(client: Client, settings: CloudflareSettings, task: Task, place: str) -> Excess:
    """What the token may beside its task.

    Raises:
        CloudflareError: It cannot be told.
    """
    zones = named(client, settings)
    found = tuple(
        each
        for each in task.beside
        if any(_may(client, zone, each) for zone in (zones if each.of_zone else zones[:1]))
    )  # fmt: skip
    seen = client.every("/zones", Zone, 50) if client.permitted("/zones") else ()
    return Excess(task=task, place=place, permissions=found, zones=foreign(seen, zones))


def _lacking(client: Client, zone: Zone, task: Task) -> list[str]:
    needs = task.needs_in(zone)
    unread = [each for each in needs if not _may(client, zone, each)]
    readable = [each for each in needs if each not in unread]
    return [f"{each.name} · Edit" for each in unread] + [*edit_missing(zone, readable)]


def _may(client: Client, zone: Zone, permission: Permission) -> bool:
    path = permission.path.format(zone=zone.id, account=zone.account.id)
    try:
        return client.permitted(path)
    except CloudflareRefused as error:
        raise CloudflareRefused(f"whether a token has {permission.name} cannot be told: {error.message}") from None


def _state(client: Client, zone: Zone) -> TokenState | None:
    try:
        return client.verify()
    except ApiTokenRefused:  # an account's own token
        path = f"/accounts/{zone.account.id}{VERIFY.removeprefix('/user')}"
        return client.read(path, TokenState) if zone.account.id and client.permitted(path) else None
