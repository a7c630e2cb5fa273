"""An upgrade beside a transaction that nobody ends: it gives up, says so, and nobody waits behind it for long."""

import pytest
from sqlalchemy import select

from asyncauth.db import triggers
from asyncauth.db.engine import make_engine
from asyncauth.db.migrate import upgrade
from asyncauth.db.tables import users
from tests.databases import Database


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
async def test_an_upgrade_does_not_wait_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """MariaDB's own limit is a day, and a waiting CREATE TRIGGER stops everybody who wants the table."""
    monkeypatch.setattr(triggers, "_ATTEMPTS", 2)
    engine = make_engine(database.url, pool_size=2, timeout_seconds=10)
    on = " ON ab_user" if database.host.dialect == "postgresql" else ""
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"DROP TRIGGER asyncauth_ab_user_update{on}")
    async with engine.connect() as forgotten:
        await forgotten.execute(select(users.c.id))
        if on:
            await forgotten.exec_driver_sql("LOCK TABLE ab_user IN ROW EXCLUSIVE MODE")
        await upgrade(database.url)
        assert "triggers could not be made" in caplog.text
        await forgotten.rollback()
    caplog.clear()
    await upgrade(database.url)
    assert "could not" not in caplog.text
    await engine.dispose()
