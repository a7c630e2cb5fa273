"""What Dags ask for and what stands in the `ab_*` tables, read and written for any number of Dags at once."""

import json
import time
import unicodedata
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    and_,
    case,
    column,
    delete,
    func,
    insert,
    or_,
    select,
    table,
    update,
)

from asyncauth.airflow.access_control import MAX_NAME, PREFIXES, AccessControl, Grant, decode_mapping
from asyncauth.db.default_roles import Pair
from asyncauth.db.feed import EVERYTHING
from asyncauth.db.ids import insert_many
from asyncauth.db.tables import actions, audit, changes, feed, permissions, resources, role_permissions, roles

_PIECE = 5000
_FEW = 1000
_SHOWN = 50
_dags = table(
    "serialized_dag",
    *(column("dag_id"), column("dag_hash"), column("dag_version_id")),
    *(column("data", JSON), column("data_compressed", LargeBinary)),
)
_versions = table("dag_version", column("id"), column("version_number"))
_newest = (
    select(_dags.c.dag_id, func.max(_versions.c.version_number).label("number"))
    .join_from(_dags, _versions, _versions.c.id == _dags.c.dag_version_id)
    .group_by(_dags.c.dag_id)
    .subquery("newest")
)


@dataclass(frozen=True, slots=True)
class Dag:
    """A Dag as it was serialized last."""

    dag_id: str
    hash: str
    access_control: AccessControl | None
    problem: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class State:
    """What is stored about the resources that were asked for."""

    role_ids: Mapping[str, int]
    pairs: Mapping[Pair, int]
    grants: Mapping[str, set[Grant]]
    """By resource."""


# ── Dags ──


def read_hashes(connection: Connection) -> dict[str, str]:
    """The hash of every Dag. Its data is not touched: it can be large."""
    return {row.dag_id: row.dag_hash for row in connection.execute(_latest(_dags.c.dag_id, _dags.c.dag_hash))}


def read_dags(connection: Connection, dag_ids: Collection[str] | None = None) -> Iterator[Dag]:
    """Dags with their `access_control`, which alone leaves the database, unless Airflow compresses them; None: all."""
    wanted = _dags.c.data[("dag", "access_control")].label("wanted")
    statement = _latest(_dags.c.dag_id, _dags.c.dag_hash, wanted, _dags.c.data_compressed)
    if dag_ids is None:
        yield from map(_dag, connection.execute(statement))
        return
    for piece in pieces(sorted(dag_ids)):
        yield from map(_dag, connection.execute(statement.where(_dags.c.dag_id.in_(piece))))


def _latest(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .join_from(_dags, _versions, _versions.c.id == _dags.c.dag_version_id)
        .join(_newest, and_(_newest.c.dag_id == _dags.c.dag_id, _newest.c.number == _versions.c.version_number))
    )


def _dag(row: Any) -> Dag:
    try:
        encoded = row.wanted
        if row.data_compressed:
            encoded = json.loads(zlib.decompress(row.data_compressed))["dag"].get("access_control")
        wanted = None if encoded is None else decode_mapping(encoded)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        return Dag(row.dag_id, row.dag_hash, None, f"Dag {row.dag_id!r}: access_control: {error}")
    return Dag(row.dag_id, row.dag_hash, wanted)


# ── what stands ──


def read_state(connection: Connection, names: Collection[str]) -> State:
    """Roles, and permissions and grants on these resources: three statements, however many there are."""
    if len(names) <= _FEW:
        among: ColumnElement[bool] = resources.c.name.in_(names)
    else:
        among = or_(*(resources.c.name.like(f"{prefix}%") for prefix in PREFIXES.values()))
    stored = (
        select(permissions.c.id, actions.c.name.label("action"), resources.c.name.label("resource"))
        .join_from(permissions, actions, permissions.c.permission_id == actions.c.id)
        .join(resources, permissions.c.view_menu_id == resources.c.id)
        .where(among)
    )
    wanted = frozenset(names)
    pairs = {(row.action, row.resource): row.id for row in connection.execute(stored) if row.resource in wanted}
    role_ids = {row.name: row.id for row in connection.execute(select(roles.c.id, roles.c.name))}
    by_id = {permission_id: pair for pair, permission_id in pairs.items()}
    role_names = {role_id: name for name, role_id in role_ids.items()}
    grants: dict[str, set[Grant]] = {}
    ids = select(permissions.c.id).join(resources, permissions.c.view_menu_id == resources.c.id).where(among)
    held = select(role_permissions.c.role_id, role_permissions.c.permission_view_id)
    for row in connection.execute(held.where(role_permissions.c.permission_view_id.in_(ids))):
        if row.permission_view_id in by_id and row.role_id in role_names:
            action, resource = by_id[row.permission_view_id]
            grants.setdefault(resource, set()).add((role_names[row.role_id], action))
    return State(role_ids, pairs, grants)


