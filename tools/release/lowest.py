"""The oldest version of every dependency that pyproject.toml allows, on the oldest Python: does the suite pass?"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tools.release import trial
from tools.release.programs import ROOT, VERSIONS, CheckError, find_pythons, run

TESTS = (("tests/unit",), ("tests/web",), ("tests/database/core", "tests/database/tokens"))
"""Arguments of pytest."""
TOOLS_NEED = "anyio"
"""Its oldest versions run the demo only: its plugin runs the tests, and has to be as new as the group `test` says."""
OPTIONS = ("-q", "-W", "default", "-p", "no:cacheprovider")
"""Old packages warn of what has changed since; with us a warning is an error."""


def resolve() -> list[str]:
    """Those versions, as requirements; what they need themselves is as new as they allow."""
    options = ["--extra", "all", "--resolution", "lowest-direct", "--python-version", VERSIONS[0], "-q", "--no-header"]
    listed = run(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *options, "--no-annotate", cwd=ROOT)
    return listed.split()


def environment(python: Path, versions: list[str], group: str, folder: Path) -> Path:
    """An environment with those versions and a dependency group, whatever that asks for; its Python.

    Raises:
        CheckError: a version cannot be installed.
    """
    run(python, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    overrides = folder / "lowest.txt"
    overrides.write_text("\n".join(versions), encoding="utf-8")
    uv = (sys.executable, "-m", "uv", "pip", "install", "-q", "--python", folder / "bin/python")
    run(*uv, "--overrides", overrides, "-e", ".[all]", "--group", group, cwd=ROOT)
    return folder / "bin/python"


def check(work: Path) -> int:
    """Run the demo with all of them, and the tests with all that pytest allows; how many of these failed.

    Raises:
        CheckError: the oldest Python is not here, or the demo failed.
    """
    python = find_pythons().get(VERSIONS[0])
    if python is None:
        raise CheckError(f"the lowest versions are tried on Python {VERSIONS[0]}, which is not here")
    versions = resolve()
    trial.check(environment(python, versions, "examples", work / "demo"), ROOT / "examples", ROOT / "src")
    print(f"the demo runs with {', '.join(versions)}", flush=True)
    allowed = [version for version in versions if not version.startswith(f"{TOOLS_NEED}==")]
    inside = environment(python, [*allowed, _of_the_tests()], "test", work / "tests")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCAUTH_")}
    failed = 0
    for tests in TESTS:
        print(f"── {' '.join(tests)} with the lowest versions", flush=True)
        command = [inside, "-m", "pytest", *OPTIONS, *tests]
        failed += subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode != 0
    return failed


def _of_the_tests() -> str:
    """The oldest version of `TOOLS_NEED` that the tests run with, as a requirement."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    (floor,) = (one for one in groups["test"] if isinstance(one, str) and one.startswith(f"{TOOLS_NEED}>="))
    return str(floor).replace(">=", "==")
