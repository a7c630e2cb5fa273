"""What has to be in the archives, and nothing else."""

import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from tools.release.programs import ROOT, CheckError

PACKAGE, MIGRATIONS = "src/asyncauth/", "migrations/"
METADATA = frozenset({"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"})
NOT_RELEASED = (".ci/", ".git")
"""Of what is under version control; hatchling takes `.gitignore` all the same."""


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def version() -> str:
    """The version that is built: pyproject.toml has it, and nothing else."""
    return str(project()["version"])


def tracked() -> set[str] | None:
    """The files under version control; None in a tree without its history, as an sdist is one."""
    if not (ROOT / ".git").exists():
        return None
    shown = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in shown.split("\0") if name and (ROOT / name).exists()}


def check_wheel(wheel: Path, tree: set[str]) -> None:
    """The package and its migrations, each file of them, the metadata, and nothing else.

    Args:
        tree: the files that the sources hold.
    """
    package = {name.removeprefix("src/") for name in tree if name.startswith(PACKAGE)}
    migrations = {f"asyncauth/{name}" for name in tree if name.startswith(MIGRATIONS)}
    about = {f"asyncauth-{version()}.dist-info/{name}" for name in METADATA}
    _compare(wheel.name, set(ZipFile(wheel).namelist()), package | migrations | about)
    if "asyncauth/py.typed" not in package:
        raise CheckError("py.typed is missing: type checkers would not look into the package")


def check_sdist(sdist: Path, tree: set[str]) -> None:
    """All that is under version control, so that tests, tools and documents go along, and what describes it."""
    expected = {name for name in tree if not name.startswith(NOT_RELEASED)} | {"PKG-INFO", ".gitignore"}
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    _compare(sdist.name, names, expected)


def _compare(archive: str, names: set[str], expected: set[str]) -> None:
    if names != expected:
        missing, more = sorted(expected - names), sorted(names - expected)
        raise CheckError(f"{archive} lacks {missing} and has {more} too many (is all of it under version control?)")
