"""A real browser at the front door: what a person sees when he comes in, is refused, and is sent out."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import segno
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fixtures.edge import edge_config, running
from fixtures.front_door import PHRASE, FrontDoor
from nasos.gateway import second_factor
from nasos.gateway.access import Role
from nasos.gateway.enrolments import Enrolments
from nasos.gateway.storage import Storage
from nasos.gateway.streams import POLICY

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 30_000
FREQUI = Path(__file__).parents[2] / "simulators" / "frequi"
Shot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser; each test opens a profile of its own."""
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty tab; what the browser complains about fails the test."""
    complaints: list[str] = []
    # It does not trust our CA; who the server must be is proven elsewhere, by clients that do.
    profile = chromium.new_context(ignore_https_errors=True, locale="en-GB")
    profile.set_default_timeout(PATIENCE)
    tab = profile.new_page()
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield tab
    profile.close()
    assert complaints == []


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Shot:
    """Keeps a picture of a page where ``--shots`` says."""
    place = request.config.getoption("--shots")

    def take(page: Page, name: str) -> None:
        if place:
            Path(place).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(place) / f"{name}.png")

    return take


@pytest.fixture
def freqtrades_own(door: FrontDoor) -> Iterator[FrontDoor]:
    """The same gateway behind an nginx that shows the bot's own pages, after a login."""
    door.bot.files |= {"/": FREQUI / "index.html", "/assets/app.js": FREQUI / "app.js"}
    with tempfile.TemporaryDirectory(prefix="frequi-") as place:
        config = edge_config(
            door.config.tls, Path(place), door.bot.port, gateway=door.edge.config.gateway, frequi=True
        )  # fmt: skip
        with running(door.edge.binary, config) as pid:
            yield dataclasses.replace(door, edge=dataclasses.replace(door.edge, config=config, pid=pid))
    door.bot.files.clear()


def _go(page: Page, door: FrontDoor, path: str = "/") -> None:
    page.goto(f"https://localhost:{door.edge.port}{path}")


def _log_in(page: Page, name: str, password: str, code: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Code from your telephone").fill(code)
    page.get_by_role("button", name="Log in").click()


def test_a_viewer_looks_does_not_trade_and_is_sent_out(door: FrontDoor, page: Page, shot: Shot) -> None:
    """In with password and code; the bot's figures and trades; trading refused in words; revoked, nothing is left."""
    factor = door.add("vera", Role.VIEWER)
    _go(page, door)
    shot(page, "1-login")
    _log_in(page, "vera", PHRASE, door.code("vera", factor))
    expect(page.get_by_text("BTC/USDT").first).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#balance")).to_contain_text("1,012.43")
    shot(page, "2-board")
    assert page.evaluate("document.cookie + Object.keys(localStorage) + Object.keys(sessionStorage)") == ""
    refusal = page.evaluate("fetch('/api/v1/forceexit', {method: 'POST'}).then(async a => [a.status, await a.json()])")
    assert refusal[0] == 403
    assert "your role does not allow this" in refusal[1]["error"]
    _go(page, door, "/api/v1/logs")
    expect(page.get_by_text("your role does not allow this")).to_be_visible()
    shot(page, "3-refused")
    assert not [each for each in door.bot.received if each.target.partition("?")[0].endswith(("forceexit", "logs"))]
    _go(page, door)
    expect(page.get_by_text("BTC/USDT").first).to_be_visible(timeout=PATIENCE)
    door.end_sessions("vera")
    expect(page.get_by_text("Your session has ended")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    expect(page.get_by_text("/USDT")).to_have_count(0)
    shot(page, "4-sent-out")


def test_frequi_is_behind_the_login_and_works_with_it(freqtrades_own: FrontDoor, page: Page, shot: Shot) -> None:
    """Our login page first; then any bot login will do, data and stream come, refusals are said; revoked, over."""
    door = freqtrades_own
    factor = door.add("ute", Role.VIEWER)
    _go(page, door)
    expect(page).to_have_url(f"https://localhost:{door.edge.port}/auth/")
    shot(page, "6-login-before-frequi")
    _log_in(page, "ute", PHRASE, door.code("ute", factor))
    page.get_by_label("Username").fill("anything")
    page.get_by_label("Password").fill("will do")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("BTC/USDT")).to_be_visible()
    expect(page.locator("#state")).to_have_text("running")
    expect(page.locator("#stream")).to_have_text("subscribe")
    page.get_by_role("button", name="Forceexit all").click()
    expect(page.get_by_role("alert")).to_contain_text("your role does not allow this")
    shot(page, "7-frequi")
    door.end_sessions("ute")
    expect(page.locator("#stream")).to_have_text(f"closed ({POLICY})", timeout=PATIENCE)
    expect(page.get_by_role("alert")).to_have_text("logged out", timeout=PATIENCE)
    shot(page, "8-frequi-sent-out")
    page.reload()
    expect(page).to_have_url(f"https://localhost:{door.edge.port}/auth/")


def test_a_link_shows_a_picture_once_and_its_first_code_lets_him_in(door: FrontDoor, page: Page, shot: Shot) -> None:
    """The link leaves the address bar; name and password, the QR code, its first code, and he is in."""
    factor = door.add("yule", Role.VIEWER)
    now = datetime.now(UTC)
    with contextlib.closing(Storage.open(door.config.database)) as storage:
        link = Enrolments(storage).offer("yule", now, now + timedelta(hours=1)).reveal()
    _go(page, door, f"/auth/enrol#{link}")
    expect(page).to_have_url(f"https://localhost:{door.edge.port}/auth/enrol")
    page.get_by_label("User name").fill("yule")
    page.get_by_label("Password").fill(PHRASE)
    page.get_by_role("button", name="Go on").click()
    picture = page.get_by_role("img", name="QR code")
    expect(picture).to_be_visible(timeout=PATIENCE)
    drawn = picture.locator("path").get_attribute("d") or ""
    rows = segno.make(second_factor.address(factor, "yule").reveal(), error="m").matrix
    dark = {(x, y) for y, row in enumerate(rows) for x, each in enumerate(row) if each}
    assert {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", drawn)} == dark
    shot(page, "9-enrol")
    # No wrong code first: all browsers are one address, and the throttle remembers the guesses of the tests before.
    page.get_by_label("Code from your telephone").fill(door.code("yule", factor))
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("BTC/USDT").first).to_be_visible(timeout=PATIENCE)
    _go(page, door, f"/auth/enrol#{link}")
    page.get_by_label("User name").fill("yule")
    page.get_by_label("Password").fill(PHRASE)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("the link was used", timeout=PATIENCE)
    expect(picture).to_have_count(0)


def test_what_was_wrong_is_not_told(door: FrontDoor, page: Page, shot: Shot) -> None:
    """A wrong code, a wrong password and a name that nobody has: the same words, none of them names one alone."""
    # The last in this file: all browsers come from one address, and the fourth failure makes it wait.
    factor = door.add("willa")
    right = door.code("willa", factor)
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    said = set()
    for name, password, code in (
        ("willa", PHRASE, wrong), ("willa", "other words", right), ("nobody-of-this-name", PHRASE, right),
    ):  # fmt: skip
        _go(page, door)
        _log_in(page, name, password, code)
        expect(page.get_by_role("alert")).not_to_be_empty(timeout=PATIENCE)
        said.add(page.get_by_role("alert").inner_text())
    shot(page, "5-wrong")
    assert said == {"Name, password or code is not right."}
    expect(page.get_by_text("/USDT")).to_have_count(0)
