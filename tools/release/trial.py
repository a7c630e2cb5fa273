"""Install the wheel as a user does, in a clean environment and far from the checkout, and let it show what it can."""

import shutil
import tomllib
from pathlib import Path

from tools.release.programs import ROOT, CheckError, run

DEMO_EXTRAS = "sqlite,fastapi,cli"


def install(python: Path | str, wheel: Path, folder: Path, *, extras: str = DEMO_EXTRAS) -> Path:
    """An environment in `folder`, with the wheel and what the demo needs; its Python.

    Raises:
        CheckError: something cannot be installed, or two packages do not go together.
    """
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["examples"]
    run(python, "-m", "venv", folder, cwd=folder.parent)
    inside = folder / "bin" / "python"
    run(inside, "-m", "pip", "install", "-q", f"{wheel}[{extras}]", *needed, cwd=folder)
    run(inside, "-m", "pip", "check", cwd=folder)
    return inside


def check(python: Path, examples: Path, source: Path | None = None) -> None:
    """It is the wheel that is loaded; every public name is there; the tables are made; the demo runs.

    Args:
        python: of an environment made by `install`.
        examples: the folder of examples, which is copied beside it.
        source: where asyncauth has to be loaded from, if not from that environment.

    Raises:
        CheckError: it does not.
    """
    folder = python.parents[1]
    shutil.copytree(examples, folder / "examples", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    location = run(python, "-c", "import asyncauth; print(asyncauth.__file__)", cwd=folder).strip()
    if not Path(location).is_relative_to(source or folder):
        raise CheckError(f"asyncauth is loaded from {location}, not from {source or 'the wheel'}")
    run(python, "-c", "import asyncauth; [getattr(asyncauth, name) for name in asyncauth.__all__]", cwd=folder)
    url = f"sqlite+aiosqlite:///{folder / 'auth.db'}"
    run(python.with_name("asyncauth"), "db", "upgrade", "--database-url", url, cwd=folder)
    run(python.with_name("asyncauth"), "db", "check", "--database-url", url, cwd=folder)
    output = run(python, "-m", "examples.demo", cwd=folder)
    if missing := [status for status in ("200", "401", "403") if status not in output]:
        raise CheckError(f"the demo showed no {', '.join(missing)}:\n{output}")
