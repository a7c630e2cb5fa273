"""Two runs of the bench beside each other: what is called a change, what fails, and which files are refused."""

import json
from pathlib import Path

import pytest
from bench.compare import Change, compare
from bench.figures import Figure, Section
from bench.record import Record, RecordError

MACHINE = {"processor": "two cores", "python": "CPython 3.11.7"}


def record(*figures: Figure, loop: str = "asyncio", machine: dict[str, str] = MACHINE) -> Record:
    """A run of one hazard."""
    return Record(machine, "default", [Section("warm", "SQLite", loop, figures)])


def figure(here: float, what: str = "token to user", unit: str = "µs", **floor: float) -> Figure:
    """One with a floor."""
    return Figure(what, unit, here, 100, beside=floor)


def change(before: Figure, now: Figure) -> Change:
    """Of the one figure of two runs."""
    (found,) = compare(record(before), record(now)).changes
    return found


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (figure(2.0, floor=50), figure(2.1, floor=50), ""),
        (figure(2.0, floor=50), figure(2.6, floor=50), "MORE"),
        (figure(2.6, floor=50), figure(2.0, floor=50), "less"),
        (figure(2.0), figure(2.6), "MORE"),
        (figure(0, unit=""), figure(0, unit=""), ""),
        (figure(0, unit=""), figure(1, unit=""), "MORE"),
        (figure(5, unit=""), figure(0, unit=""), "less"),
    ],
)
def test_what_is_called_a_change(before: Figure, now: Figure, verdict: str) -> None:
    """More than 10 %, up or down; of a count that was 0, anything."""
    assert change(before, now).verdict == verdict


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (figure(2.0, floor=50), figure(3.0, floor=75)),  # the machine is slower today
        (figure(2.0, floor=50), figure(2.0, floor=30)),  # the floor alone was lucky
        (figure(2.0, floor=50), figure(2.4, floor=90)),  # slower, but less so than the machine
    ],
)
def test_what_the_machine_does_is_no_change(before: Figure, now: Figure) -> None:
    """A change shows in the figure and in its ratio to its floor, in one direction."""
    assert change(before, now).verdict == ""
    assert compare(record(before), record(now)).worse(1.01) == []


def test_the_smaller_of_both_changes_counts() -> None:
    """`--check` fails beyond its factor by both."""
    found = compare(record(figure(2.0, floor=50)), record(figure(4.0, floor=80)))
    assert (found.changes[0].ratio, found.changes[0].beside) == (2.0, 1.25)
    assert [len(found.worse(factor)) for factor in (1.2, 1.3)] == [1, 0]


def test_a_figure_is_known_by_hazard_database_loop_and_name() -> None:
    """What is in one of both only is listed, and compared with nothing."""
    before = record(figure(1), figure(2, "gone"))
    now = record(figure(1), figure(3, "new"))
    found = compare(before, now)
    assert len(found.changes) == 1
    assert [key[3] for key in found.only_before] == ["gone"]
    assert [key[3] for key in found.only_now] == ["new"]
    assert compare(record(figure(1)), record(figure(9), loop="uvloop")).changes == []
    text = found.text("old.json", 1.5)
    assert "only in old.json: warm: gone (SQLite, asyncio)" in text
    assert "only now: warm: new (SQLite, asyncio)" in text


def test_another_machine_is_named() -> None:
    """Figures of two machines say nothing about the code."""
    found = compare(record(figure(1)), record(figure(1), machine=MACHINE | {"python": "CPython 3.13.0"}))
    assert found.machines == ["python: CPython 3.11.7 → CPython 3.13.0"]
    assert "differs: python: CPython 3.11.7 → CPython 3.13.0" in found.text("old.json", 1.5)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Everything, with floors, peers and notes."""
    whole = Figure("what", "ms", 1.5, 2, "a goal", {"floor": 1.0}, {"peer": 3.0}, {"samples": 7})
    written = record(whole)
    path = tmp_path / "run.json"
    written.write(path)
    assert Record.read(path) == written


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("no JSON", "is no JSON"),
        ("[]", "is no file of this bench"),
        ('{"machine": {}}', "is no file of this bench"),
        ('{"machine": {}, "sections": []}', "is of an older form"),
        ('{"what": "asyncauth bench", "form": 3}', "is of form 3"),
        ('{"what": "asyncauth bench", "form": 2, "machine": {}, "sizes": "quick"}', "is damaged"),
        (
            json.dumps({"what": "asyncauth bench", "form": 2, "machine": {}, "sizes": "quick", "sections": [1]}),
            "damaged",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, sentence: str) -> None:
    """In one sentence, which names the file."""
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RecordError, match=sentence) as caught:
        Record.read(path)
    assert str(path) in str(caught.value)


def test_a_value_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """Or it would end a run of minutes with a traceback."""
    path = tmp_path / "old.json"
    record(figure(1)).write(path)
    content = json.loads(path.read_text())
    content["sections"][0]["figures"][0]["here"] = "1"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="damaged"):
        Record.read(path)
