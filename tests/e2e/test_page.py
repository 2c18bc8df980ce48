"""The status page in a real Chromium, against the real stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from fixtures.stack import Walk

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


def _log_in(page: Page, password: str) -> None:
    page.get_by_label("User name").fill("nasos")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_the_stored_password_shows_the_bots_trades(bot: Walk, page: Page) -> None:
    """After login: state, dry-run badge and the strategy's own trade; nothing of it is kept after a reload."""
    _log_in(page, bot.secret("bots/nasos/api", "password"))
    expect(page.get_by_text("running", exact=True)).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Dry run")).to_be_visible()
    expect(page.get_by_text("/USDT").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_wrong_password_shows_words_and_no_data(page: Page) -> None:
    """A wrong password is said in plain words, and no trade is shown."""
    _log_in(page, "not-the-password")
    expect(page.get_by_role("alert")).to_contain_text("password", timeout=10_000)
    expect(page.get_by_text("/USDT")).to_have_count(0)
