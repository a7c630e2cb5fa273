"""`airflow asyncauth …` beside FAB's own commands on the same database, and in their place without the FAB provider."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from asyncauth.airflow.provider import EXTRA_OPTIONS, OPTIONS, get_provider_info
from asyncauth.db.tables import audit, resources
from tests.airflow.describe import describe
from tests.airflow.installed import DRIVERS, ONE_OR_ALL, Installed, run_airflow
from tests.airflow.process import FAB
from tests.databases import Database, Databases

PASSWORD = "correct horse battery staple"
WHO = ("--firstname", "Ada", "--lastname", "Lovelace", "--email", "Ada@airflow.example")


@pytest.fixture(params=ONE_OR_ALL, scope="module")
def database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Database]:
    """One on each kind of server, for all tests of this file in their order."""
    made = databases.empty(DRIVERS[request.param])
    yield made
    made.host.drop_database(made.name)


@pytest.fixture(scope="module")
def airflow(database: Database) -> Iterator[Installed]:
    """Airflow with the FAB provider, and both kinds of commands."""
    more = {"AIRFLOW__CORE__AUTH_MANAGER": FAB, "AIRFLOW__FAB__CUSTOM_ROLES": '{"Clerks": []}'}
    with closing(Installed(database, fab=True, **more)) as airflow:
        airflow.run("db", "migrate")
        yield airflow


def both(airflow: Installed, *line: str) -> object:
    """What FAB's command and ours say in JSON, which has to be the same."""
    theirs, ours = (read_json(airflow.run(*prefix, *line, "-o", "json")) for prefix in ((), ("asyncauth",)))
    assert ours == theirs
    return ours


def read_json(said: str) -> Any:
    """What stands after that which libraries log."""
    return json.loads(said[said.index("[{") :])


def ours(airflow: Installed, *line: str, code: int = 0) -> str:
    return airflow.run("asyncauth", *line, code=code)


def test_default_roles(airflow: Installed) -> None:
    said = ours(airflow, "sync-perm")
    assert "6 roles" in said
    roles = both(airflow, "roles", "list")
    assert roles == [{"name": name} for name in ("Admin", "Clerks", "Op", "Public", "User", "Viewer")]
    both(airflow, "roles", "list", "-p")
    assert "0 roles, 0 permissions and 0 grants added" in ours(airflow, "sync-perm")


def test_users(airflow: Installed, tmp_path: Path) -> None:
    create = ("users", "create", "-u", "ada", "-p", PASSWORD, *WHO)
    assert "Nobody is not a valid role. Valid roles are: [Admin, Clerks," in ours(
        airflow, *create, "-r", "Nobody", code=1
    )
    assert ours(airflow, *create, "-r", "Op") == 'User "ada" created with role "Op"\n'
    assert ours(airflow, *create, "-r", "Op") == "ada already exists in the db\n"
    again = ("users", "create", "-u", "bob", "--use-random-password", *WHO, "-r", "Op")
    assert "is taken" in ours(airflow, *again, code=1)
    assert both(airflow, "users", "list") == [
        {
            "id": "1",
            "username": "ada",
            "email": "Ada@airflow.example",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "roles": ["Op"],
        }
    ]
    assert airflow.call("check_login", username="ada", password=PASSWORD)

    assert 'added to role "Viewer"' in ours(airflow, "users", "add-role", "-u", "ADA", "-r", "Viewer")
    assert "already a member" in ours(airflow, "users", "add-role", "-u", "ada", "-r", "Viewer", code=1)
    assert 'removed from role "Op"' in ours(airflow, "users", "remove-role", "-e", "Ada@airflow.example", "-r", "Op")
    assert "not a member" in ours(airflow, "users", "remove-role", "-u", "ada", "-r", "Op", code=1)
    assert "does not exist" in ours(airflow, "users", "delete", "-u", "eve", code=1)
    assert "Missing args" in ours(airflow, "users", "delete", code=1)
    assert "not both" in ours(airflow, "users", "delete", "-u", "ada", "-e", "x", code=1)

    ours(airflow, "users", "reset-password", "-u", "ada", "-p", "another one")
    assert not airflow.call("check_login", username="ada", password=PASSWORD)
    assert airflow.call("check_login", username="ada", password="another one")
    files = tmp_path / "theirs.json", tmp_path / "ours.json"
    airflow.run("users", "export", str(files[0]))
    ours(airflow, "users", "export", str(files[1]))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert ours(airflow, "users", "delete", "-u", "ada") == 'User "ada" deleted\n'
    assert ours(airflow, "users", "import", str(files[0])) == "Created the following users:\n\tAda@airflow.example\n"
    assert ours(airflow, "users", "import", str(files[0])) == "Updated the following users:\n\tAda@airflow.example\n"
    rows = json.loads(files[0].read_text())
    files[0].write_text(json.dumps([rows[0] | {"username": "other"}]))
    assert "Changing the username is not allowed" in ours(airflow, "users", "import", str(files[0]), code=1)
    files[0].write_text(json.dumps([rows[0] | {"roles": ["Nobody"]}]))
    assert '"Nobody" is not a valid role' in ours(airflow, "users", "import", str(files[0]), code=1)
    files[0].write_text("[{}]")
    assert "didn't pass validation" in ours(airflow, "users", "import", str(files[0]), code=1)
    assert "does not exist" in ours(airflow, "users", "import", str(tmp_path / "none"), code=1)
    assert both(airflow, "users", "list")


