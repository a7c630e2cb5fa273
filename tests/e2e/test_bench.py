"""The bench runs, measures what it says, and touches nobody's rows. What it finds is no matter of tests."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import __main__ as bench
from bench.figures import Figure
from bench.sizes import Sizes
from sqlalchemy import create_engine, func, select

from asyncauth.db.engine import make_engine
from asyncauth.db.tables import users
from tests.databases import Database
from tests.rows import add_user

ROOT = Path(__file__).parents[2]
FIGURES = {
    "warm": ["SQL statements of a warm request", "one token", "at random"],
    "cold": ["roles warm", "all cold", "100 permissions", "cold role, 50 ", "cold role, 500 ", "loop held"],
    "stampede": ["100 tasks ask for one cold user", "10 warm calls at once", "10 cold users"],
    "decide": ["last of 1 ", "last of 5 ", "last of 20 ", "refused"],
    "verify": ["verify HS512", "refuse "],
    "memory": ["users in memory", "full garbage collection"],
}


def run(database: Database, path: Path, *arguments: str) -> dict[str, list[str]]:
    """Run the bench with small numbers, as a process; returns the names of the figures by hazard."""
    command = [sys.executable, "-m", "bench", *arguments, "--quick", "--json", str(path)]
    process = subprocess.run(
        [*command, "--database-url", database.url], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    found: dict[str, list[str]] = {}
    for section in json.loads(path.read_text())["sections"]:
        names = [figure["what"] for figure in section["figures"]]
        assert [name for name in names if name not in process.stdout] == []
        assert found.setdefault(section["hazard"], names) == names  # the same on each event loop
    return found


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
def test_every_figure_is_measured(database: Database, tmp_path: Path) -> None:
    """One command, all hazards, both event loops: each figure in the table and in the file, and no row left."""
    found = run(database, tmp_path / "figures.json")
    assert set(found) == set(FIGURES)
    for hazard, names in FIGURES.items():
        assert [name for name in names if not any(name in what for what in found[hazard])] == []
    assert _count_users(database) == 0


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True)
def test_it_runs_with_every_driver(database: Database, tmp_path: Path) -> None:
    """What differs between databases: filling them, loading, and the driver alone."""
    assert set(run(database, tmp_path / "figures.json", "cold", "--loop", "uvloop")) == {"cold"}
    assert _count_users(database) == 0


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
def test_rows_of_others_are_left_alone(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A database that is in use is refused, and nothing in it changes."""
    asyncio.run(_add_somebody(database.url))
    assert bench.main(["cold", "--quick", "--loop", "asyncio", "--database-url", database.url]) == 2
    assert "give the bench one of its own" in capsys.readouterr().err
    assert _count_users(database) == 1


def test_a_missed_goal_is_an_exit_code_if_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--check` exits with 1 when a goal is missed; without it a slow machine is no failure."""
    figures = [Figure("reached", "ms", 1, 1)]

    async def measure(_url: str, _sizes: Sizes) -> list[Figure]:
        return figures

    monkeypatch.setitem(bench.COSTS, "cold", measure)
    path = tmp_path / "figures.json"
    command = ["cold", "--loop", "asyncio", "--json", str(path)]
    assert bench.main([*command, "--check"]) == 0
    figures.append(Figure("missed", "ms", 1.1, 1))
    assert bench.main([*command, "--check"]) == 1
    assert bench.main(command) == 0
    (section,) = json.loads(path.read_text())["sections"]
    assert [(figure["what"], figure["reached"]) for figure in section["figures"]] == [
        ("reached", True),
        ("missed", False),
    ]


async def _add_somebody(url: str) -> None:
    engine = make_engine(url, pool_size=1, timeout_seconds=5)
    async with engine.begin() as connection:
        await add_user(connection, "somebody")
    await engine.dispose()


def _count_users(database: Database) -> int:
    engine = create_engine(database.sync_url)
    with engine.connect() as connection:
        found: int = connection.execute(select(func.count()).select_from(users)).scalar_one()
    engine.dispose()
    return found
