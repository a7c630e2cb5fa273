"""Whether type checkers know the type of everything public: pyright's `--verifytypes`, on the wheel once installed."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from tools.release.programs import TIMEOUT_SECONDS, CheckError

Name = tuple[str, str]
"""A module and a name in it."""
ELSEWHERE = "asyncauth.airflow"
"""Its classes are Airflow's, which has an environment of its own."""


def public_names(wheel: Path) -> set[Name]:
    """What the modules that have an `__all__` name in it, under their own name and where it is at home."""
    found: set[Name] = set()
    with ZipFile(wheel) as archive:
        for path in archive.namelist():
            module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if path.endswith(".py") and module != ELSEWHERE:
                found.update(_named(module, ast.parse(archive.read(path))))
    return found


def check(python: Path, wheel: Path) -> int:
    """Ask pyright; how many types are public.

    Args:
        python: of an environment that has the wheel and every extra.

    Raises:
        CheckError: a type is not known, or could be taken for another one.
    """
    command = [sys.executable, "-m", "basedpyright", "--verifytypes", "asyncauth", "--ignoreexternal", "--outputjson"]
    asked = subprocess.run(
        command,
        cwd=python.parents[1],
        env=os.environ | {"PATH": f"{python.parent}:{os.environ.get('PATH', '')}"},  # its first Python is asked
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    try:
        said = json.loads(asked.stdout)["typeCompleteness"]
    except (ValueError, KeyError):
        raise CheckError(f"pyright failed:\n{asked.stdout}{asked.stderr}") from None
    return read(said, public_names(wheel))


def read(said: dict[str, Any], public: set[Name]) -> int:
    """What pyright's answer means for the public names; how many symbols they have, with members.

    Raises:
        CheckError: a type is not known.
    """
    modules = sorted((module["name"] for module in said["modules"]), key=len, reverse=True)
    symbols = [one for one in said["symbols"] if _is_public(one["name"], modules, public)]
    unknown = [one for one in symbols if not one["isTypeKnown"] or one["isTypeAmbiguous"]]
    if unknown:
        lines = (f"{one['name']}: {'; '.join(each['message'] for each in one['diagnostics'])}" for one in unknown)
        raise CheckError("type checkers can only guess these types:\n" + "\n".join(lines))
    if len(symbols) < len({name for _, name in public}):
        raise CheckError(f"pyright found {len(symbols)} public symbols only: is the wheel installed with every extra?")
    return len(symbols)


def _named(module: str, tree: ast.Module) -> Iterator[Name]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = set(ast.literal_eval(node.value))
    yield from ((module, name) for name in names)
    for inner in ast.walk(tree):
        if isinstance(inner, ast.ImportFrom) and inner.module is not None:
            yield from ((inner.module, alias.name) for alias in inner.names if alias.name in names)


def _is_public(symbol: str, modules: list[str], public: set[Name]) -> bool:
    """Whether it is one of these names, or a member of one without an underscore."""
    module = next((one for one in modules if symbol.startswith(f"{one}.")), None)
    if module is None:
        return False
    name, *members = symbol.removeprefix(f"{module}.").split(".")
    return (module, name) in public and not any(one.startswith("_") and one != "__init__" for one in members)
