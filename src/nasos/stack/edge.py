"""nginx's configuration for this stack, and which user interface stands behind it."""

from __future__ import annotations

from pathlib import Path

from nasos.files import atomic_write
from nasos.gateway.config import Bot, Config
from nasos.settings import Settings
from nasos.stack.binaries import find
from nasos.stack.home import Home
from nasos.stack.origin.memory import front
from nasos.stack.ports import Ports
from nasos.tls import edge_hosts, nginx
from nasos.tls.development import NGINX
from nasos.tls.trust import edge_files


def user_interface(settings: Settings) -> str:
    """``FreqUI`` where the operator installed it into the bot's environment, else our own status page."""
    return "FreqUI" if _frequi(settings) else "status page; FreqUI: .venv-bot/bin/freqtrade install-ui"


def _frequi(settings: Settings) -> bool:
    packages = (settings.bot_python().parent.parent / "lib").glob("python3*/site-packages")
    return any((package / "freqtrade/rpc/api_server/ui/installed/index.html").is_file() for package in packages)


def front_door(home: Home, settings: Settings, ports: Ports) -> Config:
    """What the gateway of this stack is told."""
    # With a user of its own it could forge what the operator's ledger says of others.
    ledger = home.run("gateway") / "events.jsonl" if home.users.separate else home.ledger
    return Config(
        port=ports.gateway,
        tls=home.tls,
        client=NGINX,
        vault=f"https://127.0.0.1:{ports.vault}",
        credential=home.credentials / "gateway.json",
        database=home.root / "gateway" / "sessions.db",
        ledger=ledger,
        bots=(
            Bot(name=settings.bot.name, port=ports.bot, hosts=_own_hosts(settings)),
            *(
                Bot(
                    name=name,
                    port=bot.port,
                    hosts=tuple(map(str.lower, bot.hosts)),
                    address=bot.address,
                    ca=Path(bot.ca_file),
                    shown=bot.shown,
                )
                for name, bot in sorted(settings.gateway.bots.items())
            ),
        ),
    )


def _own_hosts(settings: Settings) -> tuple[str, ...]:
    """What leads to the stack's own bot: all names of the edge that lead to no other one."""
    return edge_hosts(settings.gateway.own_hosts(settings.tls.hosts))


def write_configuration(home: Home, settings: Settings, ports: Ports) -> bool:
    """Write ``nginx.conf``, if nginx accepts it; return whether it is another than before.

    Raises:
        TlsError: nginx refuses it; the old file stands.
    """
    directory, binary = home.root / "nginx", find("nginx")
    certificate, key = edge_files(home.tls, settings.tls)
    config = nginx.EdgeConfig(
        listen=settings.stack.listen,
        port=ports.https,
        hosts=_own_hosts(settings),
        certificate=certificate,
        key=key,
        upstream_port=ports.bot,
        upstream_ca=home.tls / "ca.pem",
        directory=directory,
        page=Path(__file__).parent / "page",
        gateway=nginx.Gateway(ports.gateway, home.tls / "nginx.pem", home.tls / "nginx.key"),
        frequi=_frequi(settings),
        others=[
            nginx.Behind(hosts=bot.hosts, address=bot.address, port=bot.port, ca=Path(bot.ca_file), name=bot.shown)
            for _, bot in sorted(settings.gateway.bots.items())
        ],
        cloudflare=front(home) if settings.tls.mode == "cloudflare" else None,
    )
    path, candidate = directory / "nginx.conf", directory / "nginx.conf.new"
    content = nginx.render(config, nginx.inspect(binary)).encode()
    if path.exists() and path.read_bytes() == content:
        return False
    # The last good file stays until nginx has accepted the new one.
    atomic_write(candidate, content, owner=home.users.uid("nginx"))
    nginx.check(binary, candidate)
    candidate.replace(path)
    return True
