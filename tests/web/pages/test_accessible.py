"""What readers with a keyboard, a screen reader or weak eyes need, on every page and on every page with an error."""

import re
from pathlib import Path

import pytest

from asyncauth import AuthManager
from asyncauth.pages import render, routes
from tests.web.pages.browser import Browser, Element, Page
from tests.web.pages.conftest import make_user
from tests.web.pages.test_guards import GETS, address

AUTOCOMPLETE = {"present": "current-password", "password": "new-password", "password_again": "new-password"}


@pytest.fixture
async def pages(admin_browser: Browser, auth: AuthManager) -> list[Page]:
    """Every page there is, those of errors and of nobody included."""
    await make_user(auth, "ada")
    stranger = admin_browser.copy()
    stranger.cookies.clear()
    login = await stranger.get("/auth/login/")
    found = [await admin_browser.get(address(page)) for page in GETS]
    found += [login, await stranger.fill(login, "/auth/login/", {"username": "ada", "password": "wrong"})]
    for path, values in (
        ("/auth/users/add", {"username": "ROOT", "password": "x", "password_again": "x"}),
        ("/auth/users/edit/ada", {"email": ""}),
        ("/auth/users/password/ada", {"password": "x"}),
        ("/auth/roles/add", {"name": ""}),
        ("/auth/resetmypassword/form", {"present": "x", "password": "x"}),
    ):
        found.append(await admin_browser.fill(await admin_browser.get(path), path, values, method="post"))
    found.append(await admin_browser.get("/auth/users/show/nobody"))
    found.append(await admin_browser.get("/auth/users/list/?q=nobody"))
    found.append(await admin_browser.post("/auth/users/add", {}))
    found.append(await stranger.post("/auth/users/add", {}))
    return found


def name_of(root: Element, box: Element) -> str:
    """What a screen reader calls an input or a button."""
    if box.tag == "button":
        return box.text
    labels = [one for one in root.all("label") if one.attributes.get("for") == box.attributes.get("id", "")]
    labels += [one for one in root.all("label") if box in one.all()]
    return " ".join(label.text for label in labels)


def is_hidden(box: Element) -> bool:
    """Whether nobody is to notice it."""
    return box.attributes.get("type") == "hidden" or box.attributes.get("aria-hidden") == "true"


async def test_the_frame(pages: list[Page]) -> None:
    """A language, a title, one heading, landmarks, a way past the navigation, and no id twice."""
    titles = set()
    for page in pages:
        root = page.root
        assert root.one("html").attributes["lang"] == "en"
        assert "width=device-width" in root.one("meta", name="viewport").attributes["content"]
        assert root.one("title").text.endswith(" · Example")
        assert root.one("title").text.startswith("Error: ") is bool(page.problem)
        titles.add(root.one("title").text)
        assert len(root.all("h1")) == len(root.all("main")) == len(root.all("header", class_="top")) == 1
        first = root.one("body").all()[0]
        assert (first.attributes["class"], first.attributes["href"], first.text) == (
            "skip",
            "#main",
            "Skip to the content",
        )
        ids = [one.attributes["id"] for one in root.all() if "id" in one.attributes]
        assert len(ids) == len(set(ids))
        assert "main" in ids
        levels = [int(one.tag[1]) for one in root.all() if re.fullmatch("h[1-6]", one.tag)]
        assert levels == sorted(levels)
        for one in root.all():
            referred = f"{one.attributes.get('aria-describedby', '')} {one.attributes.get('for', '')}".split()
            assert set(referred) <= set(ids)
            assert int(one.attributes.get("tabindex", "0")) <= 0
        for nav in root.all("nav"):
            assert nav.attributes["aria-label"]
    assert len(titles) > len(GETS)


async def test_every_input_and_button_has_a_name(pages: list[Page]) -> None:
    """And says what a password manager should fill in."""
    for page in pages:
        boxes = [one for one in page.root.all() if one.tag in {"input", "select", "button"} and not is_hidden(one)]
        for box in boxes:
            assert name_of(page.root, box), (page.path, box.attributes)
        for box in page.root.all("input"):
            name = box.attributes.get("name", "")
            if box.attributes.get("type") in {"text", "email", "password", "search"}:
                assert box.attributes["autocomplete"]
            if box.attributes.get("type") == "password":
                login = page.heading == "Log in"
                assert box.attributes["autocomplete"] == ("current-password" if login else AUTOCOMPLETE[name])
        for link in page.root.all("a"):
            assert link.text


