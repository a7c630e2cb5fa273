"""The real `airflow api-server` as a process: any auth manager, any number of workers, a home of its own."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.airflow.installed import OURS, variables
from tests.airflow.process import FAB, environment, find_python
from tests.servers.find import HOST, free_port, make_folder

SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
HOME = Path(__file__).with_name("home")
START_SECONDS = 300.0
STOP_SECONDS = 30.0
SECRETS = {
    "AIRFLOW__CORE__FERNET_KEY": "bm90IGEgc2VjcmV0LCBvbmx5IGZvciB0aGVzZSB0ZXM=",
    "AIRFLOW__API__SECRET_KEY": "signs what Flask keeps in its cookies, the same everywhere: 64 bytes",
}
__all__ = ["FAB", "OURS", "SIMPLE", "ApiServer", "Home", "run_airflow"]


class Home:
    """A throw-away AIRFLOW_HOME with our DAGs, and what `tests/airflow` runs under: a Python path of its own.

    asyncauth reaches Airflow as an installed distribution does: on the path, with its entry points beside it. `with_us`
    False leaves it out.
    """

    def __init__(self, *, with_us: bool = True) -> None:
        self.path = make_folder("airflow")
        shutil.copytree(HOME, self.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        self.overlay = self.path / "overlay"
        self.statements = self.path / "statements.log"
        self._variables = variables(self.overlay, fab=True) if with_us else {"PYTHONPATH": str(self.overlay)}

    def environment(self, url: str, manager: str, **more: str) -> dict[str, str]:
        """For a process of Airflow's.

        Args:
            more: further variables.
        """
        return (
            environment(str(self.path), url)
            | SECRETS
            | self._variables
            | {
                "AIRFLOW__CORE__AUTH_MANAGER": manager,
                "AIRFLOW__API__EXPOSE_CONFIG": "True",
                "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
                "PYTHONUNBUFFERED": "1",
            }
            | more
        )

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)


def run_airflow(home: Home, url: str, manager: str, *line: str, **more: str) -> str:
    """What an `airflow` command says; an `AssertionError` with all of it if it fails."""
    done = subprocess.run(
        [find_python(), "-m", "airflow", *line],
        cwd=home.path,
        env=home.environment(url, manager, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"airflow {' '.join(line)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class ApiServer:
    """One API server; start it from the main thread: it ends with the thread that started it.

    Args:
        url: of the database, for a sync driver.
        manager: path of the class.
        watch: whether to note all SQL; see `statements`.
        more: further environment variables.
    """

    def __init__(self, url: str, manager: str, *, workers: int = 2, watch: bool = False, **more: str) -> None:
        self.home = Home(with_us=manager not in {FAB, SIMPLE})
        self.port = free_port()
        self.workers = workers
        self.base_url = f"http://{HOST}:{self.port}"
        self._log_path = self.home.path / "log"
        if watch:
            more["PROBE_STATEMENTS"] = str(self.home.statements)
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [find_python(), "-m", "airflow", "api-server", *self._arguments()],
                cwd=self.home.path,
                env=self.home.environment(url, manager, **more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _arguments(self) -> list[str]:
        return ["--apps", "core", "--host", HOST, "--port", str(self.port), "--workers", str(self.workers)]

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return self._log_path.read_text(errors="replace")

    @property
    def statements(self) -> list[tuple[int, str]]:
        """The SQL of all workers so far, each with the process that sent it."""
        whole, _, _ = self.home.statements.read_text().rpartition("\n")  # what follows is being written
        return [(pid, statement) for pid, statement in map(json.loads, whole.splitlines())]

    def wait(self) -> None:
        """Return once every worker answers; the server is closed if that does not come."""
        deadline = time.monotonic() + START_SECONDS
        pids: set[int] = set()
        while len(pids) < self.workers:
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = self.log
                self.close()
                raise AssertionError(f"the API server did not start:\n{log[-6000:]}")
            try:
                pids.add(httpx.get(f"{self.base_url}/probe/pid", timeout=10, trust_env=False).json())
            except (httpx.HTTPError, OSError):
                time.sleep(0.2)
        self.pids = pids

    def client(self, token: str | None = None, *, cookie: bool = False, timeout: float = 60.0) -> httpx.Client:
        """A client that logs nobody in: with a token in the header or the cookie, or with none."""
        headers = {"Authorization": f"Bearer {token}"} if token and not cookie else {}
        cookies = {"_token": token} if token and cookie else {}
        return httpx.Client(base_url=self.base_url, headers=headers, cookies=cookies, timeout=timeout, trust_env=False)

    def log_in(self, username: str, password: str | None = None) -> str:
        """A token."""
        with self.client() as client:
            body = {"username": username, "password": password or f"the password of {username}"}
            answer = client.post("/auth/token", json=body)
            assert answer.status_code == 201, f"{answer.status_code} {answer.text}\n{self.log[-3000:]}"
            return str(answer.json()["access_token"])

    def close(self) -> None:
        """End it and remove its home."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self.home.close()

    def kill(self) -> None:
        """End it and its workers at once, whatever they are at."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
