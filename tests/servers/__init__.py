"""Real PostgreSQL and MariaDB servers for the tests: free loopback ports, throw-away folders, ended with the run."""

from tests.servers.base import Server, ServerError
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import PostgreSQL

__all__ = ["MariaDB", "PostgreSQL", "Server", "ServerError"]
