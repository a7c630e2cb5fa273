"""Role ids → what these roles permit: one statement, whatever the number of roles and permissions."""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    bindparam,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from asyncauth.db.pieces import Breather, pieces
from asyncauth.db.tables import actions, permissions, resources, role_permissions
from asyncauth.model import PermissionKey, is_storable, permission_key

# A role's permissions come as one text: 50,000 rows would hold the event loop in the driver and in SQLAlchemy. Cutting
# it up is twice as fast as reading JSON, and writing it costs the databases less than sending the rows.
_ACTION_END = "\x1f"
_RESOURCE_END = "\x1e"
_BETWEEN = permission_key("", "")
"""What stands between the two in a key."""
_MAX_SHARED_KEYS = 500_000
Texts = Sequence[Any]
"""What one statement brings of each role that has any permission; see `_texts`."""


class PermissionReader:
    """Reads sets of permission keys, in which equal keys are one string however many roles hold it."""

    def __init__(self, dialect: str) -> None:
        self._texts = _texts(dialect)
        self._shared_keys: dict[PermissionKey, PermissionKey] = {}

    async def read(
        self, session: AsyncSession | AsyncConnection, role_ids: Collection[int]
    ) -> dict[int, frozenset[PermissionKey]]:
        """The permissions of each role. One statement more for each role whose text cannot be used."""
        return await self.parse(session, role_ids, await session.run_sync(self.fetch, role_ids))

    def fetch(self, connection: Session | Connection, role_ids: Collection[int]) -> Texts:
        """Send the one statement; `parse` takes what it brings."""
        if isinstance(connection, Session):
            connection = connection.connection()  # nothing here is the ORM's business
        return connection.execute(self._texts, {"role_ids": list(role_ids)}).all()

    async def parse(
        self, session: AsyncSession | AsyncConnection, role_ids: Iterable[int], texts: Texts
    ) -> dict[int, frozenset[PermissionKey]]:
        """The permissions of each role, from what `fetch` brought in the same transaction."""
        found: dict[int, frozenset[PermissionKey]] = dict.fromkeys(role_ids, frozenset())
        breather = Breather()
        for role_id, count, most_bytes, text in texts:
            if _is_usable(text, count, most_bytes):
                found[role_id] = await self._parse(text, breather)
            else:
                found[role_id] = await _read_rows(session, role_id)
            await breather.pause()
        return found

    async def _parse(self, text: str, breather: Breather) -> frozenset[PermissionKey]:
        if len(self._shared_keys) > _MAX_SHARED_KEYS:
            self._shared_keys = {}
        keys: set[PermissionKey] = set()
        for piece in pieces(text, _RESOURCE_END):
            read = cast("list[PermissionKey]", piece.replace(_ACTION_END, _BETWEEN).split(_RESOURCE_END))
            keys.update(map(self._shared_keys.setdefault, read, read))
            await breather.pause()
        return frozenset(keys)


def _is_usable(text: str, count: int, most_bytes: int | None) -> bool:
    """Whether the database has not cut the text off, and no name holds one of the characters that separate them."""
    whole = most_bytes is None or len(text.encode()) + _LONGEST_CHARACTER <= most_bytes
    return whole and is_storable(text) and text.count(_ACTION_END) == text.count(_RESOURCE_END) == count


_LONGEST_CHARACTER = 4
"""Bytes. A text that has been cut off can be shorter than allowed by almost as much."""


async def _read_rows(session: AsyncSession | AsyncConnection, role_id: int) -> frozenset[PermissionKey]:
    rows = await session.execute(_PAIRS, {"role_ids": [role_id]})
    return frozenset(permission_key(*names) for names in rows if all(map(is_storable, names)))


_PAIRS = (
    select(actions.c.name, resources.c.name)
    .join_from(role_permissions, permissions, role_permissions.c.permission_view_id == permissions.c.id)
    .join(actions, permissions.c.permission_id == actions.c.id)
    .join(resources, permissions.c.view_menu_id == resources.c.id)
    .where(role_permissions.c.role_id.in_(bindparam("role_ids", type_=Integer, expanding=True)))
)


@cache  # making a statement costs as much as running it
def _texts(dialect: str) -> "Select[Any]":
    """Per role: id, number of permissions, bytes that a text can have at most (None: no limit), text."""
    # MariaDB and MySQL cut a longer text with no more than a warning. Our own connections allow 4 GiB.
    limited = dialect in {"mysql", "mariadb"}
    most_bytes: ColumnElement[Any] = literal_column("@@group_concat_max_len", Integer) if limited else null()
    pair = actions.c.name.concat(_literal(_ACTION_END)).concat(resources.c.name).concat(_literal(_RESOURCE_END))
    role_id = role_permissions.c.role_id
    columns = (role_id, func.count(), most_bytes, func.aggregate_strings(pair, ""))
    return _PAIRS.with_only_columns(*columns, maintain_column_froms=True).group_by(role_id)


def _literal(character: str) -> ColumnElement[str]:
    return literal_column(f"'{character}'", String)
