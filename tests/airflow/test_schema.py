"""Adoption alters nothing; and in an empty database our migration makes what the real provider makes."""

import asyncio

from asyncauth.db.migrate import check, upgrade
from asyncauth.db.tables import fab
from tests.airflow.conftest import Adopted
from tests.airflow.describe import Description, describe, read_rows
from tests.databases import Database


def without_ours(described: Description) -> Description:
    return {name: lines for name, lines in described.items() if not name.startswith("asyncauth_")}


def test_adoption_adds_tables_and_triggers_only(adopted: Adopted) -> None:
    assert without_ours(adopted.tables_after) == adopted.tables_before


def test_adoption_changes_no_row_and_draws_no_id(adopted: Adopted) -> None:
    assert len(adopted.rows_before["ab_user"]) == len(adopted.users)
    assert without_ours(adopted.rows_after) == adopted.rows_before


def test_adopting_twice_changes_nothing(adopted: Adopted) -> None:
    database = adopted.airflow.database
    rows = read_rows(database)
    asyncio.run(upgrade(database.url))
    assert describe(database) == adopted.tables_after
    assert read_rows(database) == rows


async def test_an_adopted_database_is_in_order(adopted: Adopted) -> None:
    findings = await check(adopted.airflow.database.url)
    assert findings
    assert [finding.what for finding in findings if not finding.ok] == []


def test_an_empty_database_gets_the_tables_of_the_provider(adopted: Adopted, database: Database) -> None:
    made, sequences = describe(database), {f"{name}_id_seq" for name in fab.tables}
    expected = {name: lines for name, lines in adopted.tables_before.items() if name in {*fab.tables, *sequences}}
    assert len(fab.tables) == 11
    assert set(fab.tables) <= set(expected)
    assert without_ours(made) == expected
