"""Positions: which committed state a value was read in, and whether anything it rests on has changed since."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.tables import POSITION, ROLE_TABLES, USER_TABLES, stamps


@dataclass(frozen=True, slots=True)
class Stamps:
    """The positions at which two kinds of tables last changed, and the last position of all, as one snapshot shows
    them. Two snapshots with the same number for a kind show the same rows of that kind."""

    position: int
    users: int
    roles: int


def from_rows(positions: Mapping[str, int]) -> Stamps:
    """Sum up the rows of the table, by name."""

    def last(tables: Iterable[str]) -> int:
        return max((positions.get(name, 0) for name in tables), default=0)

    return Stamps(positions.get(POSITION, 0), last(USER_TABLES), last(ROLE_TABLES))


def _last(tables: Iterable[str]) -> ColumnElement[int]:
    # In the text of the statement: SQLAlchemy and the drivers would handle parameters anew at every load.
    names = [literal_column(f"'{name}'", String) for name in tables]
    return select(func.max(stamps.c.position)).where(stamps.c.name.in_(names)).scalar_subquery()


COLUMNS = (_last([POSITION]), _last(USER_TABLES), _last(ROLE_TABLES))
"""The three numbers as columns to select beside something else, in the order of `Stamps`."""


async def bump(connection: AsyncConnection, tables: Iterable[str]) -> Stamps:
    """Note, as the last thing before the commit, that rows of `tables` changed.

    Whoever holds the lock of the first row waits for nothing any more, so two writers cannot block each other here.
    """
    await connection.execute(update(stamps).where(stamps.c.name == POSITION).values(position=stamps.c.position + 1))
    position = (await connection.execute(select(stamps.c.position).where(stamps.c.name == POSITION))).scalar_one()
    await connection.execute(update(stamps).where(stamps.c.name.in_(list(tables))).values(position=position))
    # With locks, because that reads what is committed now: plain reads of MariaDB and MySQL show the state in which the
    # transaction began, without a change that another worker made in the meantime.
    rows = await connection.execute(select(stamps.c.name, stamps.c.position).with_for_update())
    return from_rows(dict(tuple(row) for row in rows))
