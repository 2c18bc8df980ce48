"""The status page keeps to its content security policy: everything from its own files, nothing inline, no mark-up."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import nasos.stack

PAGE = Path(nasos.stack.__file__).parent / "page"
SCRIPT = (PAGE / "app.js").read_text() + (PAGE / "login.js").read_text() + (PAGE / "enrol.js").read_text()


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(params=["index.html", "login.html", "enrol.html", "error.html"])
def elements(request: pytest.FixtureRequest) -> list[tuple[str, dict[str, str | None]]]:
    """All elements of a page."""
    return _Elements((PAGE / request.param).read_text()).found


def test_nothing_is_inline(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    """No style element, no script without a file, no style or event attribute."""
    for tag, attributes in elements:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_everything_comes_from_here(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    """Every file that a page names lies beside it."""
    for _, attributes in elements:
        for target in (attributes.get("src"), attributes.get("href")):
            assert not target or target == "/" or (PAGE / target.removeprefix("/")).is_file()


def test_no_address_of_somebody_else() -> None:
    """Style and script name no other host."""
    for path in PAGE.iterdir():
        assert not re.findall(r"(?:https?:)?//[a-z]", path.read_text().replace("http://www.w3.org/2000/svg", ""))


def test_script_makes_no_markup_and_keeps_no_token() -> None:
    """What the bot says becomes text, and no script touches a token."""
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage",
                 "sessionStorage", "document.cookie", "indexedDB", "console."):  # fmt: skip
        assert word not in SCRIPT


def test_every_word_exists_in_both_languages() -> None:
    """English and Korean know the same words, and every word that the page asks for."""
    tables = [SCRIPT.split(f"  {language}: {{")[1].split("\n  }")[0] for language in ("en", "ko")]
    english, korean = (set(re.findall(r"(\w+): \"", table)) for table in tables)
    assert english == korean
    asked = set(re.findall(r'data-text="(\w+)"', (PAGE / "index.html").read_text()))
    asked |= set(re.findall(r'say\("(\w+)"', SCRIPT))
    assert asked <= english


@pytest.mark.parametrize("name", ["login", "enrol"])
def test_an_entrance_speaks_korean_too(name: str) -> None:
    """Whatever it says, it can say in Korean; both languages know the same refusals."""
    text = (PAGE / f"{name}.html").read_text().partition("<noscript>")[0]
    said = re.findall(r"<(?:h2|span|button|summary|p)([^>]*)>[^<]+</", text)
    assert len(said) >= 6
    assert [attributes for attributes in said if not re.search(r'data-ko="[^"]*[가-힣]', attributes)] == []
    korean, english = (PAGE / f"{name}.js").read_text().split("const WORDS = korean ? {")[1].split("} : {")
    assert re.findall(r"(\w+): \"", korean) == re.findall(r"(\w+): \"", english.split("};")[0])


def test_every_place_exists() -> None:
    """The script looks for no element that the page does not have."""
    places = set(re.findall(r'id="([\w-]+)"', (PAGE / "index.html").read_text()))
    places |= set(re.findall(r'id="([\w-]+)"', (PAGE / "enrol.html").read_text()))
    assert set(re.findall(r'\$\("([\w-]+)"\)', SCRIPT)) <= places
    assert {f"{name}-note" for name in ("balance", "profit", "open", "won")} <= places
