"""The same databases as for the tests of the core."""

from tests.sharing import auth, database, engine, reused

__all__ = ["auth", "database", "engine", "reused"]
