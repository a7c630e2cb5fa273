"""What `check` finds in databases that something happened to."""

import anyio.to_thread
import pytest

from tests.database.look import execute, wrong
from tests.databases import HOSTS, Database
from tests.servers import MariaDB

WITH_SEQUENCES = pytest.mark.parametrize(
    "backend", ["postgresql+asyncpg", *(["mysql+aiomysql"] if HOSTS["mysql"] is MariaDB else [])], indirect=True
)


async def test_check_says_that_nothing_is_there(empty_database: Database) -> None:
    findings = await wrong(empty_database)
    assert [finding.what for finding in findings] == ["there are no asyncauth tables", "there are no ab_* tables"]
    assert {finding.advice for finding in findings} == {"run asyncauth db upgrade"}


async def test_check_finds_what_is_broken_in_our_tables(database: Database) -> None:
    await anyio.to_thread.run_sync(execute, database, "DELETE FROM asyncauth_feed")
    assert [finding.what for finding in await wrong(database)] == ["asyncauth_feed has lost its row"]
    await anyio.to_thread.run_sync(execute, database, "DROP TABLE asyncauth_feed")
    assert [finding.what for finding in await wrong(database)] == ["our own tables are incomplete: asyncauth_feed"]


@WITH_SEQUENCES
async def test_check_finds_sequences_that_would_fail_an_insert(database: Database) -> None:
    columns = "id, first_name, last_name, username, email"
    row = f"INSERT INTO ab_user ({columns}) VALUES (5000, '', '', 'ada', 'ada')"
    await anyio.to_thread.run_sync(execute, database, row, "DROP SEQUENCE ab_role_id_seq")
    findings = await wrong(database)
    assert {finding.what.split()[2] for finding in findings} == {"ab_user_id_seq", "ab_role_id_seq"}
    advice = [finding.advice.removeprefix("run ") for finding in findings]
    await anyio.to_thread.run_sync(execute, database, *advice)
    assert await wrong(database) == []
