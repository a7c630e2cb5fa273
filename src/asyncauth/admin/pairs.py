"""Permissions as rows: the pairs of action and resource, found or made, in few statements however many there are."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.admin.names import validate
from asyncauth.db.find import is_storable_name
from asyncauth.db.ids import insert_rows
from asyncauth.db.tables import actions, permissions, resources, role_permissions
from asyncauth.errors import UnknownPermissionError
from asyncauth.model import Permission, PermissionKey, permission_key

_PIECE = 500


def parse_pairs(pairs: Iterable[tuple[str, str] | Permission]) -> frozenset[Permission]:
    """Pairs that can be stored. Raises InvalidValueError."""
    found = frozenset(pair if isinstance(pair, Permission) else Permission(*pair) for pair in pairs)
    for pair in found:
        validate("the action", pair.action, 100)
        validate("the resource", pair.resource, 250)
    return found


def keys_of(pairs: Iterable[Permission]) -> frozenset[PermissionKey]:
    """The same as keys."""
    return frozenset(permission_key(pair.action, pair.resource) for pair in pairs)


async def find_pairs(connection: AsyncConnection, pairs: Collection[Permission]) -> dict[Permission, int]:
    """The ids of those that are stored."""
    action_ids = await _find_names(connection, actions, {pair.action for pair in pairs})
    resource_ids = await _find_names(connection, resources, {pair.resource for pair in pairs})
    return await _find_ids(connection, pairs, action_ids, resource_ids)


async def get_or_make_pairs(
    connection: AsyncConnection, pairs: Collection[Permission], *, new_names: bool
) -> dict[Permission, int]:
    """The ids of all of them, stored on the way if need be.

    Args:
        new_names: whether actions and resources may be stored as well.

    Raises:
        UnknownPermissionError: one is not stored, and `new_names` is off.
    """
    action_ids = await _get_names(connection, actions, "action", {pair.action for pair in pairs}, new_names)
    resource_ids = await _get_names(connection, resources, "resource", {pair.resource for pair in pairs}, new_names)
    found = await _find_ids(connection, pairs, action_ids, resource_ids)
    if missing := [pair for pair in sorted(pairs) if pair not in found]:
        rows = [
            {"permission_id": action_ids[pair.action], "view_menu_id": resource_ids[pair.resource]} for pair in missing
        ]
        await insert_rows(connection, permissions, rows)
        found = await _find_ids(connection, pairs, action_ids, resource_ids)
    return found


async def grant_pairs(connection: AsyncConnection, role_id: int, permission_ids: Iterable[int]) -> None:
    """Link a role to permissions that it does not hold."""
    rows = [{"role_id": role_id, "permission_view_id": one} for one in sorted(permission_ids)]
    await insert_rows(connection, role_permissions, rows)


async def take_pairs(connection: AsyncConnection, role_id: int, permission_ids: Iterable[int]) -> None:
    """Take these links away."""
    for piece in _pieces(sorted(permission_ids)):
        held = role_permissions.c.role_id == role_id, role_permissions.c.permission_view_id.in_(piece)
        await connection.execute(delete(role_permissions).where(*held))


async def _find_names(connection: AsyncConnection, table: Table, names: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for piece in _pieces(sorted(name for name in names if is_storable_name(name))):
        rows = await connection.execute(select(table.c.id, table.c.name).where(table.c.name.in_(piece)))
        found |= {row.name: row.id for row in rows}
    return {name: found[name] for name in names if name in found}


async def _get_names(
    connection: AsyncConnection, table: Table, what: str, names: Collection[str], new_names: bool
) -> dict[str, int]:
    found = await _find_names(connection, table, names)
    missing = sorted(set(names) - found.keys())
    if missing and not new_names:
        raise UnknownPermissionError(f"The specified {what}: {missing[0]!r} was not found")
    if missing:
        await insert_rows(connection, table, [{"name": name} for name in missing])
        found = await _find_names(connection, table, names)
    return found


async def _find_ids(
    connection: AsyncConnection,
    pairs: Collection[Permission],
    action_ids: dict[str, int],
    resource_ids: dict[str, int],
) -> dict[Permission, int]:
    wanted = {
        (action_ids[pair.action], resource_ids[pair.resource]): pair
        for pair in pairs
        if pair.action in action_ids and pair.resource in resource_ids
    }
    found: dict[Permission, int] = {}
    columns = (permissions.c.id, permissions.c.permission_id, permissions.c.view_menu_id)
    action_piece = sorted({action_id for action_id, _ in wanted})
    for piece in _pieces(sorted({resource_id for _, resource_id in wanted})):
        among = permissions.c.permission_id.in_(action_piece), permissions.c.view_menu_id.in_(piece)
        for row in await connection.execute(select(*columns).where(*among)):
            pair = wanted.get((row.permission_id, row.view_menu_id))
            if pair is not None:
                found[pair] = row.id
    return found


def _pieces(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _PIECE] for start in range(0, len(values), _PIECE))
