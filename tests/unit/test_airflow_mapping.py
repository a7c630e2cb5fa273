"""Airflow's questions → permissions, case by case; a differential test asks the real FAB manager at random."""

from enum import Enum

import pytest

from asyncauth.airflow import mapping
from asyncauth.model import Role, User, permission_key

Entity = Enum("Entity", ["RUN", "TASK_INSTANCE", "SOMETHING_NEW"])
View = Enum("View", ["DOCS", "JOBS", "SOMETHING_NEW"])


def who(*pairs: tuple[str, str], active: bool = True) -> User:
    """A user with one role of these permissions."""
    return User(1, "ada", (Role(1, "R", frozenset(permission_key(*pair) for pair in pairs)),), active=active)


READ_ALL, READ_ONE = ("can_read", "DAGs"), ("can_read", "DAG:etl")


@pytest.mark.parametrize(
    ("pairs", "method", "entity", "dag_id", "allowed"),
    [
        ([READ_ONE], "GET", None, None, True),  # may list: reads at least one
        ([READ_ONE], "GET", None, "", True),
        ([("can_edit", "DAG:etl")], "GET", None, None, False),
        ([READ_ONE], "GET", None, "etl", True),
        ([READ_ONE], "GET", None, "other", False),
        ([READ_ONE], "PUT", None, "etl", False),
        ([READ_ALL], "GET", None, "other", True),
        ([("can_edit", "DAG:etl")], "PUT", None, None, False),
        ([("can_edit", "DAG:etl")], "PATCH", None, "etl", True),
        ([("can_read", "DAG:DAGs")], "GET", None, "other", False),  # a DAG called "DAGs" is not all of them
        ([("can_read", "DAG:DAG")], "GET", None, "DAG:DAG", True),  # an id that begins like a resource
        ([READ_ONE], "GET", Entity.RUN, "etl", False),
        ([READ_ONE, ("can_read", "DAG Runs")], "GET", Entity.RUN, "etl", True),
        ([READ_ONE, ("can_read", "DAG Run:etl")], "GET", Entity.RUN, "etl", True),
        ([READ_ONE, ("can_read", "DAG Run:etl")], "GET", Entity.RUN, None, False),
        ([READ_ONE, ("can_create", "DAG Runs")], "POST", Entity.RUN, "etl", False),  # needs to edit the DAG
        ([("can_edit", "DAG:etl"), ("can_create", "DAG Runs")], "POST", Entity.RUN, "etl", True),
        ([("can_create", "DAG Runs")], "POST", Entity.RUN, None, True),
        ([READ_ALL, ("can_read", "Task Instances")], "GET", Entity.TASK_INSTANCE, "etl", False),  # and DAG Runs
        ([READ_ALL], "GET", Entity.SOMETHING_NEW, "etl", False),
        ([READ_ALL], "SOMETHING_NEW", None, "etl", False),
    ],
)
def test_dags(
    pairs: list[tuple[str, str]], method: str, entity: Entity | None, dag_id: str | None, allowed: bool
) -> None:
    """One question each; who is switched off may nothing."""
    assert mapping.may_dag(who(*pairs), method, entity, dag_id) is allowed
    assert not mapping.may_dag(who(*pairs, active=False), method, entity, dag_id)


def test_views() -> None:
    """The documentation is a link of the menu; what is new is denied."""
    user = who(("menu_access", "Documentation"), ("can_read", "Jobs"), ("can_read", "SOMETHING_NEW"))
    assert [mapping.may_view(user, view) for view in View] == [True, True, False]


def test_which_dags() -> None:
    """All, some, none."""
    assert mapping.find_dags(who(READ_ALL, READ_ONE), "GET") is None
    pairs = (READ_ONE, ("can_edit", "DAG:x"), ("can_read", "DAG Run:y"))
    assert mapping.find_dags(who(*pairs), "GET") == frozenset({"etl"})
    assert mapping.find_dags(who(READ_ALL, active=False), "GET") == frozenset()
    assert mapping.filter_dags(who(READ_ONE), "GET", {"etl", "other"}) == {"etl"}
