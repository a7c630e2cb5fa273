"""Airflow with asyncauth installed: its code on Python's path, and beside it what an installer writes."""

import os
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from tests.airflow.process import Airflow, environment, find_python, sync_url
from tests.databases import FULL, Database

ROOT = Path(__file__).parents[2]
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "mysql": "mysql+aiomysql"}
ONE_OR_ALL = tuple(DRIVERS) if FULL else ("postgresql",)
"""On what to test what is the same on each kind of server: Airflow's commands take seconds."""
OURS = "asyncauth.airflow.AsyncAuthManager"


class Installed(Airflow):
    """A process with the real Airflow and asyncauth; `fab`: with the FAB provider or as if it were not installed."""

    def __init__(self, database: Database, *, fab: bool, **more: str) -> None:
        self._path = tempfile.mkdtemp(prefix="asyncauth-installed-")
        self.variables = variables(Path(self._path), fab=fab) | more
        super().__init__(database, **self.variables)

    def run(self, *line: str, code: int = 0) -> str:
        """What an `airflow` command says to stdout, run in the process; `code`: how it has to end."""
        said = self.call("say", line=list(line))
        assert said["code"] == code, f"airflow {' '.join(line)}: {said}"
        return str(said["out"])

    def close(self) -> None:
        """End the process."""
        super().close()
        shutil.rmtree(self._path, ignore_errors=True)


def variables(folder: Path, *, fab: bool) -> dict[str, str]:
    """Environment variables with which Airflow finds asyncauth. `folder` is filled with what they name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["apache_airflow_provider"]
    lines = ["[apache_airflow_provider]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    path = [str(folder), str(ROOT / "src")]
    if not fab:
        path.insert(0, str(Path(__file__).with_name("hidden")))
    return {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1", "AIRFLOW__CORE__AUTH_MANAGER": OURS}


def run_airflow(database: Database, *line: str, fab: bool) -> subprocess.CompletedProcess[str]:
    """An `airflow` command as an operator types it, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="asyncauth-airflow-") as home, tempfile.TemporaryDirectory() as path:
        return subprocess.run(
            [find_python(), "-m", "airflow", *line],
            cwd=home,
            env=environment(home, sync_url(database)) | variables(Path(path), fab=fab),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
