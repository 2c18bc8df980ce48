"""The status page in a real Chromium, against the real stack."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from fixtures.stack import Walk, code_now

PHRASE = "four words of a walker"
CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture
def page(bot: Walk) -> Iterator[Page]:
    """The login page; complaints of the browser fail the test."""
    complaints: list[str] = []
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        # The browser of a newcomer does not trust our CA yet; who it must be is proven by test_walk's requests.
        tab = browser.new_context(ignore_https_errors=True, locale="en-GB").new_page()
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
        tab.goto(f"https://localhost:{bot.port}/")
        yield tab
        browser.close()
    assert complaints == []


def _add(bot: Walk, role: str) -> tuple[str, str]:
    name = f"{role}-{secrets.token_hex(3)}"
    return name, bot.nasos("gateway", "user", "add", name, "--role", role, stdin=f"{PHRASE}\n").stdout.split()[-1]


def _log_in(page: Page, name: str, password: str, code: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Code from your telephone").fill(code)
    page.get_by_role("button", name="Log in").click()


def test_password_and_code_show_the_bots_trades_until_it_is_revoked(bot: Walk, page: Page) -> None:
    """State, badge and the strategy's trade, also after a reload; no script sees a token; revoked, it is over."""
    name, key = _add(bot, "viewer")
    _log_in(page, name, PHRASE, code_now(key))
    expect(page.get_by_text("running", exact=True)).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Dry run")).to_be_visible()
    expect(page.get_by_text("/USDT").first).to_be_visible()
    assert page.evaluate("document.cookie + Object.keys(localStorage) + Object.keys(sessionStorage)") == ""
    asked = "fetch('/api/v1/{}', {{method: '{}', credentials: 'same-origin'}}).then(answer => answer.status)"
    assert page.evaluate(asked.format("count", "GET")) == 200
    assert page.evaluate(asked.format("stopbuy", "POST")) == 403  # a viewer's
    page.reload()
    expect(page.get_by_text("running", exact=True)).to_be_visible(timeout=20_000)
    bot.nasos("gateway", "user", "logout", name)
    expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("/USDT")).to_have_count(0)


def test_a_wrong_code_shows_words_and_no_data(bot: Walk, page: Page) -> None:
    """The right password with a wrong code is said in plain words, and no trade is shown."""
    name, key = _add(bot, "viewer")
    _log_in(page, name, PHRASE, f"{(int(code_now(key)) + 1) % 10**6:06d}")
    expect(page.get_by_role("alert")).to_contain_text("code", timeout=10_000)
    expect(page.get_by_text("/USDT")).to_have_count(0)
