"""`airflow db …` with asyncauth installed: whatever stood there, at the end our tables and triggers do."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Connection, create_engine, insert, inspect, text

from asyncauth.db import state
from asyncauth.db.migrate import check
from asyncauth.db.standing import find_missing
from asyncauth.db.tables import fab, own, roles, users
from tests.airflow.describe import describe, read_rows
from tests.airflow.installed import DRIVERS, Installed
from tests.airflow.process import FAB
from tests.databases import FULL, Database, Databases

TRIGGER = "asyncauth_ab_user_cutoff_update"
OURS = {*own.tables, "asyncauth_alembic_version"}


@pytest.fixture(params=DRIVERS if FULL else ["mysql"], scope="module")
def database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Database]:
    """An empty one, for all tests of this file in their order; in `make test` only where DDL knows no transactions."""
    made = databases.empty(DRIVERS[request.param])
    yield made
    made.host.drop_database(made.name)


@pytest.fixture(scope="module")
def airflow(database: Database) -> Iterator[Installed]:
    """Airflow with the FAB provider."""
    with closing(Installed(database, fab=True, AIRFLOW__CORE__AUTH_MANAGER=FAB)) as airflow:
        yield airflow


def problems(database: Database) -> list[str]:
    """What is wrong with the tables; no trigger is missing if this is empty."""
    findings = asyncio.run(check(database.url))
    assert findings
    return [finding.what for finding in findings if not finding.ok]


def execute(database: Database, *statements: str) -> None:
    """Run SQL."""
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def tables(database: Database) -> set[str]:
    """The names of the tables."""
    engine = create_engine(database.sync_url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def drop_trigger(database: Database) -> None:
    """As rebuilding the table does."""
    execute(database, f"DROP TRIGGER {TRIGGER}{' ON ab_user' if database.host.dialect == 'postgresql' else ''}")


def test_each_command_ends_with_tables_and_triggers(airflow: Installed, database: Database) -> None:
    airflow.run("db", "migrate")
    assert problems(database) == []
    made = describe(database)
    airflow.run("db", "check-migrations", "-t", "1")

    drop_trigger(database)
    assert any(TRIGGER in what for what in problems(database))
    airflow.run("db", "migrate")
    assert describe(database) == made

    airflow.run("db", "reset", "--yes")
    assert problems(database) == []
    assert describe(database) == made


def test_what_is_dropped_and_made_again_is_an_adopted_database(airflow: Installed, database: Database) -> None:
    made = describe(database)
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        connection.execute(insert(roles).values(name="Archivists"))
    engine.dispose()
    airflow.call("drop_ours")
    assert OURS & tables(database) == set()
    rest = {name: lines for name, lines in made.items() if name in describe(database)}
    assert describe(database) == rest
    assert not any("asyncauth" in name for name in rest)
    assert users.name in rest
    rows = read_rows(database)
    with pytest.raises(AssertionError, match="unapplied migrations"):
        airflow.run("db", "check-migrations", "-t", "1")

    airflow.run("db", "migrate")
    assert problems(database) == []
    assert describe(database) == made
    assert {name: read_rows(database)[name] for name in fab.tables} == {name: rows[name] for name in fab.tables}
    assert any("Archivists" in row for row in rows["ab_role"])


def test_reset_without_init_leaves_nothing_of_ours(airflow: Installed, database: Database) -> None:
    airflow.run("db", "reset", "--yes", "--skip-init")
    assert not any("asyncauth" in name or name.startswith("ab_") for name in describe(database))


def test_without_the_fab_provider(airflow: Installed, database: Database) -> None:
    """We make the `ab_*` tables and take them away, and the provider goes on with them."""
    with closing(Installed(database, fab=False)) as alone:
        alone.run("db", "migrate")
        assert problems(database) == []
        made = describe(database)
        assert set(fab.tables) <= tables(database)
        assert "alembic_version_fab" not in made
        alone.run("db", "reset", "--yes")
        assert problems(database) == []
        assert describe(database) == made
        alone.run("db", "check-migrations", "-t", "1")
    airflow.run("db", "migrate")
    assert problems(database) == []
    assert "alembic_version_fab" in tables(database)


@pytest.mark.parametrize("dialect", DRIVERS if FULL else ["sqlite"])
def test_airflow_goes_back_to_before_it_revoked_tokens(databases: Databases, dialect: str) -> None:
    """Its downgrades drop the table that has a trigger of ours, and rebuild others; its upgrades make it anew."""
    database = databases.empty(DRIVERS[dialect])
    with closing(Installed(database, fab=True, AIRFLOW__CORE__AUTH_MANAGER=FAB)) as airflow:
        airflow.run("db", "migrate")
        airflow.run("db", "downgrade", "--to-version", "3.1.0", "--yes")
        assert "revoked_token" not in tables(database)
        airflow.run("db", "migrate")
    assert "revoked_token" in tables(database)
    assert problems(database) == []
    database.host.drop_database(database.name)


def test_a_schema_of_airflows_own(databases: Databases) -> None:
    """`[database] sql_alchemy_schema`: everything stands where FAB's tables do."""
    database = databases.empty(DRIVERS["postgresql"])
    execute(database, 'CREATE SCHEMA "of Airflow"')
    with closing(Installed(database, fab=True, AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA="of Airflow")) as airflow:
        airflow.run("db", "migrate")
        assert _in_schema(database) == {"missing": [], "ours": len(OURS), "fab": len(fab.tables)}
        assert not {*OURS, *fab.tables} & tables(database)
        airflow.run("db", "check-migrations", "-t", "1")
        airflow.call("drop_ours")
        assert _in_schema(database)["ours"] == 0
    database.host.drop_database(database.name)


def _in_schema(database: Database) -> dict[str, object]:
    engine = create_engine(database.sync_url)

    def look(connection: Connection) -> dict[str, object]:
        names = set(inspect(connection).get_table_names(schema="of Airflow"))
        connection.execute(text('SET search_path TO "of Airflow"'))
        connection.dialect.default_schema_name = "of Airflow"
        assert state.look(connection).fab_version
        return {"missing": find_missing(connection), "ours": len(names & OURS), "fab": len(names & set(fab.tables))}

    try:
        with engine.connect() as connection:
            return look(connection)
    finally:
        engine.dispose()