def read_position(connection: Connection, after: int) -> tuple[int, bool]:
    """Where the change log ends, and whether it tells of a role's permissions since `after`."""
    about_roles = func.max(case((changes.c.kind.in_(("role", EVERYTHING)), 1), else_=0))
    last, changed = connection.execute(select(func.max(changes.c.id), about_roles).where(changes.c.id > after)).one()
    return (after, False) if last is None else (int(last), bool(changed))


# ── writing ──


def take_turn(connection: Connection) -> None:
    """Come after all changes that are under way, on whatever worker, until the transaction ends. SQLite's other writers
    wait for it as well."""
    connection.execute(update(feed).where(feed.c.id == 1).values(purged=feed.c.purged))


def find_unstorable(connection: Connection, names: Iterable[str]) -> set[str]:
    """Names that are too long, or that MariaDB and MySQL, whose collations fold case and accents, take for another."""
    wanted = sorted(names)
    bad = {name for name in wanted if len(name) > MAX_NAME}
    if connection.dialect.name not in {"mysql", "mariadb"}:
        return bad
    there: dict[str, str] = {}
    for piece in pieces(wanted):
        for name in connection.scalars(select(resources.c.name).where(resources.c.name.in_(piece))):
            there[_fold(name)] = name
    return bad | {name for name in wanted if there.setdefault(_fold(name), name) != name}


def store_pairs(connection: Connection, pairs: Collection[Pair]) -> dict[Pair, int]:
    """Store permissions that are not, and return their ids."""
    action_ids = _store_names(connection, actions, {action for action, _ in pairs})
    resource_ids = _store_names(connection, resources, {resource for _, resource in pairs})
    rows = [{"permission_id": action_ids[action], "view_menu_id": resource_ids[name]} for action, name in sorted(pairs)]
    insert_many(connection, permissions, rows)
    stored = select(permissions.c.id, permissions.c.permission_id, permissions.c.view_menu_id)
    found = {
        (row.permission_id, row.view_menu_id): row.id
        for piece in pieces(sorted({row["view_menu_id"] for row in rows}))
        for row in connection.execute(stored.where(permissions.c.view_menu_id.in_(piece)))
    }
    return {(action, name): found[action_ids[action], resource_ids[name]] for action, name in pairs}


def write_grants(
    connection: Connection, granted: Collection[tuple[int, int]], taken: Collection[tuple[int, int]]
) -> None:
    """Link and unlink (role, permission) ids."""
    by_role: dict[int, list[int]] = {}
    for role_id, permission_id in sorted(taken):
        by_role.setdefault(role_id, []).append(permission_id)
    for role_id, ids in by_role.items():
        for piece in pieces(ids):
            held = role_permissions.c.role_id == role_id, role_permissions.c.permission_view_id.in_(piece)
            connection.execute(delete(role_permissions).where(*held))
    insert_many(
        connection,
        role_permissions,
        [{"role_id": role_id, "permission_view_id": permission_id} for role_id, permission_id in sorted(granted)],
    )


def write_audit(connection: Connection, granted: Collection[str], taken: Collection[str]) -> None:
    """Note it, with the first of each: there can be thousands."""
    after = {
        "granted": len(granted),
        "taken": len(taken),
        "first_granted": sorted(granted)[:_SHOWN],
        "first_taken": sorted(taken)[:_SHOWN],
    }
    row = {
        "at": int(time.time()),
        "what": "sync_dags",
        "subject_kind": "role",
        "subject": "",
        "after": json.dumps(after),
    }
    connection.execute(insert(audit).values(row))


def _store_names(connection: Connection, where: Any, names: Collection[str]) -> dict[str, int]:
    found = _find_names(connection, where, names)
    missing = sorted(names - found.keys())
    insert_many(connection, where, [{"name": name} for name in missing])
    return found | _find_names(connection, where, missing)


def _find_names(connection: Connection, where: Any, names: Iterable[str]) -> dict[str, int]:
    return {
        row.name: row.id
        for piece in pieces(sorted(names))
        for row in connection.execute(select(where.c.id, where.c.name).where(where.c.name.in_(piece)))
    }


def _fold(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold().rstrip()


def pieces(values: list[Any]) -> Iterator[list[Any]]:
    return (values[start : start + _PIECE] for start in range(0, len(values), _PIECE))
