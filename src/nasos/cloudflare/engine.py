"""The containers of a Docker Engine, over its unix socket or a read-only proxy's (`docker_view`).

Rules: two questions, ``GET /containers/json`` and ``GET /events``, without a version in the path: every Engine answers
them, and what we use of the answer has not changed since 2015. Events are never read: an Engine forgets them after 256,
after a restart and while nobody listens, so that anything on the stream, its end too, only means: look. The stream is
opened before the look, so that nothing happens unseen in between. Stopped containers are asked for too, because an
answer without any container is not believed.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec

from nasos.cloudflare.labels import Container
from nasos.cloudflare.stop import Stop
from nasos.errors import ContainersUnknown

SOCKET: Final = Path("/var/run/docker.sock")
SECONDS: Final = 10.0
"""For one answer."""
LARGEST: Final = 64 << 20
"""Bytes of a list; a thousand containers have about 2 MB."""
ALIVE: Final = frozenset({"running", "paused", "restarting"})
HINTS: Final = {"type": ["container"], "event": ["start", "die", "destroy", "rename"]}
"""Not ``exec_*`` and ``health_status``: they change nothing for us and come every few seconds."""
LIST: Final = "/containers/json?all=1"
EVENTS: Final = "/events?" + urlencode({"filters": json.dumps(HINTS)})


class Listed(msgspec.Struct, frozen=True):
    """What we use of one entry of a list."""

    id: str = msgspec.field(name="Id")
    state: str = msgspec.field(name="State")
    names: tuple[str, ...] | None = msgspec.field(name="Names", default=None)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)

    @property
    def container(self) -> Container:
        """Under its own name; links of other containers to it are names with two slashes."""
        own = [name.removeprefix("/") for name in self.names or () if name.count("/") == 1]
        return Container(own[0] if own else self.id[:12], self.labels or {})


class Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, seconds: float | None = SECONDS) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Engine:
    """One Docker Engine."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path
        self._events: tuple[Local, http.client.HTTPResponse, socket.socket] | None = None

    @property
    def name(self) -> str:
        """Its socket."""
        return f"unix://{self._path}"

    def look(self) -> tuple[Container, ...]:
        """Containers that run, are paused, or are being restarted."""
        self._listen()
        connection = Local(self._path)
        try:
            connection.request("GET", LIST)
            answer = connection.getresponse()
            content = answer.read(LARGEST + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._unknown(error) from None
        finally:
            connection.close()
        if answer.status != 200 or len(content) > LARGEST:
            raise self._odd(answer.status)
        return tuple(each.container for each in self._listed(content) if each.state in ALIVE)

    def hinted(self, seconds: float, stop: Stop) -> bool:
        """Anything on the stream of events; when it ends, the next look says why."""
        if self._events is None:
            return bool(stop.first(seconds))
        stream = self._events[2]
        if not stop.first(seconds, stream):
            return False
        try:
            alive = bool(stream.recv(1 << 16))
        except OSError:
            alive = False
        if not alive:
            self.close()
        return True

    def close(self) -> None:
        """End the stream of events."""
        if self._events is not None:
            connection, answer, stream = self._events
            self._events = None
            answer.close()
            connection.close()
            stream.close()

    def _listen(self) -> None:
        if self._events is not None:
            return
        connection = Local(self._path)
        try:
            connection.connect()
            stream = connection.sock.dup()  # http.client closes its own whenever it thinks that nothing more comes
            connection.request("GET", EVENTS)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unknown(error) from None
        self._events = (connection, answer, stream)
        if answer.status != 200:
            self.close()
            raise self._odd(answer.status)

    def _listed(self, content: bytes) -> tuple[Listed, ...]:
        try:
            found = msgspec.json.decode(content, type=tuple[Listed, ...])
        except (msgspec.MsgspecError, RecursionError):
            raise self._odd(200) from None
        if not found:
            raise ContainersUnknown(
                f"{self.name} shows no container at all, not even a stopped one: nothing is removed for that",
                "is it the right Engine? to remove everything: nasos cloudflare apply --prune --compose FILE",
            )
        return found

    def _odd(self, status: int) -> ContainersUnknown:
        return ContainersUnknown(
            f"what answers at {self.name} does not answer like a Docker Engine ({status})",
            "a proxy has to let GET /containers/json and GET /events through",
        )

    def _unknown(self, error: Exception) -> ContainersUnknown:
        why = (getattr(error, "strerror", None) or type(error).__name__).lower()
        hint = "docker info"
        if isinstance(error, PermissionError):
            hint = "who may open that socket is root: give it the read-only view of docs/cloudflare.md"
        return ContainersUnknown(f"the Docker Engine at {self.name} does not answer: {why}", hint)
