"""The list of mutants that need no test is about lines that are there."""

import tomllib
from pathlib import Path

import pytest
from tools.mutants import EXPLAINED, name_function

ROOT = Path(__file__).parents[2]
GROUPS = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["equivalent"]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group["of"])
def test_what_is_explained_is_there(group: dict[str, str]) -> None:
    """In the module named, to the letter; each with a reason."""
    parts = group["of"].split(".")
    files = [ROOT / "src" / Path(*parts[:length]).with_suffix(".py") for length in range(2, len(parts))]
    (file,) = [file for file in files if file.exists()]
    assert group["before"] in {line.strip() for line in file.read_text(encoding="utf-8").splitlines()}
    assert group["before"] not in group["after"]
    assert group["why"]


@pytest.mark.parametrize(
    ("mutant", "of"),
    [
        ("asyncauth.decide.x_decide__mutmut_3", "asyncauth.decide.decide"),
        ("asyncauth.tokens.gate.x__is_deep__mutmut_12", "asyncauth.tokens.gate._is_deep"),
        ("asyncauth.cache.x\u01c1Cache\u01c1__init____mutmut_1", "asyncauth.cache.Cache.__init__"),
    ],
)
def test_mutants_are_named_as_people_would(mutant: str, of: str) -> None:
    """mutmut's own names hold a number that moves with every line."""
    assert name_function(mutant) == of
