"""What the tests of the pages share: a real app over ASGI with the pages at /auth, and a browser without JavaScript."""

from collections.abc import AsyncIterator, Iterable
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.routing import Router

from asyncauth import AuthManager, Settings, passwords
from asyncauth.db.tables import users
from asyncauth.pages import PageOptions, page_routes
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.fastapi import install
from tests.databases import FULL
from tests.managers import quiet
from tests.rows import Pair, add_role, add_user, through
from tests.sharing import database, reused
from tests.web.api.conftest import CHEAP, ROLES, USERS
from tests.web.pages.browser import ORIGIN, Browser

__all__ = ["database", "reused"]

COOKIE = CookiePolicy()
OWN_PASSWORD: list[Pair] = [("can_read", "My Password"), ("can_edit", "My Password")]
PASSWORDS: list[Pair] = [("can_read", "Passwords"), ("can_edit", "Passwords")]
READ, EDIT = ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")
PASSWORD = "correct horse"


BACKENDS = ["sqlite+aiosqlite", *(["postgresql+asyncpg"] if FULL else [])]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """SQLite; with full numbers PostgreSQL as well. The use cases are tested on all of them elsewhere."""
    return cast("str", request.param)


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without anything in the background, and with API keys."""
    return quiet(settings, api_key_secret="k" * 32)


@pytest.fixture
async def auth(settings: Settings) -> AsyncIterator[AuthManager]:
    """A started manager."""
    async with AuthManager(settings) as manager:
        yield manager


def make_app(auth: AuthManager, options: PageOptions | None = None, cookie: CookiePolicy | None = COOKIE) -> FastAPI:
    """An app of somebody's own with the pages at /auth."""
    app = FastAPI()
    install(app, auth, cookie=cookie)
    app.mount("/auth", Router(routes=page_routes(options)))
    return app


@pytest.fixture
def options() -> PageOptions:
    """Of the pages."""
    return PageOptions(title="Example", page_size=10)


@pytest.fixture
def app(auth: AuthManager, options: PageOptions) -> FastAPI:
    """The app."""
    return make_app(auth, options)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without manners: no cookies, no Origin. What the app raises reaches the test."""
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def browser(http: httpx.AsyncClient) -> Browser:
    """A browser in which nobody is logged in."""
    return Browser(http)


async def make_user(
    auth: AuthManager, username: str, pairs: Iterable[Pair] = (), *, role: str | None = None, password: str = PASSWORD
) -> int:
    """An active user who holds a role of these permissions; returns the id."""
    hashed = await auth.hash_password(password)

    async def work(connection: AsyncConnection) -> int:
        role_id = await add_role(connection, role or f"role of {username}", list(pairs))
        return await add_user(connection, username, roles=[role_id], password=hashed)

    return await through(auth, work)


async def deactivate(auth: AuthManager, username: str) -> None:
    """Switch a user off."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(users.update().where(users.c.username == username).values(active=False))

    await through(auth, work)


@pytest.fixture
async def root(auth: AuthManager) -> int:
    """The administrator, who may do everything on the pages. There are also the roles Public (empty) and Viewer."""
    user_id = await make_user(auth, "root", [*USERS, *ROLES, *OWN_PASSWORD, *PASSWORDS, READ, EDIT], role="Admin")

    async def work(connection: AsyncConnection) -> None:
        await add_role(connection, "Public")
        await add_role(connection, "Viewer", [READ])

    await through(auth, work)
    return user_id


@pytest.fixture
async def admin_browser(browser: Browser, root: int) -> Browser:
    """Root's."""
    await browser.log_in("root", PASSWORD)
    return browser
