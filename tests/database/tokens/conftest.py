"""As for the tests of the core, but on one driver of each dialect: none of this is the driver's, and with full numbers
it runs on all of them."""

from tests.sharing import auth, database, engine, one_of_each, reused

__all__ = ["auth", "database", "engine", "one_of_each", "reused"]
