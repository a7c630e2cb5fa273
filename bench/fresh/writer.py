"""The writer: takes and gives rights on time, and notes when each commit returned. Started by `bench.fresh.crew`."""

import asyncio
import importlib
import json
import socket
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import astuple
from typing import Any

from sqlalchemy import make_url

from asyncauth import AuthManager, admin
from asyncauth.db import tables
from bench.data import MARK, membership_id, permission_id, role_permission_id
from bench.fresh.lines import say
from bench.fresh.plan import READ, Commit, Plan, WriterOrder
from bench.fresh.worker import DATAGRAM
from bench.parts import following

NAME = "asyncauth-bench-writer"
"""As PostgreSQL calls its connection."""


class Clockwork:
    """Makes the changes when they are due."""

    def __init__(self, order: WriterOrder, begin: float) -> None:
        self._order = order
        self._begin = begin
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.commits: list[Commit] = []

    def wait_seconds(self, change: int) -> float:
        """Until a change is due."""
        return max(0.0, self._begin + change * self._order.plan.interval_seconds - time.monotonic())

    def returned(self, change: int, sent: float, returned: float) -> None:
        """Note a commit, and send each worker a datagram."""
        for port in self._order.ports:
            self._socket.sendto(DATAGRAM.pack(returned), ("127.0.0.1", port))
        self.commits.append(Commit(change, sent, returned))


def statement(plan: Plan, change: int) -> str:
    """Plain SQL for a change. Subjects differ in what they lose: the role, its permission, or being active."""
    subject, gives = plan.subject(change), plan.gives(change)
    if plan.deactivated_every and subject % plan.deactivated_every == 0:
        return f"UPDATE {tables.users.name} SET active = {'true' if gives else 'false'} WHERE id = {subject}"
    if subject % 2:
        table, id_, first, second = tables.user_roles.name, membership_id(subject), "user_id", "role_id"
        values = (subject, subject)
    else:
        permission = permission_id(subject, READ)
        table, id_ = tables.role_permissions.name, role_permission_id(subject, permission)
        first, second, values = "permission_view_id", "role_id", (permission, subject)
    if gives:
        return f"INSERT INTO {table} (id, {first}, {second}) VALUES ({id_}, {values[0]}, {values[1]})"
    return f"DELETE FROM {table} WHERE id = {id_}"


def write_foreign(order: WriterOrder) -> list[Commit]:
    """As a program that knows nothing of asyncauth."""
    execute = _connect(order.url)
    clockwork = Clockwork(order, _wait_for_begin())
    for change in range(order.plan.changes):
        time.sleep(clockwork.wait_seconds(change))
        sent = time.monotonic()
        execute(statement(order.plan, change))
        clockwork.returned(change, sent, time.monotonic())
    return clockwork.commits


async def write_own(order: WriterOrder, own: dict[str, Any]) -> list[Commit]:
    """Through asyncauth: roles are taken and given."""
    async with AuthManager(following(order.url, own)) as auth:
        committed = _time_commits(auth)
        clockwork = Clockwork(order, await asyncio.to_thread(_wait_for_begin))
        for change in range(order.plan.changes):
            await asyncio.sleep(clockwork.wait_seconds(change))
            subject, sent = order.plan.subject(change), time.monotonic()
            use_case = admin.grant_role if order.plan.gives(change) else admin.take_role
            call = asyncio.create_task(use_case(auth, username=f"{MARK}-{subject}", role=f"{MARK} {subject}"))
            clockwork.returned(change, sent, await committed.get())
            await call
    return clockwork.commits


def _time_commits(auth: AuthManager) -> "asyncio.Queue[float]":
    """The moment of each commit: the use case returns later, when this manager knows its own change."""
    database = auth._running.database  # type: ignore[union-attr]
    write, committed = database.write, asyncio.Queue[float]()

    async def timed(work: Callable[[Any], Awaitable[Any]]) -> Any:
        result = await write(work)
        committed.put_nowait(time.monotonic())
        return result

    database.write = timed  # type: ignore[method-assign]
    return committed


def _wait_for_begin() -> float:
    say("ready")
    return float(sys.stdin.readline().split()[1])


def _connect(url: str) -> Callable[[str], object]:
    """A connection that commits each statement."""
    parsed = make_url(url)
    server = {"host": parsed.host, "user": parsed.username, "password": parsed.password, "autocommit": True}
    match parsed.get_backend_name():
        case "sqlite":
            connection: Any = sqlite3.connect(parsed.database or "", timeout=60, isolation_level=None)
            connection.execute("PRAGMA foreign_keys = ON")
            return connection.execute  # type: ignore[no-any-return]
        case "postgresql":
            driver = importlib.import_module("psycopg")
            connection = driver.connect(**server, port=parsed.port, dbname=parsed.database, application_name=NAME)
        case _:
            driver = importlib.import_module("pymysql")
            connection = driver.connect(**server, port=parsed.port or 3306, database=parsed.database)
    return connection.cursor().execute  # type: ignore[no-any-return]


def main() -> None:
    """Read the order from the first line of the input."""
    order = WriterOrder.load(sys.stdin.readline())
    commits = write_foreign(order) if order.own is None else asyncio.run(write_own(order, order.own))
    say(json.dumps([astuple(commit) for commit in commits]))


if __name__ == "__main__":
    main()
