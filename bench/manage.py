"""Managing many: a page of users, one user by name, a change of a role that many hold. Floor: the query alone."""

import time
from collections.abc import Awaitable, Callable
from itertools import count
from statistics import quantiles

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth import AuthManager, admin
from asyncauth.db import tables
from asyncauth.db.migrate import add_indexes
from bench.data import MARK, Filler, filled
from bench.figures import Figure
from bench.parts import started
from bench.raw import Fetch, connect
from bench.sizes import Sizes

PAGE = 100
ACTION, RESOURCE = f"{MARK}_can_edit", f"{MARK}:resource_1"
_USERS = f"SELECT * FROM {tables.users.name}"
Call = Callable[[int], Awaitable[object]]


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """The 95th percentile of each, beside that of its floor, called in turn."""
    users, roles = sizes.managed_users, sizes.managed_roles

    async def fill(filler: Filler) -> None:
        await filler.catalogue(2)
        await filler.roles(roles)
        await filler.users({user_id: [user_id % roles + 1] for user_id in range(1, users + 1)})

    await add_indexes(url)
    async with filled(url, fill), started(url) as auth, connect(url) as fetch:
        crowd = f"{users:,} users, {roles:,} roles"
        calls = max(20, sizes.calls // 100)
        pairs = (
            (f"a page of {PAGE} users", _page(auth, users), "its first query alone", _raw_page(fetch, users)),
            ("a user by name", _user(auth, users), "its first query alone", _raw_user(fetch, users)),
            (
                "a permission given to a role, or taken",
                _change(auth, roles),
                "one statement alone",
                _write(auth, roles),
            ),
        )
        return [await _figure(f"{what}, {crowd}: p95", work, floor, alone, calls) for what, work, floor, alone in pairs]


async def _figure(what: str, work: Call, floor: str, alone: Call, calls: int) -> Figure:
    here: list[float] = []
    below: list[float] = []
    for number in range(calls + 5):
        for call, seconds in ((work, here), (alone, below)):
            start = time.perf_counter()
            await call(number)
            seconds.append(time.perf_counter() - start)
    found, least = (quantiles(seconds[5:], n=20)[18] * 1e3 for seconds in (here, below))
    return Figure(what, "ms", found, found, "none: to look at", {floor: least})


def _page(auth: AuthManager, users: int) -> Call:
    return lambda number: admin.list_users(auth, limit=PAGE, offset=number * PAGE % users, order_by="username")


def _raw_page(fetch: Fetch, users: int) -> Call:
    return lambda number: fetch(f"{_USERS} ORDER BY username, id LIMIT {PAGE} OFFSET {number * PAGE % users}")


def _user(auth: AuthManager, users: int) -> Call:
    return lambda number: admin.get_user(auth, f"{MARK}-{number * 7 % users + 1}")


def _raw_user(fetch: Fetch, users: int) -> Call:
    return lambda number: fetch(f"{_USERS} WHERE lower(username) = '{MARK}-{number * 7 % users + 1}'")


def _change(auth: AuthManager, roles: int) -> Call:
    turn = count()

    async def change(number: int) -> None:
        use_case = admin.take_permission if next(turn) % 2 else admin.grant_permission
        await use_case(auth, role=f"{MARK} {number // 2 % roles + 1}", action=ACTION, resource=RESOURCE)

    return change


def _write(auth: AuthManager, roles: int) -> Call:
    async def write(number: int) -> None:
        role_id = number % roles + 1
        same = update(tables.roles).where(tables.roles.c.id == role_id).values(name=f"{MARK} {role_id}")

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(same)

        await auth.write(work)

    return write
