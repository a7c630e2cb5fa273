"""The API reference: every public name stands in it, and says what it is."""

import re
from collections.abc import Iterator
from pathlib import Path

import griffe
import pytest

import asyncauth
from asyncauth import admin, api, pages

ROOT = Path(__file__).parents[2]
SHOWN = [
    name
    for page in sorted((ROOT / "docs" / "reference").glob("*.md"))
    for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
]
PACKAGE = griffe.load("asyncauth", search_paths=[ROOT / "src"])


def find(name: str) -> griffe.Object | griffe.Alias:
    """What stands in the source under a dotted name."""
    found: griffe.Object | griffe.Alias = PACKAGE[name.removeprefix("asyncauth.")]
    return found.final_target if isinstance(found, griffe.Alias) else found


def silent(thing: griffe.Object | griffe.Alias) -> Iterator[str]:
    """Names that say nothing, of this and of what is in it. Fields say it by their name and type, settings do not."""
    if not thing.has_docstring:
        yield thing.path
    exports = thing.exports if thing.is_module and thing.exports is not None else None
    for name, member in thing.members.items():
        if name.startswith(("_", "model_config")) or (exports is not None and name not in exports) or name.isupper():
            continue
        if isinstance(member, griffe.Alias):
            if exports is not None:
                yield from silent(member.final_target)
        elif member.is_function or member.is_class or thing.name == "Settings":
            yield from silent(member)


@pytest.mark.parametrize("name", SHOWN)
def test_it_says_what_it_is(name: str) -> None:
    """And so does each of its methods."""
    assert list(silent(find(name))) == []


@pytest.mark.parametrize("module", [asyncauth, admin, api, pages], ids=lambda module: module.__name__)
def test_every_public_name_is_shown(module: object) -> None:
    """By itself, or with its module."""
    whole, names = module.__name__, module.__all__  # type: ignore[attr-defined]
    assert whole in SHOWN or {f"{whole}.{name}" for name in names} - set(SHOWN) <= {"asyncauth.AuthError"}
