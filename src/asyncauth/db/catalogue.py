"""What permission ids mean: id → permission key, each key once in memory however many roles hold it."""

import json
from collections.abc import Callable, Collection, Iterable
from itertools import filterfalse
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, Text, cast, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.db.pieces import Breather
from asyncauth.db.tables import actions, permissions, resources, role_permissions
from asyncauth.model import PermissionKey, is_storable, permission_key

_FEW = 100
_PER_ROW = 128


class Catalogue:
    """Meanings read so far. Ids are kept as the text in which they arrive: nothing to convert.

    Args:
        since: when the first of them was asked for, on the clock that runs through suspension.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self._keys: dict[str, PermissionKey] = {}

    def unknown(self, ids: Iterable[str]) -> Iterable[str]:
        """The ids among `ids` that have not been read."""
        return filterfalse(self._keys.__contains__, ids)

    def keys(self, ids: Iterable[str]) -> Iterable[PermissionKey]:
        """The meanings of `ids`. An id without one (its row is gone, or its name cannot be part of a key) means nothing
        and grants nothing."""
        return filter(None, map(self._keys.get, ids))

    def update(self, other: "Catalogue") -> None:
        """Take over the meanings of another one."""
        self._keys.update(other._keys)

    async def read(self, session: AsyncSession, ids: Collection[str], role_ids: Collection[int]) -> None:
        """Read the meanings of `ids`, all of them permissions of the roles `role_ids`, with one statement."""
        rows = _rows(session.bind.dialect.name if session.bind else "")
        if len(ids) <= _FEW:
            statement = rows.where(permissions.c.id.in_([int(one) for one in ids]))
        else:
            held = select(role_permissions.c.permission_view_id).where(role_permissions.c.role_id.in_(list(role_ids)))
            statement = rows.where(permissions.c.id.in_(held))
        breather = Breather()
        for (text,) in await session.execute(statement):
            for one, action, resource in json.loads(text):
                if is_storable(action) and is_storable(resource):
                    self._keys[str(one)] = permission_key(action, resource)
            await breather.pause()


def _rows(dialect: str) -> "Select[str]":
    """Pairs as JSON, some to a row: 50,000 rows of their own would hold the event loop in the driver and in SQLAlchemy.
    The text of a row stays far below the 1 MiB at which MariaDB would cut it."""
    array, gather = _JSON[dialect]
    entry = array(permissions.c.id, actions.c.name, resources.c.name)
    return (
        select(cast(gather(entry), Text))
        .join_from(permissions, actions, permissions.c.permission_id == actions.c.id)
        .join(resources, permissions.c.view_menu_id == resources.c.id)
        .group_by(permissions.c.id // literal_column(str(_PER_ROW), Integer))
    )


_JSON: dict[str, tuple[Callable[..., ColumnElement[Any]], Callable[..., ColumnElement[Any]]]] = {
    "postgresql": (func.json_build_array, func.json_agg),
    "mysql": (func.json_array, func.json_arrayagg),
    "mariadb": (func.json_array, func.json_arrayagg),
    "sqlite": (func.json_array, func.json_group_array),
}
