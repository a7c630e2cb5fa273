"""What `asyncauth doctor` finds in a database beyond its tables."""

import itertools
import re
import time
from types import SimpleNamespace

import anyio
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth import AuthManager
from asyncauth.db.connect import with_connection
from asyncauth.db.findings import Finding
from asyncauth.db.wellbeing import examine
from tests.databases import Database
from tests.rows import add_group, add_role, add_user, through


def look(database: Database, group_roles: bool | None = None) -> list[Finding]:
    """All findings."""

    async def ask() -> list[Finding]:
        return await with_connection(database.url, lambda c: examine(c, group_roles, "Admin"), create=False)

    return anyio.run(ask)


def about(findings: list[Finding], word: str) -> Finding:
    """The one about this."""
    (found,) = (finding for finding in findings if word in finding.what)
    return found


def test_an_empty_database(database: Database) -> None:
    findings = look(database)
    assert all(finding.ok for finding in findings)
    assert about(findings, "through a group").advice == ""
    assert "0 active users" in about(findings, "role Admin").what
    assert "users create" in about(findings, "role Admin").advice


async def test_who_would_gain_rights_is_named(database: Database, auth: AuthManager) -> None:
    """Active users, for roles that they do not hold directly."""

    async def make(connection: AsyncConnection) -> None:
        op, admin = [await add_role(connection, name) for name in ("Op", "Admin")]
        ada = await add_user(connection, "ada", roles=[op, admin])
        bob = await add_user(connection, "bob")
        eve = await add_user(connection, "eve", active=False)
        await add_group(connection, "staff", members=[ada, bob, eve], roles=[op])

    await through(auth, make)

    def both() -> list[list[Finding]]:
        return [look(database, setting) for setting in (False, None)]

    off, on = await anyio.to_thread.run_sync(both)
    gaining = about(off, "would gain rights")
    assert gaining.what.endswith(": bob (Op)")
    assert "GROUP_ROLES" in gaining.advice
    assert about(on, "would lose rights").what.endswith(": bob (Op)")
    assert about(on, "role Admin").advice == ""


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
def test_a_clock_that_differs_is_wrong(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "differs" in about(look(database), "clock").what
    monkeypatch.setattr("asyncauth.db.wellbeing.time", SimpleNamespace(time=lambda: time.time() + 3600))
    wrong = about(look(database), "clock")
    assert not wrong.ok
    behind = re.search(r"(\d+) s behind", wrong.what)
    assert behind
    assert int(behind[1]) == pytest.approx(3600, abs=30)  # half of what the answer took
    assert wrong.advice


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
def test_a_slow_answer_makes_no_clock_wrong(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was slow on its way there or back is not known: a minute of it says nothing of half a minute."""
    asked = itertools.count()
    monkeypatch.setattr("asyncauth.db.wellbeing.time", SimpleNamespace(time=lambda: time.time() + 60 * next(asked)))
    assert about(look(database), "clock").ok
