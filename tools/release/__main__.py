"""`python -m tools.release` builds into dist/ and checks; `… lowest` tries the lowest versions of dependencies."""

import shutil
import sys
import tempfile
from pathlib import Path

from tools.release import contents, lowest, metadata, sbom, trial
from tools.release.build import Archives, build, check_same_again
from tools.release.programs import ROOT, VERSIONS, CheckError, find_pythons

DIST = ROOT / "dist"


def say(what: str) -> None:
    """One line a step."""
    print(what, flush=True)


def make(work: Path) -> None:
    """Build, check, and leave in dist/ what passed: sdist, wheel, bill of materials.

    Raises:
        CheckError: what is wrong.
    """
    pythons = find_pythons()
    if not pythons:
        raise CheckError(f"no Python of {', '.join(VERSIONS)} is here")
    (work / "built").mkdir()
    built = build(ROOT, work / "built")
    say(f"built {built.sdist.name}, {built.wheel.name}")
    tree = contents.tracked()
    if tree is not None:
        contents.check_sdist(built.sdist, tree)
    unpacked = check_same_again(built, work)
    inside = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    contents.check_wheel(built.wheel, inside)
    say("contents: as they should be; built again from the sdist: the same bytes")
    metadata.check(built)
    say("metadata: twine finds nothing, no link leads nowhere")
    for version, python in pythons.items():
        trial.check(trial.install(python, built.wheel, work / f"python{version}"), unpacked / "examples")
        say(f"Python {version} ({python}): installed, pip check, tables made, demo ran")
    bill = work / "built" / f"asyncauth-{contents.version()}.cdx.json"
    say(f"bill of materials: {sbom.write(next(iter(pythons.values())), built.wheel, bill)} components")
    keep(built, bill)
    if absent := [version for version in VERSIONS if version not in pythons]:
        say(f"NOT tried, as not found on PATH, in pyenv or in uv: Python {', '.join(absent)}")


def keep(built: Archives, bill: Path) -> None:
    """Into dist/, in place of what was there."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for path in (built.sdist, built.wheel, bill):
        shutil.copy2(path, DIST)
    say(f"in dist/: {', '.join(sorted(path.name for path in DIST.iterdir()))}")


def main(arguments: list[str]) -> int:
    """Do it; the exit code."""
    with tempfile.TemporaryDirectory(prefix="asyncauth-dist-") as folder:
        try:
            if arguments == ["lowest"]:
                return min(1, lowest.check(Path(folder)))
            make(Path(folder))
        except CheckError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
