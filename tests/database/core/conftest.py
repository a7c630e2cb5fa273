"""The core's tests leave the tables as they are: their databases go from one to the next."""

from tests.sharing import auth, database, engine, reused

__all__ = ["auth", "database", "engine", "reused"]