def test_roles(airflow: Installed, tmp_path: Path) -> None:
    assert ours(airflow, "roles", "create", "Cooks", "Guards", "Cooks") == "Added 3 role(s)\n"
    add = ("roles", "add-perms", "Cooks", "Guards", "-r", "DAGs", "Pools", "-a", "can_read", "can_edit")
    said = ours(airflow, *add)
    assert "Added can read on Pools to role Guards\n" in said
    assert said.endswith("Added 8 permission(s)\n")
    assert ours(airflow, *add) == "Added 0 permission(s)\n"
    assert "Resource named 'Pots' does not exist" in ours(
        airflow, "roles", "add-perms", "Cooks", "-r", "Pots", "-a", "can_read", code=1
    )
    assert "Action named 'fry' does not exist" in ours(
        airflow, "roles", "add-perms", "Cooks", "-r", "Pools", "-a", "fry", code=1
    )
    assert "Role named 'Kings' does not exist" in ours(airflow, "roles", "delete", "Cooks", "Kings", code=1)
    said = ours(airflow, "roles", "del-perms", "Cooks", "-r", "DAGs")
    assert said.endswith("Deleted 2 permission(s)\n")
    said = ours(airflow, "roles", "del-perms", "Guards", "-r", "DAGs", "Pools", "-a", "can_edit")
    assert said.endswith("Deleted 2 permission(s)\n")
    both(airflow, "roles", "list", "-p")
    files = tmp_path / "theirs.json", tmp_path / "ours.json"
    airflow.run("roles", "export", str(files[0]))
    ours(airflow, "roles", "export", str(files[1]))
    theirs, exported = ({tuple(row.values()) for row in json.loads(file.read_text())} for file in files)
    assert theirs == exported
    assert ("Cooks", "Pools", "can_edit,can_read") in exported
    before = both(airflow, "roles", "list", "-p")
    assert ours(airflow, "roles", "delete", "Cooks", "Guards") == "Deleted 2 role(s)\n"
    ours(airflow, "roles", "import", str(files[0]))
    assert both(airflow, "roles", "list", "-p") == before
    ours(airflow, "roles", "delete", "Cooks", "Guards")


def test_dags(airflow: Installed, database: Database) -> None:
    airflow.call(
        "write_dags", dags={"etl": "{'Viewer': {'DAGs': {'can_edit'}}}", "bad": "{'No': {'DAGs': {'can_edit'}}}"}
    )
    said = ours(airflow, "sync-perm", "--include-dags")
    assert "Skipped: Dag 'bad'" in said
    assert "2 Dags: 14 permissions stored, 1 granted, 0 taken away" in said
    airflow.call("add_permission", role="Viewer", action="can_read", resource="DAG:gone")
    airflow.call("add_permission", role="Viewer", action="can_read", resource="DAG Run:gone")
    airflow.call("add_permission", role="Viewer", action="can_read", resource="DAG:gone, too")
    dry = ours(airflow, "permissions-cleanup", "--dry-run")
    assert "  - gone\n  - gone, too\n" in dry
    assert set(dry.splitlines()[:3]) <= set(airflow.run("permissions-cleanup", "--dry-run").splitlines())
    assert {"DAG:gone", "DAG:gone, too"} < names(database)
    assert "not found in orphaned" in ours(airflow, "permissions-cleanup", "-d", "etl", "-y")
    ours(airflow, "permissions-cleanup", "-d", "gone", "-y")
    assert names(database) & {"DAG:gone", "DAG Run:gone", "DAG:gone, too"} == {"DAG:gone, too"}
    assert "for 1 DAG(s)" in ours(airflow, "permissions-cleanup", "--yes")
    assert "No orphaned" in ours(airflow, "permissions-cleanup", "--yes")
    assert "DAG:etl" in names(database)


