"""What `python -m bench.instructions` says of counts, without counting."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from bench import instructions
from bench.counted import BESIDE, WORK
from bench.instructions import CANNOT, GREW, OTHER, CountError, Counts, added, main

BUILD = {"tool": "valgrind-3.19.0", "python": "CPython 3.11.7"}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What is counted here."""
    counts = {"decide": 1000, "verify": 50_000}
    monkeypatch.setattr(instructions, "find_counter", lambda: (BUILD["tool"], lambda _url, _names: dict(counts)))
    monkeypatch.setattr(instructions, "describe", lambda _tool: BUILD)
    return counts


def check(path: Path) -> int:
    """As the command does."""
    return main(["--check", "--file", str(path)])


def test_five_per_cent_more_fails(counted: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says which; as many, less and a little more pass."""
    path = tmp_path / "counts.json"
    assert main(["--file", str(path)]) == 0
    assert json.loads(path.read_text()) == {"made_with": BUILD, "instructions": {"decide": 1000, "verify": 50_000}}
    assert check(path) == 0
    counted["decide"] = 1050
    assert check(path) == 0
    counted["decide"] = 1051
    capsys.readouterr()
    assert check(path) == GREW
    first, second = capsys.readouterr().out.splitlines()
    assert first == "decide: 1,051 instructions, recorded 1,000 (+5.10%) MORE THAN ALLOWED"
    assert second == "verify: 50,000 instructions, recorded 50,000 (+0.00%)"
    counted["decide"] = 900
    assert check(path) == 0
    assert "less: record anew" in capsys.readouterr().out


def test_what_was_not_recorded_fails(counted: dict[str, int], tmp_path: Path) -> None:
    """Or a new path would never be watched."""
    path = tmp_path / "counts.json"
    main(["--file", str(path)])
    counted["more"] = 1
    assert check(path) == GREW


@pytest.mark.parametrize("other", [BUILD | {"python": "CPython 3.13.0"}, BUILD | {"tool": "perf 6.1"}, {}])
@pytest.mark.usefixtures("counted")
def test_another_build_is_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: Mapping[str, str]
) -> None:
    """An exit code of its own, and what differs."""
    path = tmp_path / "counts.json"
    Counts(other, {"decide": 1}).write(path)
    assert check(path) == OTHER
    said = capsys.readouterr().err
    assert "recorded with another build" in said
    assert f"python: {other.get('python', 'none')} there" in said or "tool: perf 6.1 there" in said


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("content", [None, "no JSON", "[]", '{"made_with": {}, "instructions": {"decide": "many"}}'])
def test_a_file_that_is_not_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    """Found before anything is counted."""
    path = tmp_path / "counts.json"
    if content is not None:
        path.write_text(content)
    assert check(path) == CANNOT
    assert str(path) in capsys.readouterr().err


def test_nothing_to_count_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither valgrind nor a perf that may count."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(CountError, match="install valgrind"):
        instructions.find_counter()
    assert main(["--file", str(tmp_path / "counts.json")]) == CANNOT


PERF = """# started on Sun Nov 22 06:00:00 2026

{count},,instructions:u,1000000,100.00,,
"""


def test_perf_subtracts_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where valgrind is not: a run without calls is taken from one with them."""

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        calls = int(command[-1])
        Path(command[command.index("-o") + 1]).write_text(PERF.format(count=7_000_000 + 1234 * calls))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(instructions, "_run", run)
    assert set(instructions.count_with_perf("sqlite+aiosqlite:///x", ["decide", "verify"]).values()) == {1234}


def test_a_perf_that_may_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in most containers: it prints `<not supported>` and ends well."""

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        if "-o" in command:
            Path(command[command.index("-o") + 1]).write_text("<not supported>,,instructions:u,0,100.00,,\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(instructions, "_run", run)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "perf" else None)
    with pytest.raises(CountError, match="install valgrind"):
        instructions.find_counter()


def test_what_the_empty_one_takes_is_subtracted() -> None:
    """And not recorded by itself; what stands beside nothing stays as it is."""
    name, empty = next(iter(BESIDE.items()))
    assert added({"decide": 1000, empty: 70_000, name: 90_000}) == {"decide": 1000, name: 20_000}
    assert set(BESIDE) | set(BESIDE.values()) <= set(WORK)
