"""What users install: the wheel, in a clean environment, far from the checkout, running the demo."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
TIMEOUT_SECONDS = 300


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program to its end; what it printed. Nothing of this environment reaches it but the way to the packages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASYNCAUTH_", "PYTHON"))}
    environment["PIP_CONSTRAINT"] = str(CONSTRAINTS)
    process = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of `examples/` and an environment, `bin/`, with the wheel and what the demo needs."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=True)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["examples"]
    run(folder / "bin/python", "-m", "pip", "install", "-q", f"{wheel}[sqlite,fastapi,cli]", *needed, cwd=folder)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_wheel_holds_the_package_and_its_migrations(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert {"asyncauth/__init__.py", "asyncauth/py.typed", "asyncauth/migrations/env.py"} <= names
    versions = {f"asyncauth/migrations/versions/{path.name}" for path in (ROOT / "migrations/versions").glob("*.py")}
    pages = {
        f"asyncauth/pages/{path.relative_to(ROOT / 'src/asyncauth/pages')}"
        for path in (ROOT / "src/asyncauth/pages").rglob("*")
        if path.suffix in {".html", ".css", ".svg"}
    }
    assert len(pages) > 15
    assert pages <= names
    assert versions
    assert versions <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"asyncauth"}


def test_the_tables_are_made_with_the_migrations_in_the_wheel(elsewhere: Path) -> None:
    url = f"sqlite+aiosqlite:///{elsewhere / 'auth.db'}"
    location = run(elsewhere / "bin/python", "-c", "import asyncauth; print(asyncauth.__file__)", cwd=elsewhere)
    assert Path(location.strip()).is_relative_to(elsewhere)
    run(elsewhere / "bin/asyncauth", "db", "upgrade", "--database-url", url, cwd=elsewhere)
    assert run(elsewhere / "bin/asyncauth", "db", "check", "--database-url", url, cwd=elsewhere)


def test_the_demo_runs(elsewhere: Path) -> None:
    output = run(elsewhere / "bin/python", "-m", "examples.demo", cwd=elsewhere)
    for status in ("200", "401", "403"):
        assert status in output
