"""Count the SQL statements that a piece of code sends."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

TRANSACTIONS = ("BEGIN", "COMMIT", "ROLLBACK")


@contextmanager
def count_statements(engine: AsyncEngine | Engine | None = None) -> Iterator[list[str]]:
    """The statements sent inside the block, in order, without those that begin and end transactions.

    Args:
        engine: only what goes through this engine; None: through any. The polling of a started manager counts too:
            give it a long `poll_interval_seconds`.
    """
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.upper().startswith(TRANSACTIONS):
            statements.append(statement)

    target = engine.sync_engine if isinstance(engine, AsyncEngine) else engine or Engine
    event.listen(target, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(target, "before_cursor_execute", note)
