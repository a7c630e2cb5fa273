"""The statements that read the log, asked of logs made for the purpose, in a transaction that nobody else sees."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth.db import feed as reading
from asyncauth.db.feed import (
    Gap,
    Position,
    Record,
    news_statement,
    parse_tail,
    read_mark,
    recent_ids_statement,
    start_statement,
    tail_column,
)
from asyncauth.db.tables import changes, feed

FIRST_XID = 1000
KINDS = {14: "role", 15: "token", 16: "cutoff", 17: "api_key"}
EPOCH = "the log of this test"


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """With an empty log, and a row that belongs to nobody beside the feed's own."""
    async with engine.connect() as opened:
        await opened.execute(delete(changes))
        await opened.execute(update(feed).values(purged=2, epoch=EPOCH))
        await opened.execute(insert(feed).values(id=2, epoch="of another log", purged=99))
        yield opened
        await opened.rollback()


async def write(connection: AsyncConnection, *ids: int, xids: dict[int, int] | None = None) -> None:
    """Records with these ids, each written that many seconds after 1970, by a transaction of its own."""
    for id_ in ids:
        xid, kind, item = (xids or {}).get(id_, FIRST_XID + id_), KINDS.get(id_, "user"), "NULL" if id_ == 14 else "7"
        numbered = "OVERRIDING SYSTEM VALUE" if connection.dialect.name == "postgresql" else ""
        await connection.exec_driver_sql(
            f"INSERT INTO asyncauth_change (id, xid, at, kind, item, iss, jti, exp) {numbered} "
            f"VALUES ({id_}, {xid}, {id_ * 1_000_000}, '{kind}', {item}, 'us', 'j', 5)"
        )


def expected(dialect: str, ids: list[int]) -> list[int]:
    """Of the records 3 to 20, those that are looked at from `POSITION`."""
    if dialect == "postgresql":
        return [id_ for id_ in ids if id_ > 12 or id_ in {4, 6, 7}]
    gaps = {5, 6, 9} if dialect == "mysql" else set()
    return [id_ for id_ in ids if id_ > 12 or id_ in gaps]


IDS = [3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 20]
XIDS = {4: 2000, 5: 1999, 6: 2001, 7: 1500, 8: 1501}
"""4 and 6 by transactions that had not begun at the last look, 7 by one that was running."""
POSITION = Position(EPOCH, 12, 12_000_000, 2000, (1500, 1777), (Gap(5, 6, 0.0), Gap(9, 9, 0.0)))


async def ask(connection: AsyncConnection, statement: Select[Any], position: Position = POSITION) -> Any:
    """All rows of it."""
    return (await connection.execute(statement, position.parameters())).all()


async def test_what_may_be_new(connection: AsyncConnection) -> None:
    """Beside the feed's own row, in the order of their ids, with all that is noted."""
    dialect = connection.dialect.name
    await write(connection, *reversed(IDS), xids=XIDS)
    rows = await ask(connection, news_statement(dialect))
    assert [row.id for row in rows] == expected(dialect, IDS)
    for row in rows:
        assert (row.epoch, row.purged, row.mark) == (EPOCH, 2, 12_000_000)
        assert (row.at, row.kind) == (row.id * 1_000_000, KINDS.get(row.id, "user"))
        assert (row.item, row.iss, row.jti, row.exp) == (None if row.id == 14 else 7, "us", "j", 5)
        assert (row.snapshot is not None) == (dialect == "postgresql")


async def test_nothing_is_new(connection: AsyncConnection) -> None:
    """The feed's own row comes all the same, with the mark, if that record is there; and what is asked beside."""
    dialect = connection.dialect.name
    for mark in (None, 12_000_000):
        if mark is not None:
            await write(connection, 12)
        (row,) = await ask(connection, news_statement(dialect, feed.c.id.label("beside")))
        assert (row.epoch, row.purged, row.mark, row.id, row.kind, row.beside) == (EPOCH, 2, mark, None, None, 1)
        if dialect == "postgresql":
            xmin, xmax, _ = row.snapshot.split(":")
            assert 0 < int(xmin) <= int(xmax)


