"""The edge's nginx: what this build can do, its configuration from one template, and a check before it is used.

Rules:

* One template (``templates/nginx.conf.template``) serves nginx 1.22 to 1.31; what differs is chosen by the version
  that the binary itself tells, never guessed.
* A value that could end a quoted word or start a variable in nginx's language is refused, not escaped.
* ``check`` asks the very binary that will run, as the user that will run it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from nasos.errors import TlsError
from nasos.settings import child_environment, child_identity
from nasos.tls import names, profile
from nasos.tls.development import BOT, GATEWAY

OLDEST: Final = (1, 22)
"""Debian 12's; older ones miss parts that the template uses (``ssl_reject_handshake`` is of 1.19.4)."""
HTTP2_DIRECTIVE: Final = (1, 25, 1)
"""``http2 on`` from here; a word of ``listen`` before."""
LOCAL_HSTS_SECONDS: Final = 3600
"""For hosts that are all local: HSTS holds for every port of a host, and a forgotten two-year rule for ``localhost``
would break other development servers there."""
BEHIND_CLOUDFLARE_SECONDS: Final = 300
CHECK_SECONDS: Final = 20.0

ONE_BOT: Final = "    #bot\n"
"""Around the server of one bot, in the template."""

NEEDED_MODULES: Final = ("http_ssl_module", "http_v2_module", "http_auth_request_module", "http_realip_module")


@dataclass(frozen=True, slots=True)
class NginxBuild:
    """What ``nginx -V`` says."""

    version: tuple[int, ...]
    openssl: tuple[int, ...]
    """The library it runs with."""
    modules: frozenset[str]
    """Names given with ``--with-...``, without that prefix."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Whom the edge asks who may pass."""

    port: int
    """Https on 127.0.0.1."""
    certificate: Path
    """What the edge shows there."""
    key: Path


@dataclass(frozen=True, slots=True)
class Cloudflare:
    """Who may speak to the edge when Cloudflare stands in front of it."""

    ranges: Sequence[str]
    """Cloudflare's own networks."""
    pulls: Path | None = None
    """The CA of its client certificate; None: it is not asked for one."""
    required: bool = False
    """Whether nobody gets in without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """One more bot behind the edge, under host names of its own."""

    hosts: Sequence[str]
    """DNS names; a handshake for an address names nobody."""
    address: str
    port: int
    """Of its API: https."""
    ca: Path
    """Who must have signed its certificate."""
    name: str
    """The name that its certificate must carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConfig:
    """What the edge listens on, and what stands behind it."""

    listen: str
    port: int
    hosts: Sequence[str]
    """Names and addresses that are answered; every other name is refused. With an address among them, clients that
    send no server name (they never do for an address) are answered too."""
    certificate: Path
    key: Path
    upstream_port: int
    """The bot's API, https on 127.0.0.1."""
    upstream_ca: Path
    """Who must have signed its certificate, and the gateway's."""
    directory: Path
    """nginx's own: pid file and temporary bodies."""
    page: Path
    """Directory of the status page and the error page."""
    gateway: Gateway | None = None
    """None: whoever has the bot's password may pass."""
    others: Sequence[Behind] = ()
    """Bots of other places; only with a gateway, which knows them by their host names."""
    cloudflare: Cloudflare | None = None
    """None: whoever reaches the port may speak to it."""
    frequi: bool = False
    """Whether ``/`` is the bot's own FreqUI instead of the status page."""
    log: Path | None = None
    """Directory of ``access.log`` and ``error.log``; ``directory`` when not given."""
    worker_user: str | None = None
    """The workers' user, when nginx itself is started as root."""

    @property
    def hsts_seconds(self) -> int:
        """The profile's two years for public names, one hour when all names are local.

        Behind Cloudflare it grows there, step by step: a longer one from here would run ahead of it.
        """
        if self.cloudflare is not None:
            return BEHIND_CLOUDFLARE_SECONDS
        if all(
            names.local(host)
            for host in names.hosts([*self.hosts, *(host for other in self.others for host in other.hosts)])
        ):
            return LOCAL_HSTS_SECONDS
        return profile.load().configuration.hsts_min_age


