"""A Dag's `access_control` by FAB's code and by ours: the same rows."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, delete, or_, select

from asyncauth.airflow.access_control import Holders, decode, pairs_of, resource_name
from asyncauth.db.tables import actions, audit, permissions, resources, role_permissions, roles
from tests.airflow.process import Airflow
from tests.databases import Database

ON_EACH = pytest.mark.parametrize(
    "backend", ["sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql"], indirect=True
)
Grant = tuple[str, str, str]
A, B = "Team A", "Team B"
DAGS = {
    "none": "None",
    "empty": "{}",
    "both": "{'Team A': {'DAGs': {'can_read', 'can_edit'}, 'DAG Runs': {'can_create', 'menu_access'}}}",
    "old_style": "{'Team A': {'can_read'}, 'Team B': ['can_edit', 'can_delete']}",
    "lists": "{'Team A': {'DAGs': ['can_read'], 'DAG Runs': ('can_read',)}, 'Admin': {'DAGs': {'can_delete'}}}",
    "no_such_role": "{'Team A': {'DAGs': {'can_read'}}, 'Nobody': {'DAGs': {'can_read'}}}",
    "no_such_kind": "{'Team A': {'DAGs': {'can_read'}, 'Pools': {'can_read'}}}",
    "no_such_action": "{'Team A': {'DAGs': {'can_fly'}}}",
    "nothing": "{'Team A': {}, 'Team B': {'DAGs': set()}}",
    "DAGs": "{'Team B': {'DAGs': {'can_read'}}}",
    "ünï.код-1_x": "{'Team B': {'DAGs': {'can_read'}, 'DAG Runs': {'can_delete'}}}",
}
RAW = {
    "raw_set": "{'Team A': {'can_read', 'can_edit'}}",
    "raw_list": "{'Team A': ['can_read'], 'Team B': ('can_edit',)}",
    "raw_empty": "{'Team A': set(), 'Team B': []}",
    "DAG:raw": "{'Team A': {'DAGs': {'can_read'}}, 'Team B': {'DAG Runs': {'can_create'}}}",
    "raw_no_role": "{'Nobody': {'can_read'}}",
}
"""Forms that no Dag of today has, but that FAB understands."""
HELD = [
    (role, action, resource_name(dag_id, kind))
    for dag_id in (*DAGS, *RAW)
    for role, action, kind in (
        *((A, "can_read", "DAGs"), (A, "can_delete", "DAGs"), (B, "can_edit", "DAGs"), ("Admin", "can_edit", "DAGs")),
        *((A, "can_read", "DAG Runs"), (A, "menu_access", "DAG Runs"), (B, "can_read", "DAG Runs")),
    )
]
"""What stood before: some of it is asked for, some is not."""


class Rows:
    """What stands in the database about single Dags."""

    def __init__(self, database: Database) -> None:
        self._engine = create_engine(database.sync_url)

    def clear(self) -> None:
        """Remove it."""
        about = or_(*(resources.c.name.like(f"{prefix}%") for prefix in ("DAG:", "DAG Run:")))
        names = select(resources.c.id).where(about)
        pairs = select(permissions.c.id).where(permissions.c.view_menu_id.in_(names))
        with self._engine.begin() as connection:
            connection.execute(delete(role_permissions).where(role_permissions.c.permission_view_id.in_(pairs)))
            connection.execute(delete(permissions).where(permissions.c.view_menu_id.in_(names)))
            connection.execute(delete(resources).where(about))

    def read(self) -> tuple[set[tuple[str, str]], set[Grant]]:
        """Permissions, and who holds them."""
        columns = actions.c.name.label("action"), resources.c.name.label("resource")
        stored = (
            select(*columns)
            .join_from(permissions, actions, permissions.c.permission_id == actions.c.id)
            .join(resources, permissions.c.view_menu_id == resources.c.id)
            .where(or_(*(resources.c.name.like(f"{prefix}%") for prefix in ("DAG:", "DAG Run:"))))
        )
        held = (
            stored.add_columns(roles.c.name.label("role"))
            .join(role_permissions, role_permissions.c.permission_view_id == permissions.c.id)
            .join(roles, role_permissions.c.role_id == roles.c.id)
        )
        with self._engine.connect() as connection:
            pairs = {(row.action, row.resource) for row in connection.execute(stored)}
            return pairs, {(row.role, row.action, row.resource) for row in connection.execute(held)}

    def count_audits(self) -> int:
        """Synchronizations that changed something."""
        with self._engine.connect() as connection:
            return len(connection.execute(select(audit.c.id).where(audit.c.what == "sync_dags")).all())

    def close(self) -> None:
        """Close connections."""
        self._engine.dispose()


@pytest.fixture
def rows(airflow: Airflow) -> Iterator["Rows"]:
    rows = Rows(airflow.database)
    yield rows
    rows.clear()
    rows.close()


def arrange(airflow: Airflow, rows: Rows) -> None:
    """Let stand what `HELD` says."""
    rows.clear()
    for role, action, resource in HELD:
        airflow.call("add_permission", role=role, action=action, resource=resource)


@ON_EACH
def test_the_same_rows_as_fab(airflow: Airflow, rows: Rows) -> None:
    airflow.call("write_dags", dags=dict(list(DAGS.items())[:5]))
    airflow.call("write_dags", dags=dict(list(DAGS.items())[5:]), compress=True)
    found, problems = [], []
    for fab in (True, False):
        arrange(airflow, rows)
        problems.append(airflow.call("sync_dags", fab=fab))
        found.append(rows.read())
    assert found[0] == found[1]
    assert [len(one) for one in problems] == [3, 3]
    for word in ("no_such_role", "no_such_kind", "no_such_action"):
        assert any(word in problem for problem in problems[1]), word
    pairs, held = found[1]
    assert pairs > set().union(*(pairs_of(dag_id) for dag_id in DAGS))
    assert {grant for grant in held if grant[2] == "DAG:empty"} == {("Admin", "can_edit", "DAG:empty")}
    assert (A, "can_create", "DAG Run:both") in held


@ON_EACH
def test_the_same_in_the_dag_processor(airflow: Airflow, rows: Rows) -> None:
    found = []
    for fab in (True, False):
        arrange(airflow, rows)
        said = [
            airflow.call("sync_dag", dag_id=name, wanted=wanted, fab=fab) for name, wanted in {**DAGS, **RAW}.items()
        ]
        found.append((rows.read(), [bool(one) for one in said]))
    assert found[0] == found[1]
    assert sum(found[1][1]) == 4


@ON_EACH
def test_a_thousand_dags_take_a_handful_of_statements(airflow: Airflow, rows: Rows) -> None:
    airflow.call("write_dags", dags={"many": DAGS["both"], "one": "None"})
    airflow.call("copy_dag", dag_id="many", count=1000)
    rows.clear()
    before = rows.count_audits()
    airflow.call("add_permission", role=A, action="can_read", resource="DAG:many")
    first, second, third = airflow.call("look_for_changed_dags", times=3)
    assert first[0] >= 1002
    assert first[1] >= 4 * 1001 - 1
    assert first[2:] == [0, first[3]]
    assert first[3] <= 25
    # Its own record in the change log made it look at what stands once more.
    assert second[1:3] == [0, 0]
    assert second[3] <= 6
    # Those that name a role which does not exist are looked at each time: somebody may have made it.
    assert third[:3] == [first[0] - 1002 and 3, 0, 0]
    assert third[3] <= 5
    assert rows.count_audits() == before + 1

    airflow.call("write_dags", dags={"many_7": "{'Team B': {'DAGs': {'can_read'}}}", "new": DAGS["both"]})
    ((dags, granted, taken, _),) = airflow.call("look_for_changed_dags", times=1)
    assert (dags, granted, taken) == (2 + third[0], 5, 4)
    airflow.call("add_permission", role=B, action="can_edit", resource="DAG:many_8")
    airflow.call("look_for_changed_dags", times=1)
    assert {grant for grant in rows.read()[1] if grant[2] == "DAG:many_8"} == {
        (A, "can_read", "DAG:many_8"),
        (A, "can_edit", "DAG:many_8"),
    }


@ON_EACH
def test_workers_that_look_at_the_same_time(airflow: Airflow, rows: Rows) -> None:
    airflow.call("write_dags", dags={f"at_once_{number}": DAGS["both"] for number in range(20)})
    airflow.call("add_permission", role=A, action="can_read", resource="DAG:at_once_0")
    rows.clear()
    before = rows.count_audits()
    found = airflow.call("sync_dags_at_once", workers=6)
    assert sorted(found)[:-1] == [[0, 0, 0]] * 5
    assert rows.count_audits() == before + 1


@ON_EACH
def test_a_writer_that_is_held_up_tries_again(airflow: Airflow, rows: Rows) -> None:
    airflow.call("write_dags", dags={"held_up": DAGS["both"]})
    airflow.call("add_permission", role=A, action="can_read", resource="DAG:held_up")
    rows.clear()
    before = rows.count_audits()
    times, stored, _, _ = airflow.call("sync_dags_held_up")
    assert (times, stored > 0, rows.count_audits()) == (1, True, before + 1)
    assert airflow.call("sync_dags_at_once", workers=1) == [[0, 0, 0]]


def test_names_of_resources() -> None:
    assert resource_name("etl", "DAGs") == "DAG:etl"
    assert resource_name("etl", "DAG Runs") == "DAG Run:etl"
    assert resource_name("DAGs", "DAGs") == "DAG:DAGs"
    assert {resource_name(name, kind) for name in ("DAG:etl",) for kind in ("DAGs", "DAG Runs")} == {"DAG:etl"}
    assert resource_name("DAG Run:etl", "DAGs") == "DAG Run:etl"


@pytest.mark.parametrize("encoded", [7, {"__type": "datetime", "__var": 1}, {"__type": "set", "__var": [{}]}, {"a": 1}])
def test_what_is_no_access_control_is_refused(encoded: object) -> None:
    with pytest.raises(ValueError, match="it "):
        decode(encoded)


def test_what_is_decoded() -> None:
    inner = {"__type": "dict", "__var": {"DAGs": {"__type": "set", "__var": ["can_read"]}}}
    assert decode({"__type": "dict", "__var": {"A": inner, "B": ["x"]}}) == {"A": {"DAGs": {"can_read"}}, "B": ["x"]}


def test_a_mistake_in_one_dag_is_none_of_anothers() -> None:
    holders = Holders(roles={A})
    holders.apply("wrong", {"Nobody": {"can_read"}})
    holders.apply("odd", {A: 7})
    holders.apply("right", {A: {"can_read"}})
    assert holders.grants["DAG:right"] == {(A, "can_read")}
    assert len(holders.problems) == 2
