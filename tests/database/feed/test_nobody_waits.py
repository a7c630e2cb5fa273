"""No writer waits for another one, or deadlocks with it, because of the triggers.

Two transactions of two statements each, as FAB's pages make them, in every order of their statements. Each statement
has to end while the other transaction is open. What waits without our triggers, rows that both change, is not in here.
"""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from asyncauth.db.cutoffs import upgrade_hash
from tests.database.feed.people import ADA, BOB, EDITOR, EVE, OPERATOR, VIEWER, add_people
from tests.waiting import GIVE_UP_SECONDS

pytestmark = pytest.mark.parametrize(
    "backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True
)
WAIT_SECONDS = 20.0
"""Whoever waits for another transaction here does so for longer: those locks are given up after 50 s, or never."""
PAIRS = {
    "the same tables, crossing": (
        (
            f"UPDATE ab_user SET first_name = 'A' WHERE id = {ADA}",
            f"UPDATE ab_role SET name = 'A' WHERE id = {VIEWER}",
        ),
        (
            f"UPDATE ab_role SET name = 'B' WHERE id = {EDITOR}",
            f"UPDATE ab_user SET first_name = 'B' WHERE id = {BOB}",
        ),
    ),
    "roles given and taken": (
        (
            f"DELETE FROM ab_user_role WHERE user_id = {ADA} AND role_id = {VIEWER}",
            "UPDATE ab_permission_view_role SET permission_view_id = 2 WHERE id = 1",
        ),
        (
            "UPDATE ab_permission_view_role SET permission_view_id = 1 WHERE id = 3",
            f"UPDATE ab_user_role SET role_id = {OPERATOR} WHERE id = 2",
        ),
    ),
    "different tables": (
        (
            f"UPDATE ab_user SET active = false WHERE id = {EVE}",
            "UPDATE ab_view_menu SET name = 'DAG:x' WHERE id = 1",
        ),
        ("UPDATE ab_group_role SET role_id = 1", "UPDATE ab_permission SET name = 'can_x' WHERE id = 2"),
    ),
    "passwords changed, users switched off and deleted": (
        (
            f"UPDATE ab_user SET password = 'a' WHERE id = {ADA}",
            f"DELETE FROM ab_user WHERE id = {EVE}",
        ),
        (
            f"UPDATE ab_user SET password = 'b', active = false WHERE id = {BOB}",
            f"UPDATE ab_user SET password = 'c' WHERE id = {BOB}",
        ),
    ),
    "a login and a change": (
        (
            f"UPDATE ab_user SET login_count = login_count + 1 WHERE id = {ADA}",
            f"UPDATE ab_user SET last_login = CURRENT_TIMESTAMP WHERE id = {ADA}",
        ),
        (
            f"UPDATE ab_user SET email = 'new@example.org' WHERE id = {BOB}",
            f"UPDATE ab_user SET username = 'robert' WHERE id = {BOB}",
        ),
    ),
}
ORDERS = sorted(set(itertools.permutations("AABB")))


async def interleave(
    engine: AsyncEngine,
    first: Sequence[str],
    second: Sequence[str],
    order: Sequence[str],
    seconds: float = WAIT_SECONDS,
) -> None:
    """Both transactions, statement by statement; rolled back."""
    async with engine.connect() as a, engine.connect() as b:
        left: dict[str, tuple[AsyncConnection, list[str]]] = {"A": (a, list(first)), "B": (b, list(second))}
        for which in order:
            connection, statements = left[which]
            async with asyncio.timeout(seconds):
                await connection.exec_driver_sql(statements.pop(0))


@pytest.mark.parametrize("name", PAIRS)
async def test_transactions_that_cross_each_other(engine: AsyncEngine, name: str) -> None:
    """In each of the six orders."""
    await add_people(engine)
    assert len(ORDERS) == 6
    for order in ORDERS:
        await interleave(engine, *PAIRS[name], order)


async def test_the_comparison_can_fail(engine: AsyncEngine) -> None:
    """Rows that both change make one wait for the other, whoever watches."""
    await add_people(engine)
    rename = f"UPDATE ab_user SET first_name = 'A' WHERE id = {ADA}"
    with pytest.raises(TimeoutError):
        await interleave(engine, [rename], [rename], "AB", seconds=2)


async def test_many_who_write_at_once(engine: AsyncEngine, full: bool) -> None:
    """Four transactions at a time, each on its own rows and all over the same tables in orders of their own: none is
    refused, and every one is noted."""
    await add_people(engine)
    async with engine.begin() as connection:
        for one in range(1000, 1004):
            names = f"{one}, '', '', 'u{one}', 'u{one}', true"
            await connection.exec_driver_sql(
                f"INSERT INTO ab_user (id, first_name, last_name, username, email, active) VALUES ({names})"
            )
            await connection.exec_driver_sql(f"INSERT INTO ab_role (id, name) VALUES ({one}, 'r{one}')")

    async def write(one: int) -> None:
        for turn in range(100 if full else 15):
            statements = [
                f"UPDATE ab_user SET first_name = '{turn}', password = '{turn}' WHERE id = {one}",
                f"UPDATE ab_role SET name = 'r{one}-{turn}' WHERE id = {one}",
            ]
            async with engine.begin() as connection:
                for statement in statements if (one + turn) % 2 else reversed(statements):
                    await connection.exec_driver_sql(statement)

    async with asyncio.timeout(GIVE_UP_SECONDS):
        await asyncio.gather(*(write(one) for one in range(1000, 1004)))
    async with engine.connect() as connection:
        count = (await connection.exec_driver_sql("SELECT count(*) FROM asyncauth_change WHERE item >= 1000")).scalar()
        ended = (await connection.exec_driver_sql("SELECT count(*) FROM asyncauth_cutoff")).scalar()
    assert count == 4 * 3 * (100 if full else 15)
    assert ended == 4 * (100 if full else 15)


async def test_a_hash_is_upgraded_beside_changes(engine: AsyncEngine) -> None:
    """Our own transaction neither waits for somebody who has just changed another password, nor makes them wait."""
    await add_people(engine)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE ab_user SET password = 'old'")
    change = "UPDATE ab_user SET password = 'b' WHERE id = {}"
    async with engine.connect() as ours, engine.connect() as theirs, asyncio.timeout(WAIT_SECONDS):
        await theirs.exec_driver_sql(change.format(BOB))
        assert await upgrade_hash(ours, ADA, "old", "new")
        await theirs.exec_driver_sql(change.format(EVE))
        await ours.commit()
        await theirs.commit()
