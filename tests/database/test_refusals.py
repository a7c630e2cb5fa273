"""What an operator reads when the database cannot be used: one sentence that says what to do, without the password."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from asyncauth.db.engine import make_engine
from asyncauth.db.explain import explain
from asyncauth.db.migrate import check, current, upgrade
from asyncauth.errors import ConfigurationError
from tests.conftest import PATIENCE_SECONDS
from tests.databases import Database, Databases
from tests.servers.find import free_port

SERVERS = ("postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2", "mysql+aiomysql", "mysql+pymysql")
on_servers = pytest.mark.parametrize("backend", SERVERS, indirect=True)
HIDDEN = "a-password-nobody-may-see"


@pytest.fixture(scope="module")
def places(databases: Databases) -> Iterator[dict[str, Database]]:
    """A database by backend, for all tests here: nothing is ever made in it."""
    made: dict[str, Database] = {}
    yield made
    for database in made.values():
        database.host.drop_database(database.name)


@pytest.fixture
def empty_database(places: dict[str, Database], databases: Databases, backend: str) -> Database:
    """One of `places`."""
    if backend not in places:
        places[backend] = databases.empty(backend)
    return places[backend]


async def refusal(url: str) -> str:
    """The sentence, the same from all three."""
    with pytest.raises(ConfigurationError) as caught:
        await upgrade(url)
    assert caught.value.__suppress_context__
    message = str(caught.value)
    assert (HIDDEN in message, "\n" in message) == (False, False)
    with pytest.raises(ConfigurationError) as again:
        await current(url)
    [finding] = await check(url)
    assert (str(again.value), finding.what, finding.ok) == (message, message, False)
    return message


@on_servers
async def test_nobody_answers(empty_database_url: str) -> None:
    url = make_url(empty_database_url).set(port=free_port(), password=HIDDEN)
    message = await refusal(url.render_as_string(hide_password=False))
    assert message.startswith(f"cannot reach the database {url.database} at 127.0.0.1:{url.port}: check that it runs")


@on_servers
async def test_no_such_host(empty_database_url: str) -> None:
    """A name that can be none, so that nobody's name server is asked, which may take its time."""
    url = make_url(empty_database_url).set(host="nowhere!", password=HIDDEN)
    assert "cannot reach" in await refusal(url.render_as_string(hide_password=False))


@on_servers
async def test_a_wrong_password(empty_database_url: str) -> None:
    url = make_url(empty_database_url).set(password=HIDDEN)
    message = await refusal(url.render_as_string(hide_password=False))
    assert f"refuses the user {url.username}: check name and password" in message


@on_servers
async def test_no_such_user(empty_database_url: str) -> None:
    url = make_url(empty_database_url).set(username="nobody", password=HIDDEN)
    assert "refuses the user nobody: " in await refusal(url.render_as_string(hide_password=False))


@on_servers
async def test_no_such_database(empty_database_url: str) -> None:
    url = make_url(empty_database_url).set(database="nowhere")
    assert "the database nowhere at " in await refusal(url.render_as_string(hide_password=False))
    assert "does not exist: create it" in await refusal(url.render_as_string(hide_password=False))


@on_servers
async def test_an_account_that_may_not_create_tables(empty_database: Database) -> None:
    name = f"reader_{empty_database.name}"
    if empty_database.host.dialect == "postgresql":
        make = [f"CREATE ROLE {name} LOGIN PASSWORD '{HIDDEN}'"]
        drop = [f"DROP ROLE {name}"]
    else:
        make = [
            f"CREATE USER {name}@'%' IDENTIFIED BY '{HIDDEN}'",
            f"GRANT SELECT ON {empty_database.name}.* TO {name}",
        ]
        drop = [f"DROP USER {name}@'%'"]
    await anyio.to_thread.run_sync(empty_database.server.execute, *make)
    url = make_url(empty_database.url).set(username=name, password=HIDDEN)
    try:
        with pytest.raises(ConfigurationError, match=f"lets the user {name} connect, but not do this: grant") as caught:
            await upgrade(url.render_as_string(hide_password=False))
        assert HIDDEN not in str(caught.value)
    finally:
        await anyio.to_thread.run_sync(empty_database.server.execute, *drop)


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
class TestSQLite:
    """The same for files."""

    async def test_no_such_folder(self, scheme: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be opened: check that its directory exists"):
            await upgrade(f"{scheme}:///{tmp_path}/nowhere/auth.db")

    async def test_no_such_file_is_not_made_by_looking(self, scheme: str, tmp_path: Path) -> None:
        url = f"{scheme}:///{tmp_path}/auth.db"
        with pytest.raises(ConfigurationError, match="there is no SQLite file"):
            await current(url)
        assert [finding.ok for finding in await check(url)] == [False]
        assert not await anyio.Path(tmp_path, "auth.db").exists()

    async def test_another_kind_of_file(self, scheme: str, tmp_path: Path) -> None:
        path = anyio.Path(tmp_path, "auth.db")
        await path.write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
        assert "is not an SQLite database: correct the path" in await refusal(f"{scheme}:///{path}")


async def test_a_database_without_our_tables(empty_database: Database) -> None:
    engine = make_engine(empty_database.url, pool_size=1, timeout_seconds=PATIENCE_SECONDS)
    with pytest.raises(Exception, match="asyncauth_feed") as caught:
        async with engine.connect() as connection:
            await connection.exec_driver_sql("SELECT epoch FROM asyncauth_feed")
    await engine.dispose()
    assert explain(caught.value, engine.url) == "the database has no asyncauth tables: run asyncauth db upgrade"


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True)
async def test_a_parameter_that_only_the_driver_can_judge(empty_database: Database) -> None:
    if empty_database.driver == "psycopg":
        assert "parameter that its driver does not take" in await refusal(f"{empty_database.url}?odd=1")
    else:
        engine = create_async_engine(empty_database.url, connect_args={"odd": 1})
        with pytest.raises(ConfigurationError, match="parameter that its driver does not take"):
            await upgrade(engine)
        await engine.dispose()
