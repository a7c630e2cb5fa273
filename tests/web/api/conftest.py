"""What the tests of the REST API share: the real app over ASGI."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth import AuthManager, Settings, passwords
from asyncauth.api import make_app
from asyncauth.passwords import Scheme
from asyncauth.web.gate import Gate
from tests.databases import FULL
from tests.managers import quiet
from tests.rows import Pair, add_role, add_user, through
from tests.sharing import database, reused
from tests.web.conftest import bearer

__all__ = ["database", "reused"]

CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)
USERS: list[Pair] = [(f"can_{what}", "Users") for what in ("create", "read", "edit", "delete")]
ROLES: list[Pair] = [(f"can_{what}", "Roles") for what in ("create", "read", "edit", "delete")]
AUDIT: Pair = ("can_read", "All Audit Logs")
EVERY = [*USERS, *ROLES, AUDIT]
"""What the API asks for."""
READ, EDIT = ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")
FAB, OURS = "/auth/fab/v1", "/auth/v1"
DOCUMENT: dict[str, Any] = make_app().openapi()["paths"]
"""What the OpenAPI document says of each path."""
Call = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture(params=["postgresql+asyncpg", *(["sqlite+aiosqlite"] if FULL else [])])
def backend(request: pytest.FixtureRequest) -> str:
    """The one that takes offence at most; with full numbers both."""
    return cast("str", request.param)


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)


@pytest.fixture
async def auth(settings: Settings) -> AsyncIterator[AuthManager]:
    """A started manager that makes API keys."""
    async with AuthManager(quiet(settings, api_key_secret="k" * 32)) as manager:
        yield manager


@pytest.fixture(scope="session")
def app_of_all() -> FastAPI:
    """The whole API, made once: making its routes takes longer than most tests."""
    return make_app(login_url="/login/", default_role="Public")


@pytest.fixture
def app(app_of_all: FastAPI, auth: AuthManager) -> Iterator[FastAPI]:
    """The whole API, on this test's manager. Tests leave it as it is."""
    given = [value for entry in app_of_all.user_middleware for value in entry.kwargs.values()]
    (gate,) = (value for value in given if isinstance(value, Gate))
    gate.let_act(Gate(auth))
    yield app_of_all
    gate.let_act(gate)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token. What the app raises is a 500, as behind a server."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


async def make_user(auth: AuthManager, name: str, pairs: Iterable[Pair] = (), *, role: str | None = None) -> str:
    """A user who holds a role of these permissions; returns a token."""

    async def work(connection: AsyncConnection) -> int:
        return await add_user(
            connection, name, roles=[await add_role(connection, role or f"role of {name}", list(pairs))]
        )

    return auth.issue_token(await through(auth, work))


@pytest.fixture
async def root(auth: AuthManager) -> dict[str, str]:
    """The header of the administrator, who may do everything. There are also the roles Public (empty) and Viewer."""
    token = await make_user(auth, "root", [*EVERY, READ, EDIT], role="Admin")

    async def work(connection: AsyncConnection) -> None:
        await add_role(connection, "Public")
        await add_role(connection, "Viewer", [READ])

    await through(auth, work)
    return bearer(token)


@pytest.fixture
def call(http: httpx.AsyncClient, root: dict[str, str]) -> Call:
    """Ask as root, unless headers say otherwise: `await call("GET", path, json=…)`."""

    async def ask(method: str, path: str, *, headers: dict[str, str] | None = None, **content: Any) -> httpx.Response:
        return await http.request(method, path, headers={**root, **(headers or {})}, **content)

    return ask


def user_body(username: str = "ada", **changes: Any) -> dict[str, Any]:
    """What makes a user."""
    names = {"first_name": "Ada", "last_name": "Lovelace", "email": f"{username}@example.org"}
    return {"username": username, **names, "password": "correct horse", **changes}


def fab_pairs(*pairs: Pair) -> list[dict[str, Any]]:
    """Permissions in FAB's form."""
    return [{"action": {"name": action}, "resource": {"name": resource}} for action, resource in pairs]
