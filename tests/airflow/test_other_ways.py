"""Databases that came about in another order: Airflow after us, and tables as earlier releases of FAB made them."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from anyio import to_thread

from asyncauth import AuthManager, Settings, admin
from asyncauth.db.migrate import check, upgrade
from tests.airflow.conftest import DRIVERS
from tests.airflow.describe import describe
from tests.airflow.process import AUDIENCE, ISSUER, SECRET, Airflow
from tests.conftest import PATIENCE_SECONDS
from tests.databases import FULL, Database


def on(dialect: str) -> pytest.MarkDecorator:
    """On this one in `make test`, on each in `make test-all`: Airflow's migrations take many seconds."""
    chosen = DRIVERS if FULL else {dialect: DRIVERS[dialect]}
    return pytest.mark.parametrize("backend", [f"{name}+{driver}" for name, driver in chosen.items()], indirect=True)


@pytest.fixture
def airflow_on_ours(database: Database) -> Iterator[Airflow]:
    """An Airflow that comes to a database that we made."""
    with closing(Airflow(database)) as airflow:
        yield airflow


@pytest.fixture
def airflow_on_nothing(empty_database: Database) -> Iterator[Airflow]:
    """An Airflow that comes to an empty database."""
    with closing(Airflow(empty_database)) as airflow:
        yield airflow


def settings_for(database: Database) -> Settings:
    return Settings(
        database_url=database.url,
        jwt_secret=SECRET,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        database_timeout_seconds=PATIENCE_SECONDS,
    )


async def create_ada(auth: AuthManager, role: str) -> None:
    await admin.create_role(auth, role)
    await admin.create_user(
        auth, username=f"ada of {role}", password="a password", email=role, first_name="", last_name="", roles=(role,)
    )


async def refusals(database: Database) -> list[str]:
    return [finding.what for finding in await check(database.url) if not finding.ok]


@on("postgresql")
async def test_airflow_can_come_later(database: Database, airflow_on_ours: Airflow) -> None:
    async with AuthManager(settings_for(database)) as auth:
        await create_ada(auth, "before")
    ours = await to_thread.run_sync(describe, database)
    await airflow_on_ours.ask("migrate")
    both = await to_thread.run_sync(describe, database)
    assert {name: both[name] for name in ours} == ours
    assert "revoked_token" in both
    missing = "1 triggers that note changes are missing or disabled: asyncauth_revoked_token_insert"
    assert await refusals(database) == [missing]
    assert await upgrade(database.url) is True
    assert await refusals(database) == []
    async with AuthManager(settings_for(database)) as auth:
        await create_ada(auth, "after")
        assert await auth.get_user_from_token(await auth.login("ada of before", "a password"))
    assert await airflow_on_ours.ask("check_login", username="ada of after", password="a password")


@on("mysql")
async def test_tables_made_by_the_migrations_of_fab(empty_database: Database, airflow_on_nothing: Airflow) -> None:
    await airflow_on_nothing.ask("migrate_by_files")
    before = await to_thread.run_sync(describe, empty_database)
    await upgrade(empty_database.url)
    after = await to_thread.run_sync(describe, empty_database)
    assert {name: after[name] for name in before} == before
    assert await refusals(empty_database) == []
    async with AuthManager(settings_for(empty_database)) as auth:
        for role in ("first", "second"):
            await create_ada(auth, role)
        assert (await auth.get_user(username="ada of second")).id == 2
