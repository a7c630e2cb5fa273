"""ARCHITECTURE.md tells the truth: its table names every room, and a file imports only what stands above it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "asyncauth"
MAX_LINES = 600
FREE = {"__init__", "__main__"}
"""Rooms that only pass on what others hold."""


def rooms() -> dict[str, int]:
    """The rooms of the table with the number of their row."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text[text.index("| Room |") : text.index("`migrations/` makes")]
    found: dict[str, int] = {}
    for row, line in enumerate(table.splitlines()[2:]):
        cells = line.split("|")
        if len(cells) > 1:
            found |= dict.fromkeys(re.findall(r"`(\w+)(?:\.py|/)`", cells[1]), row)
    return found


def room_of(path: Path) -> str:
    """`tokens` for tokens/verify.py, `users` for users.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The rooms that a file imports when it is loaded or run; not those for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            parts = node.module.split(".")
            if parts[0] == "asyncauth":
                yield from parts[1:2] or (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("asyncauth."))


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) not in FREE)


def test_every_room_is_named_and_every_name_is_a_room() -> None:
    """Nothing is left out of the table, and nothing in it is gone."""
    assert set(rooms()) == {room_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_stands_above_it(path: Path) -> None:
    """Or what stands in the same row."""
    order = rooms()
    here = room_of(path)
    below = {name for name in imported(path) if name not in FREE and order.get(name, -1) > order[here]}
    assert below == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_are_small(path: Path) -> None:
    """What gets longer wants to be two."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
