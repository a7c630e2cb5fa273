"""A software bill of materials in CycloneDX's form: what `pip install 'asyncauth[all]'` brings, with licences."""

import json
from pathlib import Path

from tools.release.programs import ROOT, CheckError, run, tool

SPECIFICATION = "1.6"


def install(python: Path, wheel: Path, folder: Path) -> Path:
    """An environment with the wheel and every extra but Airflow's, and nothing else; its Python."""
    run(python, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    inside = folder / "bin" / "python"
    run(python, "-m", "pip", "--python", inside, "install", "-q", f"{wheel}[all]", cwd=folder.parent)
    return inside


def write(python: Path, target: Path) -> int:
    """Write it, validated against the schema; the number of components.

    Args:
        python: of the environment that is described.
        target: the file.

    Raises:
        CheckError: the bill is not valid.
    """
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--spec-version", SPECIFICATION]
    tool("cyclonedx_py", "environment", *options, "--validate", "-o", target, python, cwd=target.parent)
    bill = json.loads(target.read_text(encoding="utf-8"))
    if str(python.parents[2]) in json.dumps(bill):
        raise CheckError(f"{target.name} names a folder of this machine")
    return len(bill["components"])
