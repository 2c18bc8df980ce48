"""``up`` and ``down``: the order in which a stack comes to life and ends.

Rules: every step first asks whether it is done, so that ``up`` after a crash, a kill or a reboot goes on where things
stand, and ``up`` on a healthy stack changes nothing. One ``up`` at a time. The bot starts only when Vault and database
are proven healthy; it stops before them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from nasos.errors import Error, StackError, VaultSealed
from nasos.files import ExclusiveLock, private_directory
from nasos.settings import Settings
from nasos.stack import health, postgres
from nasos.stack.backup.staging import Staging
from nasos.stack.bootstrap import bootstrap_embedded
from nasos.stack.configuration import (
    ensure_api_secret,
    require_platform,
    write_app_environment,
    write_before_start,
    write_bot_configuration,
)
from nasos.stack.edge import write_configuration
from nasos.stack.embedded import Stack
from nasos.stack.exposed import require_private
from nasos.stack.home import Home
from nasos.stack.log import Log
from nasos.stack.ports import require_free
from nasos.stack.programs import STOP_ORDER, bot_of, programs, wanted
from nasos.stack.rotation.gateway import ensure_signing_keys
from nasos.stack.seal import memory
from nasos.stack.seal.keys import keys
from nasos.stack.seal.opening import make_ready
from nasos.stack.seal.wrapping import Ask
from nasos.stack.supervisor import Learned, Supervisor
from nasos.stack.users import Users
from nasos.stack.watch import Watch
from nasos.vault import VaultClient
from nasos.vault.client import VaultApi

START_SECONDS: Final = {"vault": 30.0, "exchange": 15.0, "postgres": 30.0, "bot": 90.0, "gateway": 30.0, "nginx": 15.0,
                        "housekeeping": 15.0, "watcher": 15.0, "rotator": 60.0, "companion": 60.0}  # fmt: skip
"""How long each may take to be healthy: ten times what was measured on a busy two-core machine."""

Say = Callable[[str, float], None]
"""Told each finished step and its seconds."""


def up(settings: Settings, port: int | None, say: Say, ask: Ask) -> Stack:
    """Bring the stack to life, or whatever of it is not running; ``ask`` is used where the unseal key has a passphrase.

    Raises:
        AlreadyRunning: Another ``up`` or ``down`` is under way.
        Error: A step failed; what is done stays done, and ``up`` goes on from there.
    """
    require_platform(settings)
    users = Users.of_this_process()
    Staging(settings.home, users).end_unfinished()
    made = users.ensure()
    home = Home(settings.home, users)
    private_directory(home.root, mode=0o711 if users.separate else 0o700)
    with ExclusiveLock(home.root / "up.lock", "nasos up"):
        if made:
            say(f"created the services' users: {', '.join(made)}", 0.0)
        home.prepare(settings.bot.name)
        require_private(home)
        stack = _settled(settings, home, port)
        make_ready(stack, ask, lambda text: say(text, 0.0))
        with step(say, "state directory, certificates and configuration"):
            write_before_start(stack)
            memory.forget_unused(stack)
        learned = _start_supervisor(stack, say)
        _bring_up(stack, learned, say)
        stack.ledger().append("stack.up", stack.record.id, detail={"https": str(stack.ports.https)})
    return stack


def _settled(settings: Settings, home: Home, port: int | None) -> Stack:
    old = home.record()
    supervisor = Supervisor(home)
    wanted_port = port or settings.port
    if old and wanted_port and wanted_port != old.ports.https and supervisor.running():
        raise StackError(f"the stack runs on port {old.ports.https}", "./nasos down, then ./nasos up --port again")
    return Stack(settings, home, home.settle(settings, port), supervisor)


def _start_supervisor(stack: Stack, say: Say) -> Learned:
    """Nothing of the stack is stopped here, except what is as well at any time."""
    every = programs(stack.home, stack.settings, stack.ports)
    if stack.supervisor.running():
        learned = stack.supervisor.learn(every)
        for name in learned.stale:
            if name in ("housekeeping", "watcher", "rotator", "gateway", "companion"):
                stack.supervisor.renew(name)
            elif name != "bot":
                say(f"! {name} is started in another way now: ./nasos restart {name}", 0.0)
        return learned
    ended = stack.supervisor.end_orphans()
    if ended:
        say(f"ended what an earlier run had left: {', '.join(ended)}", 0.0)
    require_free(stack.ports, stack.settings.stack.listen, wanted(stack.settings))
    with step(say, "supervisor"):
        stack.supervisor.start(every)
    return Learned({}, ())


def _bring_up(stack: Stack, learned: Learned, say: Say) -> None:
    names = wanted(stack.settings)
    with step(say, "Vault: TLS, unsealed, bootstrapped, audited read proven"):
        # Housekeeping first: on a full disk it gives the ballast up. The market needs nothing of Vault meanwhile.
        # The watcher before it: it records what the others do.
        for name in ("watcher", "housekeeping"):
            stack.supervisor.launch(name)
        stack.supervisor.launch("vault")
        if "exchange" in names:
            stack.supervisor.launch("exchange")
        _bootstrap(stack, say)
        write_app_environment(stack)
        vault = stack.vault("rotator")
        probes = stack.probes(vault)
        _wait(stack, "vault", probes["vault"])
        if "companion" in names:  # nobody waits for it: Cloudflare may be away
            stack.supervisor.launch("companion")
    with step(say, "PostgreSQL: TLS and SCRAM only, login proven"):
        _bring_up_database(stack, vault, probes["postgres"])
        ensure_signing_keys(vault)
        _finish_rotations(stack, vault, say)
    with step(say, "bot: its secrets in memory only, API login proven"):
        if "exchange" in names:
            _wait(stack, "exchange", probes["exchange"])
        ensure_api_secret(vault, stack.settings.bot.name)
        _launch_bot(stack, probes["bot"], learned, say)
        for name in learned.gone:
            stack.supervisor.forget(name)
            say(f"{name} is not needed any more and was stopped", 0.0)
        stack.supervisor.launch("gateway")
        # nginx needs the bot's answer only for its own proof.
        changed = write_configuration(stack.home, stack.settings, stack.ports)
        if not stack.supervisor.launch("nginx") and changed:
            stack.supervisor.signal("nginx", signal.SIGHUP)
        _wait(stack, "bot", probes["bot"])
        _wait(stack, "gateway", probes["gateway"])
    with step(say, "nginx: HTTPS request proven"):
        _wait(stack, "nginx", probes["nginx"])
        if "rotator" in names:
            stack.supervisor.launch("rotator")
        for name in {"housekeeping", "watcher", "rotator"} & set(names):
            _wait(stack, name, probes[name])


def _launch_bot(stack: Stack, probe: health.Probe, learned: Learned, say: Say) -> None:
    changed, pid = write_bot_configuration(stack), learned.stale.get("bot")
    name = stack.settings.bot.name
    if pid and (before := bot_of(pid)) != name:
        say(f'! the bot "{before or "?"}" is stopped: the stack\'s bot is "{name}" now', 0.0)
        stack.supervisor.renew("bot")
    if stack.supervisor.launch("bot") or not (changed or pid):
        return
    if health.look("bot", probe).healthy:
        # A trading bot is restarted by its operator, not by a change of a file.
        say("! the bot's configuration is another one now: ./nasos restart bot", 0.0)
    else:
        stack.supervisor.renew("bot")
        stack.supervisor.launch("bot")


def _bootstrap(stack: Stack, say: Say) -> None:
    try:
        bootstrap_embedded(stack, lambda api: _wait_answering(stack, api), lambda text: say(f"! {text}", 0.0))
    except VaultSealed:
        raise VaultSealed(
            "vault is sealed: it waits for a person with the key shares; what runs already runs on",
            "./nasos vault unseal, then ./nasos up",
        ) from None


def _wait_answering(stack: Stack, api: VaultApi) -> None:
    def answers() -> str:
        api.request("GET", "sys/seal-status")
        return "answers"

    _wait(stack, "vault", answers)


def _bring_up_database(stack: Stack, vault: VaultClient, probe: health.Probe) -> None:
    admin, name = postgres.admin_login(vault), stack.settings.bot.name
    login = postgres.bot_login(vault, name)
    postgres.initialize(stack.database, admin)
    changed = postgres.configure(stack.database, stack.home.tls)
    if not stack.supervisor.launch("postgres") and changed:
        stack.supervisor.signal("postgres", signal.SIGHUP)
    _wait(stack, "postgres", health.postgres(stack.database, admin))
    for change in postgres.provision(stack.database, admin, name, login):
        stack.ledger().append("postgres.provision", change)
    _wait(stack, "postgres", probe)


def _finish_rotations(stack: Stack, vault: VaultClient, say: Say) -> None:
    """What a killed rotator left; a bot can start with or without it, for what is current always works."""
    from nasos.stack.rotation import engine

    try:
        for result in engine(stack, vault, stack.ledger().append).resume():
            say(f"finished the rotation of {result.unit} that was open: {result.end}", result.seconds)
    except Error as error:
        say(f"! a rotation is open: {error.message} ({error.hint or './nasos rotate resume'})", 0.0)


def _wait(stack: Stack, name: str, probe: health.Probe) -> None:
    watch = Watch(stack.supervisor, name, Log(stack.home.log / f"{name}.log"))
    health.wait(name, probe, START_SECONDS[name], watch)


@contextmanager
def step(say: Say, text: str) -> Iterator[None]:
    """Say what the block did, and how long it took, unless it failed."""
    started = time.monotonic()
    yield
    say(text, time.monotonic() - started)


def down(settings: Settings, say: Say) -> None:
    """Stop everything, the front door first, Vault last; nothing stored is touched.

    Raises:
        StackError: There is no stack here.
    """
    stack = Stack.existing(settings)
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"):
        if not stack.supervisor.running():
            ended = [f"{name} (left by a killed supervisor)" for name in stack.supervisor.end_orphans()]
            memory.forget(stack)
            for text in ended or ["nothing was running"]:
                say(text, 0.0)
            return
        known = stack.supervisor.states()
        for name in STOP_ORDER:
            if name in known and known[name].pid is not None:
                with step(say, name):
                    stack.supervisor.stop(name)
        with step(say, "supervisor"):
            stack.supervisor.shutdown()
        if memory.forget(stack):
            say("the unseal key is in memory no more", 0.0)
        stack.ledger().append("stack.down", stack.record.id)


def restart(settings: Settings, name: str, say: Say) -> None:
    """Restart one program and wait for its proof.

    Raises:
        StackError: No stack runs here, or the program is not part of it.
        ProgramFailed: It did not become healthy again.
    """
    stack = Stack.existing(settings)
    if name not in wanted(settings):
        raise StackError(f"{name} is not part of this stack", f"it has: {', '.join(wanted(settings))}")
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"), step(say, f"{name} restarted"):
        if name == "vault":
            keys(stack)  # a Vault that could not start again is not stopped
        stack.supervisor.stop(name)
        stack.supervisor.learn(programs(stack.home, stack.settings, stack.ports))
        stack.supervisor.launch(name)
        _wait(stack, name, stack.probes(stack.vault("operator"))[name])
