"""Requests per second and CPU per request through nginx: what the gateway's decision costs, beside its peers.

    .venv/bin/python benchmarks/gateway.py [--seconds 5] [--rounds 3] [--attack 20] [--wrong 3]

Needs ``wrk`` (``apt-get install wrk``). One nginx worker, TLS 1.3, 32 kept connections; behind it a static answer in
the bot's place, so that what is measured is the door. One run, the cases in turn, medians of the rounds:

* ``none``: proxied without a question; ``static``: ``auth_request`` to an address of nginx's own that says yes;
* ``hs``, ``ed``: nginx's native JWT module, HS256 and Ed25519 (no session, role or revocation), where nginx has it;
* ``cached``: the gateway, one access token again and again; ``uncached``: 4,600 in turn, more than it remembers;
  ``API token``: looked up by its hash each time. The gateway looks at session and role each time in all three.

CPU is what nginx's worker and the gateway's process used, from ``/proc``: on a busy machine it says more than a rate.

The attack: 16 threads try passwords without a pause from ever new addresses, while somebody who is logged in asks
twenty times a second, and somebody whose device is known tries to log in again (a code
counts once, so that he is told no).

The wrong logins: each kind from ever new addresses on the quiet machine, medians. They take a whole number of the
floor: a difference below it is not seen. What is not the same is said by ``tests/integration/gateway/test_equal_work``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from fixtures.bare_gateway import HOST, PHRASE, BareGateway, cookie_header, gateway_over  # noqa: E402  found by the line above
from fixtures.vault import Server, VaultUnderTest, _die_with_parent, free_port  # noqa: E402  found by the line above
from nasos.gateway.access import Role  # noqa: E402  found by the line above
from nasos.gateway.api_tokens import ApiTokens, Scope  # noqa: E402  found by the line above
from nasos.stack.binaries import find  # noqa: E402  found by the line above
from nasos.tls.dev_ca import DevCa, ensure_leaf  # noqa: E402  found by the line above

TARGET = "/api/v1/count"
MANY = 4600
TICKS = os.sysconf("SC_CLK_TCK")

CONF = """
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log crit;
{modules}
events {{ worker_connections 512; }}
http {{
    access_log off; keepalive_requests 1000000; keepalive_timeout 300s;
    client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
    uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
    ssl_protocols TLSv1.3; ssl_certificate {tls}/edge.pem; ssl_certificate_key {tls}/edge.key;
    proxy_http_version 1.1; proxy_set_header Connection "";
    upstream bot {{ server 127.0.0.1:{bot}; keepalive 32; keepalive_requests 1000000; }}
    upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 32; keepalive_requests 1000000; }}
    server {{ listen 127.0.0.1:{bot}; location / {{ return 200 "ok"; }} location /yes {{ return 204; }} }}
    server {{
        listen 127.0.0.1:{port} ssl; server_name {host};
        location /none/ {{ proxy_pass http://bot/; }}
        location = /yes {{ internal; proxy_pass http://bot/yes; proxy_pass_request_body off; }}
        location /static/ {{ auth_request /yes; proxy_pass http://bot/; }}
{native}
        location = /decide {{
            internal; proxy_pass https://gateway/auth/decide; proxy_pass_request_body off;
            proxy_set_header Content-Length ""; proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_set_header X-Nasos-Method $request_method; proxy_set_header X-Nasos-Uri $request_uri;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_ssl_verify on; proxy_ssl_trusted_certificate {tls}/ca.pem; proxy_ssl_name gateway.localhost;
            proxy_ssl_certificate {tls}/nginx.pem; proxy_ssl_certificate_key {tls}/nginx.key;
            proxy_ssl_protocols TLSv1.3;
        }}
        location /api/ {{
            auth_request /decide; auth_request_set $minted $upstream_http_x_nasos_minted;
            proxy_set_header Authorization $minted; proxy_pass http://bot/;
        }}
    }}
}}
"""
NATIVE = """
        location /{name}/ {{ auth_jwt "door"; auth_jwt_key_file {file} jwks; proxy_pass http://bot/; }}
"""


@dataclass(frozen=True)
class Measured:
    """One round of one case."""

    rate: float
    nginx: float
    """Microseconds of CPU per request."""
    gateway: float
    p50: str
    p99: str


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def worker(master: int) -> int:
    """The one worker of an nginx."""
    return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])


def script(place: Path, tokens: list[str]) -> Path:
    """What wrk sends: the tokens in turn."""
    listed, file = place / "tokens.txt", place / "wrk.lua"
    listed.write_text("\n".join(tokens))
    file.write_text(
        f"""local tokens, at = {{}}, 0
for line in io.lines("{listed}") do tokens[#tokens + 1] = line end
request = function()
  at = at % #tokens + 1
  return wrk.format("GET", nil, {{["Host"] = "{HOST}", ["Authorization"] = "Bearer " .. tokens[at]}})
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format("RESULT %d %d %.2f %.2f %d", summary.requests, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, e.status + e.read + e.connect + e.timeout))
end
"""
    )
    return file


def measure(url: str, lua: Path, seconds: int, pids: Mapping[str, int]) -> Measured:
    """One round."""
    before = {name: cpu(pid) for name, pid in pids.items()}
    told = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(lua), url], check=True, capture_output=True, text=True
    ).stdout
    requests, micros, p50, p99, errors = told.rpartition("RESULT ")[2].split()
    if int(errors):
        sys.exit(f"{url}: {errors} of {requests} requests failed\n{told}")
    spent = {name: (cpu(pid) - before[name]) / int(requests) * 1e6 for name, pid in pids.items()}
    return Measured(int(requests) / int(micros) * 1e6, spent["nginx"], spent["gateway"], p50, p99)


def native_keys(place: Path, door: BareGateway, token: str) -> tuple[str, dict[str, str]]:
    """Locations and tokens for nginx's own module: the gateway's published keys, and a shared one."""
    import base64
    import json

    import jwt

    key = os.urandom(32)
    octets = base64.urlsafe_b64encode(key).rstrip(b"=").decode()
    (place / "hs.json").write_text(json.dumps({"keys": [{"kty": "oct", "kid": "k", "k": octets, "alg": "HS256"}]}))
    (place / "ed.json").write_bytes(door.ask("GET", "/.well-known/jwks.json").body)
    claims = {"sub": "x", "exp": datetime.now(UTC) + timedelta(hours=1)}
    locations = NATIVE.format(name="hs", file=place / "hs.json") + NATIVE.format(name="ed", file=place / "ed.json")
    return locations, {"hs": jwt.encode(claims, key, algorithm="HS256", headers={"kid": "k"}), "ed": token}


@contextlib.contextmanager
def nginx(place: Path, door: BareGateway, native: str) -> Iterator[tuple[int, int]]:
    """One nginx in front; its port, and its worker."""
    tls = door.config.tls
    now = datetime.now(UTC)
    ensure_leaf(DevCa.open(tls, now=now), tls, "edge", (HOST, "127.0.0.1"), now=now)
    port, conf = free_port(), place / "nginx.conf"
    conf.write_text(
        CONF.format(
            place=place,
            tls=tls,
            bot=free_port(),
            gateway=door.config.port,
            port=port,
            host=HOST,
            native=native,
            modules="user root;" if os.geteuid() == 0 else "",
        )
    )
    process = subprocess.Popen(
        [find("nginx"), "-e", str(place / "error.log"), "-c", str(conf)],
        preexec_fn=_die_with_parent,  # noqa: PLW1509  one thread
    )
    try:
        time.sleep(1)
        if process.poll() is not None:
            sys.exit((place / "error.log").read_text())
        yield port, worker(process.pid)
    finally:
        process.terminate()
        process.wait()


def access_tokens(door: BareGateway, cookies: Mapping[str, str], count: int) -> list[str]:
    """Access tokens of one session."""
    import json

    answers = (door.post("/api/v1/token/login", headers=cookie_header(cookies)) for _ in range(count))
    return [json.loads(answer.body)["access_token"] for answer in answers]


def attack(door: BareGateway, seconds: int, cookies: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Logged-in people before and during a flood of guesses."""
    over = threading.Event()
    guesses: list[float] = []

    def guess() -> None:
        chance = random.Random()  # noqa: S311  addresses of a benchmark
        while not over.is_set():
            begun = time.monotonic()
            address = ".".join(str(chance.randrange(1, 255)) for _ in range(4))
            name = chance.choice(["viewer-ann", "admin-eve", "nobody"])
            door.post("/auth/login", {"name": name, "password": "x" * 20, "code": "000000"}, {"X-Real-IP": address})
            guesses.append(time.monotonic() - begun)

    def served(length: float) -> list[float]:
        taken: list[float] = []
        end = time.monotonic() + length
        while time.monotonic() < end:
            begun = time.monotonic()
            if door.decide("GET", TARGET, cookie_header(cookies)).status != 204:
                sys.exit("somebody who is logged in was not let through")
            taken.append(time.monotonic() - begun)
            time.sleep(max(0.0, 0.05 - taken[-1]))
        return taken

    def line(name: str, taken: list[float]) -> None:
        ordered = sorted(taken)
        p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        say(f"{name:34} p50 {p50 * 1e3:7.1f} ms   p99 {p99 * 1e3:7.1f} ms   n={len(ordered)}")

    line("a request, connection included", served(seconds / 2))
    threads = [threading.Thread(target=guess, daemon=True) for _ in range(16)]
    for each in threads:
        each.start()
    line("the same, under attack", served(seconds))
    known: list[float] = []
    for _ in range(3):
        begun = time.monotonic()
        wrong = {"name": "trader-tim", "password": PHRASE, "code": door.code("trader-tim", 1)}
        door.post("/auth/login", wrong, cookie_header(cookies))
        known.append(time.monotonic() - begun)
    line("an answer to a known device", known)
    over.set()
    for each in threads:
        each.join()
    line("a guess", guesses)
    say(f"{'guesses per second, all threads':34} {len(guesses) / (seconds + sum(known)):.1f}")


def wrong_logins(door: BareGateway, rounds: int, say: Callable[[str], None]) -> None:
    """How long each kind of wrong login takes."""
    chance = random.Random()  # noqa: S311  addresses of a benchmark
    kinds = {
        "wrong password": ("viewer-ann", "x" * 20),
        "unknown name": ("nobody", "x" * 20),
        "what can be no name": ("No Name", "x" * 20),
        "wrong code": ("admin-eve", PHRASE),
        "too early": ("too-early", "x" * 20),
    }
    for _ in range(6):
        door.post("/auth/login", {"name": "too-early", "password": "x", "code": "0"}, {"X-Real-IP": "198.51.100.1"})
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, (name, password) in kinds.items():
            address = (
                "198.51.100.1" if kind == "too early" else f"203.0.{chance.randrange(256)}.{chance.randrange(256)}"
            )
            begun = time.monotonic()
            typed = {"name": name, "password": password, "code": "000000"}
            door.post("/auth/login", typed, {"X-Real-IP": address})
            taken[kind].append(time.monotonic() - begun)
    for kind, seconds in taken.items():
        say(f"{kind:22} median {statistics.median(seconds) * 1e3:7.1f} ms   longest {max(seconds) * 1e3:7.1f} ms")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attack", type=int, default=20)
    parser.add_argument("--wrong", type=int, default=3, help="wrong logins of each kind")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="nasos-bench-") as directory, contextlib.ExitStack() as held:
        base = Path(directory)
        server = Server(base / "vault", base / "key" / "unseal.key")
        held.callback(server.stop)
        server.start()
        vault = VaultUnderTest(server, server.bootstrap_keeping_root())
        for name in ("gateway", "nginx"):
            (base / name).mkdir(mode=0o700)
        door = held.enter_context(gateway_over(vault, base / "gateway"))
        run(door, base / "nginx", options, held)


def run(door: BareGateway, place: Path, options: argparse.Namespace, held: contextlib.ExitStack) -> None:
    """All cases, in turn."""
    cookies = door.log_in("trader-tim")
    one = access_tokens(door, cookies, 1)
    native, natives = native_keys(place, door, one[0])
    modules = subprocess.run([find("nginx"), "-V"], check=True, capture_output=True, text=True).stderr
    if "auth-jwt" not in modules:
        native, natives = "", {}
    port, pid = held.enter_context(nginx(place, door, native))
    assert door.process
    pids = {"nginx": pid, "gateway": door.process.pid}
    with contextlib.closing(ApiTokens.open(door.config.database)) as machines:
        now, scope = datetime.now(UTC), Scope(Role.TRADER, ("nasos",))
        _, machine = machines.create("bench", scope, user="bench", now=now, ends=now + timedelta(days=1))
    many = access_tokens(door, cookies, MANY)
    cases: dict[str, tuple[str, Callable[[], list[str]]]] = {
        "none": ("/none/", lambda: ["x"]),
        "static auth_request": ("/static/", lambda: ["x"]),
        **{f"native {name}": (f"/{name}/", lambda token=token: [token]) for name, token in natives.items()},
        "gateway, cached": (TARGET, lambda: access_tokens(door, cookies, 1)),
        "gateway, uncached": (TARGET, lambda: many),
        "gateway, API token": (TARGET, lambda: [machine.reveal()]),
    }
    rounds: dict[str, list[Measured]] = {name: [] for name in cases}
    for _ in range(options.rounds):
        for name, (path, tokens) in cases.items():
            cookies = door.post("/auth/refresh", headers=cookie_header(cookies)).cookies or cookies
            lua = script(place, tokens())
            rounds[name].append(measure(f"https://127.0.0.1:{port}{path}", lua, options.seconds, pids))
    print(f"{'case':22} {'requests/s':>12} {'nginx us':>9} {'gateway us':>11} {'p50 ms':>8} {'p99 ms':>8}")
    for name, measured in rounds.items():
        middle = sorted(measured, key=lambda each: each.rate)[len(measured) // 2]
        print(
            f"{name:22} {middle.rate:12,.0f} {middle.nginx:9.1f} {middle.gateway:11.1f} {middle.p50:>8} {middle.p99:>8}"
        )
    if options.wrong:
        wrong_logins(door, options.wrong, print)
    if options.attack:
        attack(door, options.attack, cookies, print)


if __name__ == "__main__":
    main()