def inspect(binary: Path) -> NginxBuild:
    """Ask a binary for its version, its OpenSSL and its modules.

    Raises:
        TlsError: It does not run, is no nginx, is too old, or lacks a module that the template needs.
    """
    text = _run([str(binary), "-V"]).stderr
    version = re.search(r"^nginx version: \S+?/([\d.]+)", text, re.MULTILINE)
    if not version:
        raise TlsError(f"{binary} does not answer like nginx", f'"{binary} -V" shows what it is')
    # Debian prints both: "built with OpenSSL 3.0.22 ... (running with OpenSSL 3.0.19 ...)".
    openssl = re.search(r"running with OpenSSL ([\d.]+)", text) or re.search(r"built with OpenSSL ([\d.]+)", text)
    build = NginxBuild(
        version=_numbers(version[1]),
        openssl=_numbers(openssl[1]) if openssl else (),
        modules=frozenset(re.findall(r"--with-(\w+_module)", text)),
    )
    if build.version < OLDEST:
        raise TlsError(f"nginx {version[1]} is too old", "use 1.22 or newer")
    missing = [name for name in NEEDED_MODULES if name not in build.modules]
    if missing:
        raise TlsError(f"{binary} was built without {' and '.join(missing)}", "use another build of nginx")
    return build


def render(config: EdgeConfig, build: NginxBuild) -> str:
    """The configuration of the edge for this build.

    Raises:
        TlsError: A path cannot stand in nginx's language.
        NameRefused: A host is neither name nor address.
    """
    flags = {
        "worker_user": config.worker_user is not None,
        "ticket_keys_stay": build.version < (1, 23, 2),
        "http2_directive": build.version >= HTTP2_DIRECTIVE,
        "frequi": config.frequi,
        "gateway": config.gateway is not None,
        "cloudflare": config.cloudflare is not None,
        "pulls": config.cloudflare is not None and config.cloudflare.pulls is not None,
        "pulls_required": config.cloudflare is not None and config.cloudflare.required,
    }
    values = _places(config) | _addresses(config, build) | _tls(config, build) | _cloudflare(config.cloudflare)
    before, server, after = template().split(ONE_BOT)
    bots = list(_bots(config))
    places = [bot["upstream"] for bot in bots]
    if len(set(places)) < len(places):
        # nginx keeps one TLS session per place, and whoever resumes it is not verified again (measured).
        raise TlsError("two bots have the same address and port", "address and port under [gateway.bots]")
    servers = (fill(server, values | bot, flags) for bot in bots)
    return "".join([fill(before, values, flags), *servers, fill(after, values, flags)])


def _cloudflare(cloudflare: Cloudflare | None) -> dict[str, str]:
    networks = [str(ip_network(text)) for text in cloudflare.ranges] if cloudflare else []
    return {
        "real_ip_from": "\n".join(f"    set_real_ip_from {network};" for network in networks),
        "from_cloudflare": "\n".join(f"        {network} 1;" for network in networks),
        "pulls": _path(cloudflare.pulls) if cloudflare and cloudflare.pulls else "",
    }


def _bots(config: EdgeConfig) -> Iterator[dict[str, str]]:
    """What differs from bot to bot: under which names, and where it is; the stack's own is the first."""
    hosts = names.hosts(config.hosts)
    yield {
        "edge_default": " default_server" if _by_address(hosts) else "",
        "server_names": _server_names(hosts),
        "upstream": f"127.0.0.1:{config.upstream_port}",
        "bot_ca": _path(config.upstream_ca),
        "bot_name": BOT,
    }
    for other in config.others:
        hosts, place = names.hosts(other.hosts), names.host(other.address)
        if _by_address(hosts) or config.gateway is None:
            raise TlsError(f"{other.hosts[0]} cannot lead to another bot", "hosts under [gateway.bots] are DNS names")
        yield {
            "edge_default": "",
            "server_names": _server_names(hosts),
            "upstream": f"[{place}]:{other.port}" if ":" in str(place) else f"{place}:{other.port}",
            "bot_ca": _path(other.ca),
            "bot_name": str(names.host(other.name)),
        }


def _by_address(hosts: Sequence[names.Host]) -> bool:
    return any(not isinstance(host, str) for host in hosts)


def _server_names(hosts: Sequence[names.Host]) -> str:
    return " ".join(f"[{host}]" if ":" in str(host) else str(host) for host in hosts)


