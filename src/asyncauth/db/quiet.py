"""Keep what statements carry out of logs: password hashes come back in rows, and go out in parameters.

At DEBUG, SQLAlchemy logs every row, with hidden parameters too, and aiosqlite every statement with its parameters.
Filters are used, not levels: a logging configuration that is read later sets those anew.
"""

import logging

from sqlalchemy.ext.asyncio import AsyncEngine

_NAME = "asyncauth"


def _is_no_detail(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def keep_quiet(engine: AsyncEngine) -> AsyncEngine:
    """The same engine with the same connections, whose log says which statements ran and nothing that they carried,
    however the application's own engine is set up."""
    quiet = engine.execution_options()
    inner = quiet.sync_engine
    inner.hide_parameters = True
    inner.logging_name = _NAME
    inner.echo = inner.echo  # this makes the logger, of that name
    for name in ("aiosqlite", f"sqlalchemy.engine.Engine.{_NAME}"):
        logging.getLogger(name).addFilter(_is_no_detail)
    return quiet
