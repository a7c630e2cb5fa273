"""The bench runs, measures what it says, and touches nobody's rows. What it finds is no matter of tests."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bench import __main__ as bench
from bench.draw import draw
from bench.figures import Figure, Section
from bench.hazards import HAZARDS, Hazard
from bench.record import Record
from bench.sizes import QUICK, Sizes
from sqlalchemy import create_engine, func, select

from asyncauth.db.engine import make_engine
from asyncauth.db.tables import users
from tests.databases import Database
from tests.rows import add_user

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
FIGURES = {
    "verify": ["verify HS512", "refuse "],
    "warm": ["SQL statements of a warm request", "one token", "at random"],
    "decide": ["last of 1 ", "last of 5 ", "last of 20 ", "refused"],
    "cold": ["roles warm", "all cold", "100 permissions"],
    "wide": ["cold role, 50 ", "cold role, 500 ", "loop held"],
    "stampede": ["100 tasks ask for one cold user", "10 warm calls at once", "10 cold users"],
    "flood": [
        "warm request beside 40 distinct users",
        "loop held",
        "users in memory at most, with room for 8",
        "loads",
    ],
    "logins": ["warm request beside 4 logins", "loop held", "until the last", "neither a token nor 503", "503 given"],
    "fresh": ["commit returned to last grant, p50", "the follower's statements"],
    "memory": ["users in memory", "full garbage collection"],
}
"""What a run that names nothing measures: of each hazard, parts of names."""
ELSEWHERE = {"http", "peers"}
"""Measured in such a run, too; `test_bench_peers.py` has them."""


def run(database: Database, path: Path, *arguments: str) -> dict[str, dict[str, float]]:
    """Run the bench with small numbers, as a process; returns the figures by hazard."""
    command = [sys.executable, "-m", "bench", *arguments, "--quick", "--json", str(path)]
    process = subprocess.run(
        [*command, "--database-url", database.url], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("processor: ")  # the result, and nothing before it
    found: dict[str, dict[str, float]] = {}
    for section in Record.read(path).sections:
        figures = {figure.what: figure.here for figure in section.figures}
        assert [name for name in figures if name not in process.stdout] == []
        assert f"] {section.hazard}, " in process.stderr
        assert set(found.setdefault(section.hazard, figures)) == set(figures)  # the same on each event loop
    return found


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
def test_every_figure_is_measured(database: Database, tmp_path: Path) -> None:
    """Every hazard of a run that names none: each figure in the table and the file, both pictures, no row left."""
    pictures = [tmp_path / "all.svg", tmp_path / "fresh.svg"]
    pictured = ["--svg", str(pictures[0]), "--histogram", str(pictures[1])]
    found = run(database, tmp_path / "figures.json", *FIGURES, *pictured)
    assert set(found) == set(FIGURES) == {name for name, hazard in HAZARDS.items() if hazard.default} - ELSEWHERE
    for hazard, names in FIGURES.items():
        assert [name for name in names if not any(name in what for what in found[hazard])] == []
    assert _count_users(database) == 0
    assert [_parse(picture).tag for picture in pictures] == [f"{SVG}svg"] * 2
    counts = {what: here for what, here in found["flood"].items() if "users in memory" in what or "loads" in what}
    in_memory, loads = counts.values()
    assert in_memory == 8
    assert loads >= QUICK.flood_users  # more if a busy machine let the warm user be forgotten
    assert [here for what, here in found["logins"].items() if "503" in what] == [0, 0]


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql"], indirect=True)
def test_it_runs_with_every_driver(database: Database, tmp_path: Path, *, full: bool) -> None:
    """What differs between databases: filling them, loading, and the driver alone."""
    assert set(run(database, tmp_path / "figures.json", "cold", "--loop", "both" if full else "asyncio")) == {"cold"}
    assert _count_users(database) == 0


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
def test_rows_of_others_are_left_alone(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """A database that is in use is refused, and nothing in it changes."""
    asyncio.run(_add_somebody(database.url))
    assert bench.main(["cold", "--quick", "--database-url", database.url]) == 2
    assert "give the bench one of its own" in capsys.readouterr().err
    assert _count_users(database) == 1


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What the only hazard of this test measures."""
    found = [Figure("reached", "ms", 1, 1)]

    async def measure(_url: str, _sizes: Sizes) -> list[Figure]:
        return found

    for name in list(HAZARDS):
        monkeypatch.delitem(HAZARDS, name)
    monkeypatch.setitem(HAZARDS, "made up", Hazard(measure))
    return found