def _places(config: EdgeConfig) -> dict[str, str]:
    return {
        "worker_user": _word(config.worker_user or ""),
        "directory": _path(config.directory),
        "log": _path(config.log or config.directory),
        "page": _path(config.page),
        "certificate": _path(config.certificate),
        "key": _path(config.key),
        "gateway_ca": _path(config.upstream_ca),
        "gateway_certificate": _path(config.gateway.certificate) if config.gateway else "",
        "gateway_key": _path(config.gateway.key) if config.gateway else "",
    }


def _addresses(config: EdgeConfig, build: NginxBuild) -> dict[str, str]:
    return {
        "listen": _listen(config.listen, config.port),
        "http2_listen": "" if build.version >= HTTP2_DIRECTIVE else " http2",
        # A handshake without a name falls to the default server: ours, if an address is among its names.
        "reject_default": "" if _by_address(names.hosts(config.hosts)) else " default_server",
        "gateway_name": GATEWAY,
        "gateway_port": str(config.gateway.port) if config.gateway else "",
    }


def _tls(config: EdgeConfig, build: NginxBuild) -> dict[str, str]:
    tls = profile.load()
    return {
        "hsts_seconds": str(config.hsts_seconds),
        "profile": f"{tls.provenance.name} {tls.provenance.version}, {tls.provenance.source}",
        "protocols": " ".join(tls.configuration.tls_versions),
        "ciphers": ":".join(tls.configuration.ciphers.openssl),
        "ciphersuites": ":".join(tls.configuration.ciphersuites),
        "groups": ":".join(tls.groups(build.openssl)),
        "prefer_server_ciphers": "on" if tls.configuration.server_preferred_order else "off",
    }


def template() -> str:
    """The shipped template."""
    return (resources.files("nasos.tls") / "templates" / "nginx.conf.template").read_text(encoding="utf-8")


def fill(text: str, values: Mapping[str, str], flags: Mapping[str, bool]) -> str:
    """``text`` with the lines that ``flags`` choose and with every ``@name@`` replaced."""
    chosen: list[str] = []
    shown = [True]
    for line in text.splitlines():
        if line.startswith("#if "):
            shown.append(flags[line.removeprefix("#if ")])
        elif line == "#else":
            shown[-1] = not shown[-1]
        elif line == "#end":
            shown.pop()
        elif all(shown):
            chosen.append(re.sub(r"@([a-z0-9_]+)@", lambda match: values[match[1]], line))
    return "\n".join(chosen) + "\n"


def check(binary: Path, conf: Path) -> None:
    """Let nginx test a configuration: syntax, certificate, key, ports' form, paths.

    As root it runs as the owner of the configuration's directory, so that the log files that it opens are not root's.

    Raises:
        TlsError: nginx refuses it; the first reason is named.
    """
    done = _run([str(binary), "-t", "-q", "-p", f"{conf.parent}/", "-c", str(conf), "-e", "stderr"], conf.parent)
    if done.returncode:
        reasons = re.findall(r"\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.+)", done.stderr)
        reason = reasons[0] if reasons else f"exit code {done.returncode}"
        raise TlsError(f"nginx refuses {conf}: {reason[:1].lower()}{reason[1:]}", f"{binary} -t -c {conf}")


def _run(command: Sequence[str], owned: Path | None = None) -> subprocess.CompletedProcess[str]:
    user = owned.stat().st_uid if owned is not None and os.geteuid() == 0 else None
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=CHECK_SECONDS,
            env=child_environment(), **child_identity(user),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TlsError(f"{command[0]} did not answer in {CHECK_SECONDS:.0f} s") from None
    except OSError as error:
        reason = (error.strerror or "it cannot be started").lower()
        raise TlsError(f"{command[0]} cannot be run: {reason}", f'"ls -l {command[0]}" shows it') from None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part)


def _listen(address: str, port: int) -> str:
    host = names.host(address)
    if isinstance(host, str):
        raise TlsError(f"{address!r} is not an address to listen on", 'listen = "127.0.0.1" under [stack]')
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"


def _path(path: Path) -> str:
    text = str(path.absolute())
    if re.search(r'["\\$\x00-\x1f]', text):
        raise TlsError(f"{text!r} has characters that nginx would read as its own", "choose another directory")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", text):
        raise TlsError(f"{text!r} is not a user name")
    return text
