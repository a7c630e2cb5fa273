"""Build the sdist and the wheel, and build both once more from the sdist: the bytes have to be the same."""

import os
import subprocess
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tools.release.programs import ROOT, CheckError, tool

BEFORE_THE_FIRST_COMMIT = "1793923200"
"""Seconds since 1970, for a tree without its history: the date in the archives."""


@dataclass(frozen=True)
class Archives:
    """What is released."""

    sdist: Path
    wheel: Path


def epoch() -> str:
    """The time of the last commit, or what SOURCE_DATE_EPOCH says."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    if not (ROOT / ".git").exists():
        return BEFORE_THE_FIRST_COMMIT
    shown = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True)
    return shown.stdout.strip()


def build(source: Path, folder: Path) -> Archives:
    """Build both from a tree, the wheel from the tree too, into a folder."""
    tool("build", "--sdist", "--outdir", folder, source, cwd=folder, SOURCE_DATE_EPOCH=epoch())
    (sdist,) = folder.glob("*.tar.gz")
    return Archives(sdist, build_wheel(source, folder))


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the wheel alone."""
    tool("build", "--wheel", "--outdir", folder, source, cwd=folder, SOURCE_DATE_EPOCH=epoch())
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack(sdist: Path, folder: Path) -> Path:
    """The tree in an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


def check_same_again(built: Archives, work: Path) -> Path:
    """Build from the unpacked sdist, in another folder: a copy of a copy. Returns the tree in the sdist.

    Raises:
        CheckError: an archive differs.
    """
    (work / "sdist").mkdir()
    (work / "again").mkdir()
    tree = unpack(built.sdist, work / "sdist")
    again = build(tree, work / "again")
    for first, second in ((built.sdist, again.sdist), (built.wheel, again.wheel)):
        if sha256(first.read_bytes()).digest() != sha256(second.read_bytes()).digest():
            raise CheckError(f"{first.name}, built again from the sdist, has other bytes")
    return tree