def test_a_missed_goal_is_an_exit_code_if_asked_for(figures: list[Figure], tmp_path: Path) -> None:
    """`--check` exits with 1 when a goal is missed; without it a slow machine is no failure."""
    path = tmp_path / "figures.json"
    command = ["made up", "--json", str(path)]
    assert bench.main([*command, "--check"]) == 0
    figures.append(Figure("missed", "ms", 1.1, 1))
    assert bench.main([*command, "--check"]) == 1
    assert bench.main(command) == 0
    (section,) = json.loads(path.read_text())["sections"]
    assert [(figure["what"], figure["reached"]) for figure in section["figures"]] == [
        ("reached", True),
        ("missed", False),
    ]


def test_a_run_is_compared_with_one_before(
    figures: list[Figure], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ratios; with `--check` a figure that grew beyond the factor fails, a goal that is missed anyway does not."""
    path = tmp_path / "old.json"
    figures[:] = [Figure("missed", "ms", 2, 1), Figure("grew", "ms", 1, 9)]
    assert bench.main(["--json", str(path)]) == 0
    compared = ["--compare", str(path), "--check"]
    assert bench.main(compared) == 0
    figures[1] = Figure("grew", "ms", 1.4, 9)
    capsys.readouterr()
    assert bench.main(compared) == 0
    assert "1 of 2 changed by more than 10 %" in capsys.readouterr().out
    assert bench.main([*compared, "--factor", "1.3"]) == 1
    assert bench.main([*compared[:2], "--factor", "1.3"]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "unknown hazard nonsense: choose from"),
        (["--json", "{}/no/such.json"], "such.json cannot be written: No such file or directory"),
        (["--svg", "{}"], "cannot be written: Is a directory"),
        (["--compare", "{}/gone.json"], "gone.json cannot be read"),
        (["--compare", "{}/empty.json"], "empty.json is no JSON"),
        (["--compare", "{}/quick.json"], "was measured with quick sizes"),
        (["--histogram", "{}/h.svg"], "name it, too"),
        (["--workers", "0"], "--workers"),
        (["--factor", "1"], "--factor"),
        (["--database-url", "sqlite+aiosqlite:////no/such/folder/x.db"], "x.db cannot be opened"),
        (["--database-url", "no URL"], "URL"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(
    figures: list[Figure], tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """One sentence and 2, not minutes and a traceback. Files that are there stay as they are."""
    figures.clear()
    Record({}, "quick", []).write(tmp_path / "quick.json")
    (tmp_path / "empty.json").touch()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert bench.main([argument.format(tmp_path) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.out == ""
    assert "made up" not in said.err.replace("choose from made up", "")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_picture(tmp_path: Path) -> None:
    """The same run makes the same file; text is text; what has nothing beside it is left out, but for counts."""
    shown = Figure("token <to> user", "µs", 2, 4, beside={"PyJWT": 57}, peers={"joserfc": 90})
    other = Figure("users in memory", "MB", 72, 100, beside={"without": 78})
    run = Record(
        {"processor": "two cores", "python": "CPython 3.11.7"},
        "default",
        [
            Section("warm", "SQLite", "asyncio", (shown, Figure("statements", "", 0, 0), Figure("alone", "ms", 3, 4))),
            Section("memory", "any database", "any loop", (other,)),
        ],
    )
    files = [tmp_path / "one.svg", tmp_path / "other.svg"]
    for file in files:
        draw(file, run)
    assert files[0].read_bytes() == files[1].read_bytes()
    texts = ["".join(text.itertext()) for text in _parse(files[0]).iter(f"{SVG}text")]
    for text in ("token <to> user", "57 µs PyJWT", "90 µs joserfc", "statements", "72 MB", "78 MB without"):
        assert text in [found.strip() for found in texts]
    assert "alone" not in texts
    assert "prefers-color-scheme:dark" in files[0].read_text()


def _parse(picture: Path) -> ET.Element:
    return ET.parse(picture).getroot()  # noqa: S314 - written here


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