def test_everything_was_noted_without_a_password(database: Database) -> None:
    engine = create_engine(database.sync_url)
    with engine.connect() as connection:
        rows = [repr(row) for row in connection.execute(select(audit))]
        logged = connection.exec_driver_sql("SELECT * FROM log").all()
    engine.dispose()
    assert len(rows) > 10
    assert not any(secret in text for text in (*rows, repr(logged)) for secret in (PASSWORD, "another one"))


def test_without_the_fab_provider(database: Database, tmp_path: Path) -> None:
    with closing(Installed(database, fab=False)) as alone:
        for prefix in ((), ("asyncauth",)):
            (user,) = read_json(alone.run(*prefix, "users", "list", "-o", "json"))
            assert user["username"] == "ada"
            alone.run(*prefix, "sync-perm", "--include-dags")
            assert "No orphaned" in alone.run(*prefix, "permissions-cleanup", "-y")
        alone.run("roles", "create", "Guests")
        assert {"name": "Guests"} in read_json(alone.run("roles", "list", "-o", "json"))


def test_the_words_of_the_fab_provider_go_on_working(airflow: Installed, database: Database) -> None:
    """With our manager in FAB's place, and the provider still installed."""
    del airflow
    with closing(Installed(database, fab=True)) as chosen:
        both(chosen, "users", "list")
        both(chosen, "roles", "list", "-p")
        chosen.run("users", "create", "-u", "fred", "-p", PASSWORD, "-r", "Op", *WHO[:4], "-e", "fred@airflow.example")
        assert any(user["username"] == "fred" for user in read_json(ours(chosen, "users", "list", "-o", "json")))
        chosen.run("users", "delete", "-u", "fred")
        chosen.run("sync-perm")


def test_what_is_dropped_is_ours(airflow: Installed, database: Database) -> None:
    """The last but one step of those who move back for good."""
    stood = names(database)
    assert "users, roles and permissions stay" in ours(airflow, "drop-tables", "--yes")
    assert not any("asyncauth" in name for name in describe(database))
    assert names(database) == stood
    assert read_json(airflow.run("users", "list", "-o", "json"))
    airflow.run("users", "delete", "-u", "ada")


@pytest.mark.parametrize("fab", [True, False])
def test_airflow_starts_whether_or_not_the_fab_provider_is_there(databases: Databases, fab: bool) -> None:
    database = databases.empty("sqlite+aiosqlite")
    done = run_airflow(database, "version", fab=fab)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("3.")
    done = run_airflow(database, "--help", fab=fab)
    words = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert {"asyncauth", "users", "roles", "sync-perm", "permissions-cleanup"} <= set(words)
    assert ("fab-db" in words) is fab


def test_options_are_the_settings_that_airflow_does_not_have(databases: Databases) -> None:
    with closing(Installed(databases.empty("sqlite+aiosqlite"), fab=False)) as airflow:
        read = airflow.call("read_options")
    from_elsewhere = {"database_url", "jwt_private_key_path", "jwt_allow_any_audience", "seed_at_start", "custom_roles"}
    assert {*OPTIONS, *EXTRA_OPTIONS} == {*read["settings"], *read["others"]} - from_elsewhere


def test_what_airflow_is_told_costs_it_nothing() -> None:
    code = "import sys, asyncauth.airflow.provider as p; p.get_provider_info(); print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "asyncauth.airflow.provider" in loaded
    assert not {"airflow", "sqlalchemy", "pydantic", "asyncauth.manager", "asyncauth.settings"} & loaded
    assert all(option["default"] is None for option in get_provider_info()["config"]["asyncauth"]["options"].values())


def names(database: Database) -> set[str]:
    """The resources that are stored."""
    engine = create_engine(database.sync_url)
    try:
        with engine.connect() as connection:
            return set(connection.scalars(select(resources.c.name)))
    finally:
        engine.dispose()
