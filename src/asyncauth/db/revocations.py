"""Revoked tokens in the database: our table, and Airflow's where it stands. Times in seconds since the epoch."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Insert, Select, Table, cast, func, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.tables import airflow_revocations, revocations
from asyncauth.model import Claims, make_login_key


def read_own(now: int) -> "Select[str, str, int]":
    """The unexpired rows of our table: issuer, id, expiry."""
    columns = (revocations.c.iss, revocations.c.jti, revocations.c.exp)
    return select(*columns).where(revocations.c.exp > now)


def read_airflow(dialect: str, now: int) -> "Select[str, int]":
    """The unexpired rows of Airflow's table: id, expiry."""
    exp = airflow_revocations.c.exp
    return select(airflow_revocations.c.jti, _to_epoch(dialect, exp)).where(exp > _from_epoch(dialect, now))


async def insert_own(connection: AsyncConnection, claims: Claims) -> None:
    """Revoke in our table. Doing it twice is no error."""
    iss, jti = claims.token_id
    await _insert_once(connection, revocations, {"iss": iss, "jti": jti, "exp": claims.expires_at})


async def insert_login(connection: AsyncConnection, issuer: str | None, login_id: str, expires_at: int) -> None:
    """Revoke all tokens of a login. Doing it twice is no error, and the first expiry stays.

    Args:
        expires_at: when its last token expires.
    """
    iss, jti = make_login_key(issuer, login_id)
    await _insert_once(connection, revocations, {"iss": iss, "jti": jti, "exp": expires_at})


async def insert_airflow(connection: AsyncConnection, claims: Claims) -> None:
    """Revoke in Airflow's table. Doing it twice is no error."""
    exp = _from_epoch(connection.dialect.name, claims.expires_at)
    await _insert_once(connection, airflow_revocations, {"jti": claims.jti, "exp": exp})


async def _insert_once(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> None:
    statement: Insert
    match connection.dialect.name:
        case "postgresql":
            statement = postgresql.insert(table).values(values).on_conflict_do_nothing()
        case "sqlite":
            statement = sqlite.insert(table).values(values).on_conflict_do_nothing()
        case _:  # INSERT IGNORE would hide other errors as well
            statement = mysql.insert(table).values(values).on_duplicate_key_update(jti=table.c.jti)
    await connection.execute(statement)


# Airflow keeps the expiry as a timestamp: with a time zone on PostgreSQL, converted by the connection's on MariaDB and
# MySQL, UTC as text on SQLite. These two are right whatever the connection is set to.


def _to_epoch(dialect: str, column: ColumnElement[Any]) -> ColumnElement[int]:
    if dialect == "sqlite":
        return cast(func.strftime("%s", column), BigInteger)
    if dialect == "postgresql":
        return cast(func.extract("epoch", column), BigInteger)
    return func.floor(func.unix_timestamp(column), type_=BigInteger)


def _from_epoch(dialect: str, seconds: int) -> ColumnElement[Any]:
    if dialect == "sqlite":
        return func.strftime("%Y-%m-%d %H:%M:%f000", seconds, "unixepoch")
    if dialect == "postgresql":
        return func.to_timestamp(seconds)
    return func.from_unixtime(seconds)
