"""docs/managing.md: its code runs as pasted, and its tables are true."""

import re
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from asyncauth import AuthManager, Settings
from asyncauth.pages import PageOptions
from tests.conftest import NAME, PATIENCE_SECONDS, SECRET
from tests.web.pages.browser import ORIGIN, Browser
from tests.web.pages.conftest import PASSWORD, make_user
from tests.web.pages.test_guards import NEEDS

PAGE = (Path(__file__).parents[3] / "docs" / "managing.md").read_text(encoding="utf-8")


@pytest.fixture
def main(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`main.py`, set up by the environment as a reader would."""
    assert settings.database_url is not None
    for name, value in {
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": SECRET,
        "JWT_ISSUER": NAME,
        "JWT_AUDIENCE": NAME,
        "DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
    }.items():
        monkeypatch.setenv(f"ASYNCAUTH_{name}", value)
    code, service = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    module = ModuleType("main")
    for sample in (code, service):
        exec(compile(sample, "managing.md", "exec"), module.__dict__)  # noqa: S102 - our own page
    return module


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_the_app_runs(main: ModuleType, settings: Settings) -> None:
    """Somebody logs in on its pages and is known to its routes."""
    async with AuthManager(settings) as auth:
        await make_user(auth, "ada")
    app = main.app
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as http,
    ):
        assert (await http.get("/")).status_code == 401
        browser = Browser(http)
        page = await browser.get("/auth/login/")
        page = await browser.fill(page, "/auth/login/", {"username": "ada", "password": PASSWORD}, follow=False)
        assert page.headers["location"] == "/"
        assert {route.path for route in main.pages} >= {"/register/form", "/resetpassword/link/{name:path}"}
        await main.send(main.service.message("reset", "ada@example.org", "ada", "the-token"))
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        assert (await http.get("/", headers={"Cookie": cookie})).json() == {"hello": "ada"}


def test_the_table_of_options() -> None:
    """All of them, with their defaults."""
    rows = dict(re.findall(r"^\| `(\w+)` \((.*?)\) \|", PAGE, re.MULTILINE))
    options = {name: getattr(PageOptions(), name) for name in PageOptions.__slots__}
    assert rows.keys() == options.keys()
    written = {name: text.strip('`"') for name, text in rows.items() if options[name] is not None}
    assert written == {name: str(value) for name, value in options.items() if value is not None}


def test_the_table_of_permissions() -> None:
    """Every page stands in it with what it needs."""
    told: dict[str, set[tuple[str, str]]] = {}
    table = PAGE.partition("| Page | Permission |")[2].partition("\n\n")[0]
    for paths, words in re.findall(r"^\| (.*?) \| (.*?) \|$", table, re.MULTILINE):
        resources = re.findall(r"on `([\w ]+)`", words)
        actions = re.findall(r"`(can_\w+)`", words)
        for path in re.findall(r"`(.*?)`", paths):
            told[re.sub(r"\{\w+\}|…", "", path)] = {(action, one) for action in actions for one in resources}
    needed: dict[str, set[tuple[str, str]]] = {"/login/": set(), "/logout/": set()}
    for (_, path), pairs in NEEDS.items():
        needed[path] = needed.get(path, set()) | pairs
    assert told == needed
