"""A software bill of materials in CycloneDX's form: what `pip install 'asyncauth[all]'` brings, with licences."""

import json
from pathlib import Path

from tools.release.programs import ROOT, CheckError, run, tool

SPECIFICATION = "1.6"


def write(python: Path, wheel: Path, target: Path) -> int:
    """Write it, validated against the schema; the number of components.

    Args:
        python: makes the environment that is described: the wheel with every extra but Airflow's, and nothing else.

    Raises:
        CheckError: the environment cannot be made, or the bill is not valid.
    """
    place = target.parent / ".sbom"
    run(python, "-m", "venv", "--without-pip", place, cwd=target.parent)
    inside = place / "bin" / "python"
    run(python, "-m", "pip", "--python", inside, "install", "-q", f"{wheel}[all]", cwd=target.parent)
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--spec-version", SPECIFICATION]
    tool("cyclonedx_py", "environment", *options, "--validate", "-o", target, inside, cwd=target.parent)
    bill = json.loads(target.read_text(encoding="utf-8"))
    if str(place.parent) in json.dumps(bill):
        raise CheckError(f"{target.name} names a folder of this machine")
    return len(bill["components"])
