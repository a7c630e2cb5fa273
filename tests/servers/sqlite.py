"""SQLite databases as files in a throw-away folder, made and dropped in the way of the servers."""

import atexit
import shutil
from pathlib import Path

from sqlalchemy import URL

from tests.servers.find import make_folder
from tests.servers.host import Host


class SQLite(Host):
    """A folder of SQLite files."""

    dialect = "sqlite"
    sync_driver = "pysqlite"

    def __init__(self) -> None:
        self.folder = make_folder(self.dialect)
        atexit.register(self.close)

    def url(self, database: str, driver: str) -> str:
        return str(URL.create(f"sqlite+{driver}", database=str(self._path(database))))

    def create_database(self, name: str) -> None:
        self._path(name).touch(exist_ok=False)

    def drop_database(self, name: str) -> None:
        for path in self.folder.glob(f"{name}.db*"):  # the write-ahead log and its index too
            path.unlink()

    def copy_database(self, template: str, name: str) -> None:
        shutil.copyfile(self._path(template), self._path(name))

    def close(self) -> None:
        atexit.unregister(self.close)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.db"
