"""Running programs: those that build and check, and Pythons in environments of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
TIMEOUT_SECONDS = 600.0
VERSIONS = ("3.11", "3.12", "3.13")
"""Of Python: those that the classifiers name."""


class CheckError(Exception):
    """What is released is not as it should be, or something that the checks need is missing."""


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    """Run a program to its end; what it printed. Nothing of this environment reaches it but the way to the packages.

    Args:
        more: variables for its environment.

    Raises:
        CheckError: it failed; with what it printed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASYNCAUTH_", "PYTHON"))}
    try:
        process = subprocess.run(
            command,
            cwd=cwd,
            env=environment
            | {"PIP_CONSTRAINT": str(CONSTRAINTS), "PIP_BUILD_CONSTRAINT": str(CONSTRAINTS)}
            | {"PIP_RETRIES": "10", "PIP_TIMEOUT": "60"}  # an index that stumbles fails nothing
            | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckError(f"{' '.join(map(str, command))} did not end within {error.timeout:.0f} s") from None
    if process.returncode != 0:
        raise CheckError(f"{' '.join(map(str, command))} failed:\n{process.stdout}")
    return process.stdout


def tool(module: str, *arguments: str | Path, cwd: Path, **more: str) -> str:
    """Run one of the tools of the dependency group `dist`, `build` or `twine`, with this Python."""
    return run(sys.executable, "-m", module, *arguments, cwd=cwd, **more)


def find_pythons() -> dict[str, Path]:
    """The Pythons of `VERSIONS` that are here: this one, those on PATH, pyenv's and uv's; version → program."""
    found = {}
    for version in VERSIONS:
        works = (path for path in _candidates(version) if _is_version(path, version))
        if path := next(works, None):
            found[version] = path
    return found


def _candidates(version: str) -> list[Path]:
    paths = [Path(sys.executable)]
    if on_path := shutil.which(f"python{version}"):
        paths.append(Path(on_path))
    home = Path.home()
    for folder, pattern in (
        (Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions", f"{version}.*/bin/python"),
        (home / ".local/share/uv/python", f"cpython-{version}.*/bin/python{version}"),
    ):
        paths += sorted(folder.glob(pattern), reverse=True)
    return paths


def _is_version(python: Path, version: str) -> bool:
    """Whether it is that version, and can make environments; a shim of pyenv's may stand for nothing."""
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        return run(python, "-c", code, cwd=ROOT).strip() == version
    except (CheckError, OSError):
        return False
