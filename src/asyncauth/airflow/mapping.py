"""What Airflow asks → which permissions decide it, as the FAB provider 3.10.2 does. Pure; right in any thread.

Airflow's words come as text or as members of its enums; of both only the text is looked at, so that words of a newer
core are denied, not errors.
"""

from collections.abc import Collection
from enum import Enum
from functools import lru_cache

from asyncauth.model import PermissionKey, User, permission_key

ACTIONS = {
    "GET": "can_read",
    "POST": "can_create",
    "PUT": "can_edit",
    "PATCH": "can_edit",
    "DELETE": "can_delete",
    "MENU": "menu_access",
}
"""By method of the question."""
DAG, DAG_PREFIX, RUN_PREFIX = "DAGs", "DAG:", "DAG Run:"
ENTITIES: dict[str, tuple[str, ...]] = {
    "AUDIT_LOG": ("Audit Logs",),
    "CODE": ("DAG Code",),
    "DEPENDENCIES": ("DAG Dependencies",),
    "HITL_DETAIL": ("HITL Detail",),
    "RUN": ("DAG Runs",),
    "TASK": ("Task Instances",),
    "TASK_INSTANCE": ("DAG Runs", "Task Instances"),
    "TASK_LOGS": ("Task Logs",),
    "VERSION": ("DAG Versions",),
    "WARNING": ("DAG Warnings",),
    "XCOM": ("XComs",),
}
"""What of a DAG a question is about → all the resources that are needed beside the DAG itself."""
VIEWS = {
    "AUDIT_LOGS_ALL": "All Audit Logs",
    "CLUSTER_ACTIVITY": "Cluster Activity",
    "DOCS": "Documentation",
    "IMPORT_ERRORS": "ImportError",
    "IMPORT_ERRORS_ALL": "All Import Errors",
    "JOBS": "Jobs",
    "PLUGINS": "Plugins",
    "PROVIDERS": "Providers",
    "REPARSE_ALL": "All Reparses",
    "TRIGGERS": "Triggers",
    "WEBSITE": "Website",
}
MENU = {
    "AUDIT_LOG": "Audit Logs",
    "CONFIG": "Configurations",
    "DAGS": DAG,
    "DAG_BUNDLES": DAG,
    "DEADLINES": "DAG Runs",
    "DOCS": "Documentation",
    "REQUIRED_ACTIONS": "HITL Detail",
}
"""Items of the menu whose resource is not called as they are shown."""


def word(value: object) -> str:
    """The name of an enum's member; text as it is."""
    return value.name if isinstance(value, Enum) else str(value)


def holds(user: User, action: str, resource: str) -> bool:
    """Whether one of the user's roles holds the pair."""
    key = permission_key(action, resource)
    return user.active and any(key in role.keys for role in user.roles)


def may(user: User, method: str, resource: str) -> bool:
    """Whether the user may do what `method` stands for; an unknown method is denied."""
    action = ACTIONS.get(method)
    return action is not None and holds(user, action, resource)


def may_view(user: User, view: object) -> bool:
    """Whether the user may see a page of Airflow's. The documentation is a link of the menu, not a page."""
    name = word(view)
    resource = VIEWS.get(name)
    return resource is not None and may(user, "MENU" if name == "DOCS" else "GET", resource)


def may_open(user: User, item: Enum) -> bool:
    """Whether the menu shows this item."""
    return may(user, "MENU", MENU.get(item.name, str(item.value)))


def may_dag(user: User, method: str, entity: object, dag_id: str | None) -> bool:
    """Whether the user may do `method` to a DAG (None: to DAGs in general), or to something of it.

    Args:
        entity: what of the DAG, a member of `DagAccessEntity`; None: the DAG itself.
        dag_id: an empty one counts as none.
    """
    if entity is not None and not _may_entity(user, method, word(entity), dag_id):
        return False
    if not dag_id:
        if method == "GET":
            return may_list(user)
        return entity is not None or may(user, method, DAG)
    if entity is None:
        return may_one(user, method, dag_id)
    return may_one(user, "GET" if method == "GET" else "PUT", dag_id)


def _may_entity(user: User, method: str, entity: str, dag_id: str | None) -> bool:
    resources = ENTITIES.get(entity)
    if resources is None:
        return False
    if all(may(user, method, resource) for resource in resources):
        return True
    return entity == "RUN" and bool(dag_id) and may(user, method, _resource_name(RUN_PREFIX, dag_id or ""))


def may_one(user: User, method: str, dag_id: str) -> bool:
    """Whether the user may do `method` to all DAGs, or to this one."""
    return may(user, method, DAG) or may(user, method, _resource_name(DAG_PREFIX, dag_id))


def may_list(user: User) -> bool:
    """Whether the user may read any DAG."""
    return may(user, "GET", DAG) or (
        user.active and any(_object_resources(role.keys, ACTIONS["GET"]) for role in user.roles)
    )


def find_dags(user: User, method: str) -> frozenset[str] | None:
    """The ids of the DAGs to which the user may do `method`, existing or not; None: all there are."""
    action = ACTIONS.get(method)
    if action is None or not user.active:
        return frozenset()
    if holds(user, action, DAG):
        return None
    return frozenset().union(*(_object_resources(role.keys, action) for role in user.roles))


def filter_dags(user: User, method: str, dag_ids: Collection[str]) -> set[str]:
    """Of these DAGs those to which the user may do `method`."""
    if may(user, method, DAG):
        return set(dag_ids)
    return {dag_id for dag_id in dag_ids if may_dag(user, method, None, dag_id)}


def _resource_name(prefix: str, dag_id: str) -> str:
    """`DAG:etl`. An id that begins like a resource is taken for one, as FAB does."""
    return dag_id if dag_id.startswith((DAG_PREFIX, RUN_PREFIX)) else prefix + dag_id


@lru_cache(maxsize=256)  # of a role's frozen set; an older one of the same role is soon forgotten
def _object_resources(keys: frozenset[PermissionKey], action: str) -> frozenset[str]:
    start = permission_key(action, DAG_PREFIX)
    return frozenset(key[len(start) :] for key in keys if key.startswith(start))
