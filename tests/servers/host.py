"""Where databases live: what a server and a folder of SQLite files have in common."""

from abc import ABC, abstractmethod
from typing import ClassVar


class Host(ABC):
    """Makes and drops databases of one dialect."""

    dialect: ClassVar[str]
    """As SQLAlchemy calls it in URLs."""
    sync_driver: ClassVar[str]
    """A driver without async that the tests have."""
    sync_query: ClassVar[str] = ""
    """What follows in its URLs."""

    @abstractmethod
    def url(self, database: str, driver: str) -> str:
        """Where SQLAlchemy finds a database through a driver: `asyncpg`, `psycopg`, `aiomysql`, ..."""

    @abstractmethod
    def create_database(self, name: str) -> None:
        """Make an empty database."""

    @abstractmethod
    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""

    @abstractmethod
    def copy_database(self, template: str, name: str) -> None:
        """Make a database with the tables and rows of `template`, to which nobody may be connected."""

    @abstractmethod
    def close(self) -> None:
        """Remove everything."""
