"""nginx's configuration for this stack, and which user interface stands behind it."""

from __future__ import annotations

from pathlib import Path

from nasos.files import atomic_write
from nasos.settings import Settings
from nasos.stack.binaries import find
from nasos.stack.home import Home, Ports
from nasos.tls import nginx


def user_interface(settings: Settings) -> str:
    """``FreqUI`` where the operator installed it into the bot's environment, else our own status page."""
    return "FreqUI" if _frequi(settings) else "status page; FreqUI: .venv-bot/bin/freqtrade install-ui"


def _frequi(settings: Settings) -> bool:
    packages = (settings.bot_python().parent.parent / "lib").glob("python3*/site-packages")
    return any((package / "freqtrade/rpc/api_server/ui/installed/index.html").is_file() for package in packages)


def write_configuration(home: Home, settings: Settings, ports: Ports) -> None:
    """Write ``nginx.conf`` and refuse it here if nginx would."""
    directory, binary = home.root / "nginx", find("nginx")
    config = nginx.EdgeConfig(
        listen=settings.stack.listen,
        port=ports.https,
        hosts=settings.tls.hosts,
        certificate=home.tls / "edge.pem",
        key=home.tls / "edge.key",
        upstream_port=ports.bot,
        directory=directory,
        page=Path(__file__).parent / "page",
        frequi=_frequi(settings),
    )
    path = directory / "nginx.conf"
    content = nginx.render(config, nginx.inspect(binary)).encode()
    if not path.exists() or path.read_bytes() != content:
        atomic_write(path, content, owner=home.users.uid("nginx"))
    nginx.check(binary, path)
