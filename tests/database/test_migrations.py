"""`upgrade`, `current` and `sql` on every database: empty, ours, adopted, refused; and the way back."""

import os
import sys
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from asyncauth.db.migrate import check, current, sql, upgrade
from asyncauth.db.scripts import options
from asyncauth.db.tables import airflow_revocations, fab
from asyncauth.errors import ConfigurationError
from tests.airflow.describe import read_rows
from tests.clients import run_sql
from tests.database.foreign import OURS, make_fab
from tests.database.look import DIALECTS, described, execute, wrong
from tests.databases import Database

ROOT = Path(__file__).parents[2]
SQLITE_AND_POSTGRESQL = pytest.mark.parametrize("backend", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True)


@pytest.fixture(params=DIALECTS)
def backend(request: pytest.FixtureRequest) -> str:
    """One driver per dialect: `test_upgrade_at_once.py` has them all."""
    return cast("str", request.param)


async def test_an_empty_database_gets_all_tables(empty_database: Database) -> None:
    assert await current(empty_database.url) is None
    assert await upgrade(empty_database.url) is True
    assert await current(empty_database.url) == "0004"
    tables, rows = await described(empty_database)
    assert {*fab.tables, *OURS} <= tables.keys()
    assert rows["asyncauth_feed"] == [repr((1, "UUID", 0))]
    assert rows["asyncauth_change"] == []
    assert await wrong(empty_database) == []


async def test_the_second_upgrade_does_nothing(database: Database) -> None:
    before = await anyio.to_thread.run_sync(read_rows, database)
    tables, _ = await described(database)
    assert await upgrade(database.url) is False
    assert await anyio.to_thread.run_sync(read_rows, database) == before
    assert (await described(database))[0] == tables


async def test_a_sync_driver_makes_the_same(database: Database, empty_database: Database) -> None:
    assert await upgrade(empty_database.sync_url) is True
    assert await described(empty_database) == await described(database)
    assert await current(database.sync_url) == "0004"
    assert await check(database.sync_url) == await check(database.url)


async def test_an_engine_is_used_and_stays_open(database: Database, empty_database: Database) -> None:
    engine = create_async_engine(empty_database.url)
    try:
        assert await upgrade(engine) is True
        assert await upgrade(engine) is False
        assert await current(engine) == "0004"
        assert all(finding.ok for finding in await check(engine))
        assert await described(empty_database) == await described(database)
    finally:
        await engine.dispose()


async def test_an_engine_that_begins_by_itself_is_used(database: Database, empty_database: Database) -> None:
    # How SQLAlchemy's documentation makes SQLite's driver transactional; elsewhere a snapshot from the first statement.
    serializable: dict[str, Any] = {} if "sqlite" in empty_database.url else {"isolation_level": "SERIALIZABLE"}
    engine = create_async_engine(empty_database.url, **serializable)
    if "sqlite" in empty_database.url:
        event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        assert await upgrade(engine) is True
        assert await described(empty_database) == await described(database)
    finally:
        await engine.dispose()


def test_our_tables_are_what_the_code_expects(database: Database) -> None:
    engine = create_engine(database.sync_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options(database.host.dialect))
        assert compare_metadata(context, options(database.host.dialect)["target_metadata"]) == []
    engine.dispose()


@pytest.mark.parametrize("numbered", [False, True])
async def test_tables_of_the_provider_are_adopted_as_they_are(empty_database: Database, numbered: bool) -> None:
    await anyio.to_thread.run_sync(lambda: make_fab(empty_database, numbered=numbered))
    tables, rows = await described(empty_database)
    assert len(rows["ab_user"]) == 1
    assert await upgrade(empty_database.url) is True
    new_tables, new_rows = await described(empty_database)
    assert {name for name in new_tables.keys() - tables.keys() if not name.startswith("asyncauth_")} == set()
    assert new_tables.keys() >= OURS
    assert {name: new_tables[name] for name in tables} == tables
    assert {name: new_rows[name] for name in rows} == rows
    assert airflow_revocations.name not in new_tables
    assert await wrong(empty_database) == []


@SQLITE_AND_POSTGRESQL
async def test_an_index_that_the_provider_lacks_is_not_added(empty_database: Database) -> None:
    await anyio.to_thread.run_sync(make_fab, empty_database)
    await anyio.to_thread.run_sync(execute, empty_database, "DROP INDEX idx_user_group_id")
    tables, _ = await described(empty_database)
    await upgrade(empty_database.url)
    assert (await described(empty_database))[0]["ab_user_group"] == tables["ab_user_group"]


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("DROP TABLE ab_group_role", "ab_group_role"),
        ("ALTER TABLE ab_user DROP COLUMN fail_login_count", "ab_user.fail_login_count"),
    ],
)
async def test_an_older_schema_is_refused_untouched(empty_database: Database, statement: str, missing: str) -> None:
    await anyio.to_thread.run_sync(make_fab, empty_database)
    await anyio.to_thread.run_sync(execute, empty_database, statement)
    before = await described(empty_database)
    with pytest.raises(ConfigurationError, match=rf"missing: {missing}\): run airflow fab-db migrate"):
        await upgrade(empty_database.url)
    assert await described(empty_database) == before
    assert any(missing in finding.what for finding in await wrong(empty_database))


