"""Instructions are really counted: the same code gives the same counts, a `decide` that does a little more shows."""

import os
from pathlib import Path

import pytest
from bench.instructions import GREW, find_counter, report

DECIDE = "decision, allowed by the last of 5 roles"
SLOWER = """
import inspect
from asyncauth import decide as module

fast = "    if user.active:\\n"
source = inspect.getsource(module.decide)
assert source.count(fast) == 1
exec(source.replace(fast, "    user.active\\n" * {times} + fast), module.__dict__)
"""
"""Python runs it at its start, in the processes that are counted."""


def count() -> int:
    """Instructions of one decision."""
    _, counter = find_counter()
    return counter("sqlite+aiosqlite://", [DECIDE])[DECIDE]


def test_a_slower_decision_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing else on the machine counts."""
    before = count()
    again = count()
    assert abs(again / before - 1) < 0.002
    assert report({DECIDE: before}, {DECIDE: again}) == 0
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "sitecustomize.py").write_text(SLOWER.format(times=4))
    slower = count()
    assert 1.05 < slower / before < 1.15
    assert report({DECIDE: before}, {DECIDE: slower}) == GREW
