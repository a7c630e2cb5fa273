"""Web tests run on SQLite alone: no adapter ever sees a database."""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth import AuthManager, User, admin
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import user_roles, users
from asyncauth.web.http import ASGIApp
from tests.web.apps import ADAPTERS, MakeApp


@pytest.fixture
def backend() -> str:
    """In place of all backends."""
    return "sqlite+aiosqlite"


async def add_user(auth: AuthManager, username: str, *role_ids: int) -> User:
    """A user without a password: hashing one takes longer than most tests."""

    async def work(connection: AsyncConnection) -> int:
        names = {"first_name": "", "last_name": "", "username": username, "email": f"{username}@example.com"}
        user_id = await insert_row(connection, users, **names, active=True)
        for role_id in role_ids:
            await insert_row(connection, user_roles, user_id=user_id, role_id=role_id)
        return user_id

    return await auth.get_user((await auth.write(work)).value)


async def deactivate(auth: AuthManager, user: User) -> None:
    """Switch a user off."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(users.update().where(users.c.id == user.id).values(active=False))

    await auth.write(work)


@pytest.fixture
async def ada(auth: AuthManager) -> User:
    """May read the DAG `etl`, as `Viewer`."""
    role = (await admin.create_role(auth, "Viewer")).value
    await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:etl")
    return await add_user(auth, "ada", role.id)


@pytest.fixture
def token(auth: AuthManager, ada: User) -> str:
    """Ada's."""
    return auth.issue_token(ada.id)


@pytest.fixture(params=ADAPTERS)
def make_app(request: pytest.FixtureRequest) -> MakeApp:
    """The same app with each adapter."""
    return ADAPTERS[request.param]


@pytest.fixture
def app(make_app: MakeApp, auth: AuthManager) -> ASGIApp:
    """That app, without cookies."""
    return make_app(auth, None)


def client(app: ASGIApp) -> httpx.AsyncClient:
    """A client that calls the app without a network; what the app raises reaches the test."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")


def bearer(token: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {token}"}