async def test_a_version_of_the_future_is_refused(database: Database) -> None:
    await anyio.to_thread.run_sync(execute, database, "UPDATE asyncauth_alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="version 9999, which this asyncauth does not know"):
        await upgrade(database.url)
    assert [finding.what for finding in await wrong(database)] == ["our tables are at version 9999, not 0004"]


@pytest.mark.parametrize("adopted", [False, True])
async def test_the_statements_for_running_by_hand_make_the_same(
    database: Database, empty_database: Database, adopted: bool
) -> None:
    def by_hand() -> None:
        if adopted:
            make_fab(empty_database)
        # Without a connection only the URL can say that the server is a MariaDB.
        name = "mariadb+" if empty_database.has_sequences else "mysql+"
        run_sql(empty_database, sql(empty_database.url.replace("mysql+", name), adopted=adopted))

    await anyio.to_thread.run_sync(by_hand)
    assert await upgrade(empty_database.url) is False
    made, expected = await described(empty_database), await described(database)
    assert {name: made[0][name] for name in expected[0]} == expected[0]
    assert made[1]["asyncauth_feed"] == expected[1]["asyncauth_feed"]
    assert await wrong(empty_database) == []


async def test_downgrade_takes_the_triggers_away_first(database: Database, empty_database: Database) -> None:
    """By one version: nothing of the change log is left, whoever writes goes on, and the way up is open."""
    await upgrade(empty_database.url)
    command = [sys.executable, "-m", "alembic", "downgrade", "0001"]
    environment = {**os.environ, "ASYNCAUTH_DATABASE_URL": empty_database.url}
    await anyio.run_process(command, cwd=ROOT, env=environment)
    tables, rows = await described(empty_database)
    ours = {name for name in tables if name.startswith("asyncauth_")}
    assert ours == {"asyncauth_stamp", "asyncauth_revoked_token", "asyncauth_alembic_version"}
    assert len(rows["asyncauth_stamp"]) == 11  # which version 0001 asks for
    await anyio.to_thread.run_sync(execute, empty_database, "DELETE FROM ab_user", "DELETE FROM ab_user_role")
    assert await upgrade(empty_database.url) is True
    assert (await described(empty_database))[0] == (await described(database))[0]


async def test_downgrade_leaves_no_trigger_that_writes_cut_offs(database: Database, empty_database: Database) -> None:
    """By one version: whoever writes goes on, changes are noted as before, and the way up is open."""
    await upgrade(empty_database.url)
    command = [sys.executable, "-m", "alembic", "downgrade", "0002"]
    environment = {**os.environ, "ASYNCAUTH_DATABASE_URL": empty_database.url}
    await anyio.run_process(command, cwd=ROOT, env=environment)
    columns = "id, first_name, last_name, username, email, password, active"
    writes = (
        f"INSERT INTO ab_user ({columns}) VALUES (1, '', '', 'ada', 'ada', 'x', true)",
        "UPDATE ab_user SET password = 'y', active = false",
        "DELETE FROM ab_user",
    )
    await anyio.to_thread.run_sync(execute, empty_database, *writes)
    tables, rows = await described(empty_database)
    assert "asyncauth_cutoff" not in tables
    assert len(rows["asyncauth_change"]) >= 2
    assert await upgrade(empty_database.url) is True
    assert (await described(empty_database))[0] == (await described(database))[0]
    await anyio.to_thread.run_sync(execute, empty_database, *writes)
    _, rows = await described(empty_database)
    assert len(rows["asyncauth_cutoff"]) == 2
    assert await wrong(empty_database) == []


async def test_downgrade_removes_our_tables_only(empty_database: Database) -> None:
    await anyio.to_thread.run_sync(make_fab, empty_database)
    before = await described(empty_database)
    await upgrade(empty_database.url)
    command = [sys.executable, "-m", "alembic", "downgrade", "base"]
    environment = {**os.environ, "ASYNCAUTH_DATABASE_URL": empty_database.url}
    await anyio.run_process(command, cwd=ROOT, env=environment)
    tables, rows = await described(empty_database)
    assert tables.pop("asyncauth_alembic_version")
    assert rows.pop("asyncauth_alembic_version") == []
    assert (tables, rows) == before
    assert await current(empty_database.url) is None
    assert await upgrade(empty_database.url) is True
