"""Permissions of Dags that are gone: Airflow deletes a Dag, and nobody its permissions."""

import json
import time
from collections.abc import Collection

from sqlalchemy import Connection, column, delete, insert, or_, select, table

from asyncauth.airflow.access_control import PREFIXES
from asyncauth.airflow.dag_rows import pieces, take_turn
from asyncauth.db.tables import audit, permissions, resources, role_permissions

_dags = table("dag", column("dag_id"))


def find_orphans(connection: Connection) -> dict[str, list[int]]:
    """By id of a Dag that is gone, the ids of its resources."""
    there = set(connection.scalars(select(_dags.c.dag_id)))
    about = or_(*(resources.c.name.like(f"{prefix}%") for prefix in PREFIXES.values()))
    found: dict[str, list[int]] = {}
    for row in connection.execute(select(resources.c.id, resources.c.name).where(about)):
        dag_id = _dag_id(row.name)
        if dag_id and dag_id not in there:
            found.setdefault(dag_id, []).append(row.id)
    return found


def delete_orphans(connection: Connection, dag_ids: Collection[str]) -> int:
    """Delete their permissions, whoever holds them, and commit; how many Dags it were. Those that have come back
    meanwhile keep theirs."""
    connection.rollback()
    take_turn(connection)
    gone = {dag_id: ids for dag_id, ids in find_orphans(connection).items() if dag_id in dag_ids}
    for piece in pieces(sorted(one for ids in gone.values() for one in ids)):
        pairs = select(permissions.c.id).where(permissions.c.view_menu_id.in_(piece))
        connection.execute(delete(role_permissions).where(role_permissions.c.permission_view_id.in_(pairs)))
        connection.execute(delete(permissions).where(permissions.c.view_menu_id.in_(piece)))
        connection.execute(delete(resources).where(resources.c.id.in_(piece)))
    if gone:
        row = {"at": int(time.time()), "what": "clean_up_dags", "subject_kind": "permission", "subject": ""}
        connection.execute(insert(audit).values(**row, before=json.dumps({"dags": sorted(gone)})))
    connection.commit()
    return len(gone)


def _dag_id(name: str) -> str:
    for prefix in PREFIXES.values():
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return ""  # to a collation "dag:" is the same
