"""`airflow asyncauth check`: what it says before anything changes, and that it changes nothing."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.airflow.describe import describe, read_rows
from tests.airflow.installed import DRIVERS, ONE_OR_ALL, Installed
from tests.airflow.process import FAB, Airflow
from tests.databases import Database, Databases


@pytest.fixture(params=ONE_OR_ALL, scope="module")
def database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Database]:
    """One that the FAB provider made, on each kind of server."""
    made = databases.empty(DRIVERS[request.param])
    with closing(Airflow(made)) as airflow:
        airflow.call("migrate")
    yield made
    made.host.drop_database(made.name)


@pytest.fixture(scope="module")
def airflow(database: Database) -> Iterator[Installed]:
    """Airflow as it runs on FAB, with asyncauth installed and nothing else done."""
    with closing(Installed(database, fab=True, AIRFLOW__CORE__AUTH_MANAGER=FAB)) as airflow:
        yield airflow


def ask(airflow: Installed, *line: str, code: int = 0) -> dict[str, str]:
    """States by what was found."""
    said = airflow.run("asyncauth", "check", *line, "-o", "json", code=code)
    return {row["what"]: row["state"] for row in json.loads(said[said.index("[{") :])}  # after what libraries log


def test_what_fab_made_can_be_moved(airflow: Installed, database: Database) -> None:
    before = describe(database), _rows(database)
    found = ask(airflow)
    assert (describe(database), _rows(database)) == before
    assert "REFUSED" not in found.values()
    assert found["our tables are not there yet"] == "note"
    assert found["this account may make triggers"] == "note"
    assert found["the FAB provider is installed"] == "ok"
    assert any("was read, not executed" in what or "FAB's defaults hold" in what for what in found)
    airflow.run("db", "migrate")
    found = ask(airflow)
    assert found["all triggers stand"] == "ok"


def _rows(database: Database) -> dict[str, list[str]]:
    return {name: rows for name, rows in read_rows(database).items() if name != "log"}


def test_what_has_no_equal_is_refused(airflow: Installed, tmp_path: Path) -> None:
    path = tmp_path / "webserver_config.py"
    path.write_text(
        "from flask_appbuilder.const import AUTH_OAUTH\nAUTH_TYPE = AUTH_OAUTH\nAUTH_USER_REGISTRATION = True\n"
        "OAUTH_PROVIDERS = [{'name': 'x'}]\nraise SystemExit('it was run')\n"
    )
    found = ask(airflow, "--webserver-config", str(path), code=1)
    refused = [what for what, state in found.items() if state == "REFUSED"]
    assert len(refused) == 3
    assert "AUTH_TYPE is AUTH_OAUTH" in refused


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_an_account_that_may_not_make_triggers(airflow: Installed, database: Database) -> None:
    airflow.run("db", "migrate")
    with closing(_without_rights(database)) as other:
        found = ask(other)
    assert any(what.startswith("this account may not make triggers") for what in found), found
    assert "REFUSED" not in found.values()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "postgresql+asyncpg://u@h/d?sslmode=require"}, "sslmode"),
        ({"AIRFLOW__CORE__MULTI_TEAM": "True"}, "multi_team"),
        ({"AIRFLOW__API_AUTH__TRUSTED_JWKS_URL": "/keys.json"}, "trusted_jwks_url"),
        ({"AIRFLOW__ASYNCAUTH__USER_CACHE_SIZE": "many"}, "user_cache_size"),
    ],
)
def test_a_configuration_that_cannot_be_used(database: Database, variables: dict[str, str], reason: str) -> None:
    with closing(Installed(database, fab=False, **variables)) as airflow:
        found = ask(airflow, code=1)
    assert any(reason in what for what, state in found.items() if state == "REFUSED"), found


def _without_rights(database: Database) -> Installed:
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER asyncauth_ab_user_cutoff_update ON ab_user")
        connection.exec_driver_sql(
            "DO $$ BEGIN CREATE ROLE poor LOGIN PASSWORD 'poor'; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    engine.dispose()
    url = engine.url.set(drivername="postgresql+psycopg2", username="poor", password="poor")
    text = url.render_as_string(hide_password=False)
    return Installed(database, fab=True, AIRFLOW__CORE__AUTH_MANAGER=FAB, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=text)
