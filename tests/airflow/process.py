"""The real Airflow in a process of its own, with an environment of its own, on a database that it makes."""

import json
import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from tests.databases import Database

PROVIDER = Path(__file__).with_name("provider.py")
ISSUER = "https://airflow.example"
AUDIENCE = "apache-airflow"
SECRET = "the secret that Airflow and asyncauth share, long enough for HS512: 64 bytes"
SYNC_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg2", "mysql": "pymysql"}
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def find_python() -> str:
    """The Python that has Airflow."""
    python = os.environ.get("ASYNCAUTH_TEST_AIRFLOW", "")
    if not Path(python).is_file():
        pytest.fail(
            "the tests of adoption need Apache Airflow in an environment of its own: run `make test PARTS=airflow`, or "
            "set ASYNCAUTH_TEST_AIRFLOW to the Python of one with tools/airflow-requirements.txt installed",
            pytrace=False,
        )
    return python


def sync_url(database: Database) -> str:
    """Where Airflow is told that a database is."""
    url = database.host.url(database.name, SYNC_DRIVERS[database.host.dialect])
    return url.replace("+pysqlite", "")  # Airflow knows the short form only


def environment(home: str, url: str) -> dict[str, str]:
    """What configures Airflow with the FAB auth manager, on a database, and nothing of this process's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__AUTH_MANAGER": FAB,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__FAB__UPDATE_FAB_PERMS": "False",  # or FAB grants something to every role whenever it is asked
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__API_AUTH__JWT_SECRET": SECRET,
        "AIRFLOW__API_AUTH__JWT_ISSUER": ISSUER,
        "AIRFLOW__API_AUTH__JWT_AUDIENCE": AUDIENCE,
    }


class Airflow:
    """Asks `provider.py`; runs what its functions do, one at a time."""

    def __init__(self, database: Database, **more: str) -> None:
        self.database = database
        self._home = tempfile.TemporaryDirectory(prefix="asyncauth-airflow-")
        self._log = (Path(self._home.name) / "log").open("w+")
        self._process = subprocess.Popen(
            [find_python(), str(PROVIDER)],
            cwd=self._home.name,
            env=environment(self._home.name, sync_url(database)) | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    async def ask(self, name: str, /, **arguments: Any) -> Any:
        """As `call`, off the event loop."""
        return await to_thread.run_sync(partial(self.call, name, **arguments))

    def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a function of `provider.py`; its result, as JSON carries it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": name, "with": arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "Airflow ended"}')
        assert "result" in answer, f"Airflow could not {name}: {answer['error']}\n{self._tail()}"
        return answer["result"]

    def close(self) -> None:
        """End the process. Should we be killed, it ends with its input."""
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._home.cleanup()

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read()[-3000:]
