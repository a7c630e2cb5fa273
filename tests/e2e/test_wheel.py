"""What users install: the wheel, in a clean environment, far from the checkout, running the demo.

`make dist` does the same on every Python that is here, and more: see `tools/release/`.
"""

import sys
from pathlib import Path

import pytest
from tools.release import contents, trial
from tools.release.build import build_wheel
from tools.release.programs import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_package_and_its_migrations(wheel: Path) -> None:
    """Each file of the checkout, and nothing else."""
    files = {
        str(path.relative_to(ROOT))
        for folder in ("src/asyncauth", "migrations")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {"src/asyncauth/pages/templates/login.html", "migrations/versions/0001_tables.py"} <= files
    contents.check_wheel(wheel, files)


def test_it_is_installed_makes_the_tables_and_runs_the_demo(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere") / "environment"
    trial.check(trial.install(sys.executable, wheel, folder), ROOT / "examples")