async def test_wrong_inputs_say_so(pages: list[Page]) -> None:
    """The alert leads to the field, the field to its words, and the cursor stands in it."""
    wrong = [page for page in pages if page.wrong]
    assert len(wrong) == 6
    for page in wrong:
        (name,) = page.wrong
        box = page.root.one("input", name=name)
        assert page.root.one(role="alert").one("a").attributes["href"] == f"#{box.attributes['id']}"
        assert page.root.one(id=f"{name}-error").text == page.problem
        assert f"{name}-error" in box.attributes["aria-describedby"].split()
        assert [one for one in page.root.all() if "autofocus" in one.attributes] == [box]


async def test_tables(pages: list[Page]) -> None:
    """With a caption, and cells that say whose head they are; where they scroll, a keyboard can do it."""
    tables = [(page, table) for page in pages for table in page.root.all("table")]
    assert len(tables) >= 4
    for page, table in tables:
        assert table.one("caption").text
        for cell in table.all("th"):
            assert cell.attributes["scope"] == ("col" if cell in table.one("thead").all() else "row")
        for row in table.one("tbody").all("tr"):
            assert len(row.all("th")) == 1
        around = [one for one in page.root.all(role="region") if table in one.all()]
        assert around[0].attributes["tabindex"] == "0"
        assert around[0].attributes["aria-label"]


async def test_the_present_place_is_marked(admin_browser: Browser) -> None:
    """In the navigation."""
    for path, title, value in (
        ("/auth/users/list/", "Users", "page"),
        ("/auth/users/add", "Users", "true"),
        ("/auth/roles/edit/Viewer", "Roles", "true"),
    ):
        (link,) = [one for one in (await admin_browser.get(path)).root.all("a") if "aria-current" in one.attributes]
        assert (link.text, link.attributes["aria-current"]) == (title, value)


# ── colours ──

CSS = (Path(render.__file__).parent / "static" / "pages.css").read_text(encoding="utf-8")
PAIRS = [
    # text on what it stands on
    *(("ink", "paper"), ("ink", "card"), ("ink", "wash"), ("soft", "paper"), ("soft", "card"), ("soft", "wash")),
    *(("accent", "paper"), ("accent", "card"), ("accent", "wash"), ("accent-dark", "wash"), ("accent-dark", "paper")),
    *(("accent-ink", "accent"), ("accent-ink", "accent-dark"), ("card", "bad")),
    *(("bad", "card"), ("bad", "bad-wash"), ("good", "good-wash")),
]
EDGES = [("soft", "card"), ("soft", "paper"), ("bad", "card"), ("accent", "card"), ("accent", "paper")]
"""Borders of inputs and the ring around what has the focus."""


def colours(scheme: str) -> dict[str, str]:
    """The custom properties of a colour scheme."""
    light, dark = (dict(re.findall(r"--([\w-]+): #(\w{6});", part)) for part in CSS.split("prefers-color-scheme: dark"))
    return light if scheme == "light" else light | dark


def luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme: str) -> None:
    """4.5 for text and 3 for edges: level AA (WCAG 2.2, 1.4.3 and 1.4.11)."""
    found = colours(scheme)
    for least, pairs in ((4.5, PAIRS), (3, EDGES)):
        ratios = {pair: round(contrast(found[pair[0]], found[pair[1]]), 2) for pair in pairs}
        assert {pair: ratio for pair, ratio in ratios.items() if ratio < least} == {}


def test_the_contrast_of_this_test() -> None:
    """Black on white is 21; the grey #777777 just fails."""
    assert round(contrast("000000", "ffffff"), 2) == 21
    assert 4.4 < contrast("777777", "ffffff") < 4.5


def test_no_focus_is_hidden() -> None:
    """No outline is taken away, but of the part that the skip link leads to."""
    assert re.findall(r"([^{}]+){[^{}]*outline: *(?:none|0)", CSS) == ["\nmain:focus "]
    assert ":focus-visible { outline: 3px" in CSS


def test_every_page_is_looked_at() -> None:
    """The fixture opens all that can be opened."""
    assert {page.path for page in GETS} == {page.path for page in routes.PAGES if page.get is not None}