async def test_one_record_too_many_is_read(connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """To know that there are too many; not more, however many there are."""
    monkeypatch.setattr(reading, "MAX_RECORDS", 3)
    await write(connection, *IDS)
    rows = await ask(connection, news_statement(connection.dialect.name), Position(EPOCH, 0, None, xmax=10**6))
    assert [row.id for row in rows] == IDS[:4]


async def test_all_ranges_are_asked_for(connection: AsyncConnection) -> None:
    """On MariaDB and MySQL, the first and the last as well, both ends included."""
    if connection.dialect.name != "mysql":
        return
    ids = range(10, 60)
    await write(connection, *ids)
    gaps = tuple(Gap(id_, id_ + 1, 0.0) for id_ in range(11, 59, 6))
    assert len(gaps) == 8
    rows = await ask(connection, news_statement("mysql"), Position(EPOCH, 59, 59_000_000, gaps=gaps))
    assert [row.id for row in rows] == [id_ for gap in gaps for id_ in (gap.low, gap.high)]


async def test_the_tail_holds_the_same_but_for_what_ends_tokens(connection: AsyncConnection) -> None:
    """As one text; none at all if nothing is new."""
    dialect = connection.dialect.name
    statement = select(tail_column(dialect))
    assert parse_tail((await ask(connection, statement))[0][0]) == []
    await write(connection, *IDS, xids=XIDS)
    records = parse_tail((await ask(connection, statement))[0][0])
    ids = [id_ for id_ in expected(dialect, IDS) if id_ not in {15, 16, 17}]
    kinds = {14: Record(14, "role", None)}
    assert sorted(records, key=lambda record: record.id) == [kinds.get(id_, Record(id_, "user", 7)) for id_ in ids]


async def test_where_the_log_stands(connection: AsyncConnection) -> None:
    """The feed's own row, and the last record if there is one."""
    statement = start_statement(connection.dialect.name)
    for last in (None, 9):
        if last is not None:
            await write(connection, 3, 9, 4)
        (row,) = (await connection.execute(statement)).all()
        assert (row.epoch, row.purged, row.id) == (EPOCH, 2, last)
        assert row.at == (last and last * 1_000_000)
        assert (row.snapshot is not None) == (connection.dialect.name == "postgresql")


@pytest.mark.parametrize(
    ("horizon_seconds", "ids"),
    [
        (100.0, [2, 3, 4, 7, 9, 11]),
        (8.0, [3, 4, 7, 9, 11]),
        (4.001, [4, 7, 9, 11]),
        (4.0, [7, 9, 11]),
        (3.999, [7, 9, 11]),
        (1.5, [9, 11]),
    ],
)
async def test_the_recent_ids(connection: AsyncConnection, horizon_seconds: float, ids: list[int]) -> None:
    """Those written within the horizon before the last, and the one before them; or what was purged last."""
    await write(connection, 3, 4, 7, 9, 11)
    rows = (await connection.execute(recent_ids_statement(horizon_seconds))).all()
    assert [row.id for row in rows] == ids


async def test_the_recent_ids_of_an_empty_log(connection: AsyncConnection) -> None:
    """What was purged last; 0 before the first record of all, which is missed no more once it is there."""
    for ids in ([2], [0], [0, 1, 2]):
        if ids[0] == 0:
            await connection.execute(update(feed).values(purged=0))
        await write(connection, *ids[1:])
        rows = (await connection.execute(recent_ids_statement(600.0))).all()
        assert [row.id for row in rows] == ids


async def test_the_mark_of_a_write(engine: AsyncEngine) -> None:
    """PostgreSQL: the number of the transaction. MariaDB: the last id that it drew, 0 if it drew none. SQLite: the
    last record."""
    for wrote in (False, True):
        async with engine.connect() as connection:
            dialect = connection.dialect
            if wrote:
                role = "INSERT INTO ab_role (id, name) VALUES (4711, 'A')", "UPDATE ab_role SET name = 'B'"
                for statement in role:
                    await connection.exec_driver_sql(statement)
            before = (await connection.execute(select(changes.c.id, changes.c.xid).order_by(changes.c.id))).all()
            mark = await read_mark(connection)
            if dialect.name == "postgresql":
                assert mark == await connection.scalar(select(func.txid_current()))
                assert all(row.xid == mark for row in before)
            elif dialect.supports_sequences or dialect.name == "sqlite":
                assert mark == (before[-1].id if before else 0)
            assert bool(before) == wrote
            await connection.rollback()
