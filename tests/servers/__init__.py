"""Real database servers for the tests: free loopback ports, throw-away folders, ended with the run."""

from tests.servers.base import Server
from tests.servers.find import ServerError
from tests.servers.host import Host
from tests.servers.mariadb import MariaDB
from tests.servers.mysql import MySQL
from tests.servers.postgres import PostgreSQL
from tests.servers.sqlite import SQLite

__all__ = ["Host", "MariaDB", "MySQL", "PostgreSQL", "SQLite", "Server", "ServerError"]
