"""python -m bench [HAZARD …]: measure, print a table, name missed goals.

Without a hazard: all that do not take minutes each, some in a short form; five minutes at most. What is named is
measured at full length."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import anyio
from tests.servers import ServerError

from asyncauth.errors import AuthError
from bench.awake import awake
from bench.compare import FACTOR, compare
from bench.data import ForeignRowsError, refuse_foreign_rows
from bench.draw import draw
from bench.figures import Section, table
from bench.fresh import draw as histogram
from bench.fresh.crew import CrewError
from bench.hazards import HAZARDS, Hazard
from bench.machine import describe
from bench.places import ALL, BACKENDS, Place, given, throw_away
from bench.progress import Progress
from bench.record import Record, RecordError
from bench.sizes import FULL, QUICK, Sizes

LOOPS = {"asyncio": ["asyncio"], "uvloop": ["uvloop"], "both": ["asyncio", "uvloop"]}
SIZES = {"default": Sizes(), "quick": QUICK, "full": FULL}
ENDED_EARLY = 130
"""As a shell calls what Ctrl-C ended."""


class UsageError(Exception):
    """What was asked for cannot be done; found before anything is measured."""


@dataclass(frozen=True, slots=True)
class Step:
    """One hazard on one database and event loop."""

    name: str
    place: Place
    loop: str
    sizes: Sizes

    @property
    def hazard(self) -> Hazard:
        """What is measured."""
        return HAZARDS[self.name]

    @property
    def labels(self) -> tuple[str, str]:
        """Where, for people: database and event loop."""
        return (
            self.place.name if self.hazard.databases else "any database",
            self.loop if self.hazard.loops or self.hazard.databases else "any loop",
        )

    def measure(self) -> Section:
        """Run it."""
        options = {"use_uvloop": self.loop == "uvloop"}
        with awake() if self.hazard.awake else nullcontext():
            figures = anyio.run(self.hazard.measure, self.place.url, self.sizes, backend_options=options)
        return Section(self.name, *self.labels, tuple(figures))


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, 1 if `--check` fails, 2 if what was asked for cannot be done."""
    options = _parser().parse_args(arguments)
    record = Record(describe(), options.sizes, [])
    try:
        before = _check_usage(options)
        with _places(options) as places, throw_away(["sqlite"]) as (file,):
            _measure(_steps(options, places, file), record, options.json)
    except (UsageError, RecordError, ForeignRowsError, ServerError, AuthError, CrewError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"ended early; what was measured: {options.json or 'use --json to keep it'}", file=sys.stderr)
        return ENDED_EARLY
    if options.svg is not None:
        draw(options.svg, record)
    if options.histogram is not None and histogram.drawn:
        histogram.draw(options.histogram, histogram.drawn)
    return _print(options, record, before)


def _print(options: argparse.Namespace, record: Record, before: Record | None) -> int:
    print("\n".join(f"{name}: {value}" for name, value in record.machine.items()), end="\n\n")
    print(table(record.sections))
    missed = [figure.what for section in record.sections for figure in section.figures if not figure.reached]
    print(f"\n{len(missed)} goals missed" if missed else "\nall goals reached")
    failed: list[object] = [*missed]
    if before is not None:
        comparison = compare(before, record)
        print(f"\n{comparison.text(options.compare.name, options.factor)}")
        failed = [*comparison.worse(options.factor)]
    return 1 if failed and options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ", ".join(f"{name}{'' if hazard.default else ' (only when named)'}" for name, hazard in HAZARDS.items())
    parser.add_argument("hazards", nargs="*", metavar="HAZARD", help=f"what to measure: {names}")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--database", choices=[*BACKENDS, "all"], default="sqlite", help="start one for the bench")
    where.add_argument("--database-url", help="use this one, which must hold nobody's rows: it is filled and emptied")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio", help="event loop: asyncio if none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures for programs")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the figures beside their floors")
    parser.add_argument("--histogram", type=Path, metavar="FILE", help="draw the latencies that fresh measures (SVG)")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="print ratios to what --json wrote before")
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 1 if a goal is missed; with --compare: if a figure is more than --factor times what it was",
    )
    parser.add_argument("--factor", type=float, default=FACTOR, help=f"of --compare --check: {FACTOR} if none is named")
    parser.add_argument("--workers", type=int, help="worker processes of fresh and consistency")
    parser.add_argument("--no-push", dest="push", action="store_false", help="fresh: workers poll and nothing else")
    how_much = parser.add_mutually_exclusive_group()
    for sizes, text in (
        ("quick", "small numbers: does everything run?"),
        ("full", "the numbers that the goals of freshness speak of, and of every hazard the full length"),
    ):
        how_much.add_argument(
            f"--{sizes}", dest="sizes", action="store_const", const=sizes, default="default", help=text
        )
    return parser


def _check_usage(options: argparse.Namespace) -> Record | None:
    """What can be wrong with the arguments. Returns the run to compare with.

    Raises:
        UsageError, RecordError: it is.
    """
    if unknown := [name for name in options.hazards if name not in HAZARDS]:
        raise UsageError(f"unknown hazard {', '.join(unknown)}: choose from {', '.join(HAZARDS)}")
    if options.workers is not None and options.workers < 1:
        raise UsageError("--workers is a number from 1 on")
    if options.factor <= 1:
        raise UsageError("--factor is a number above 1")
    if options.loop != "asyncio" and find_spec("uvloop") is None:
        raise UsageError("uvloop is not installed: pip install --group bench")
    before = Record.read(options.compare) if options.compare is not None else None
    if before is not None and before.sizes != options.sizes:
        raise UsageError(
            f"{options.compare} was measured with {before.sizes} sizes, which are not {options.sizes} ones"
        )
    _check_files(options)
    return before


def _check_files(options: argparse.Namespace) -> None:
    if options.histogram is not None:
        if find_spec("matplotlib") is None:
            raise UsageError("--histogram needs matplotlib: pip install --group bench")
        if "fresh" not in (options.hazards or _default()):
            raise UsageError("--histogram draws what fresh measures: name it, too")
    for path in (options.json, options.svg, options.histogram):
        if path is not None:
            _check_writable(path)


def _check_writable(path: Path) -> None:
    existed = path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    if not existed:
        path.unlink()


def _default() -> list[str]:
    return [name for name, hazard in HAZARDS.items() if hazard.default]


@contextmanager
def _places(options: argparse.Namespace) -> Iterator[list[Place]]:
    if options.database_url is not None:
        place = given(options.database_url)
        anyio.run(refuse_foreign_rows, place.url)
        yield [place]
    else:
        with throw_away(ALL if options.database == "all" else [options.database]) as places:
            yield places


def _steps(options: argparse.Namespace, places: list[Place], file: Place) -> list[Step]:
    sizes, steps = replace(SIZES[options.sizes], workers=options.workers, push=options.push), []
    for name in options.hazards or _default():
        hazard = HAZARDS[name]
        chosen = hazard.shortened(sizes) if not options.hazards and options.sizes == "default" else sizes
        for place in places if hazard.databases else [file]:
            steps += [
                Step(name, place, loop, chosen) for loop in (LOOPS[options.loop] if hazard.loops else ["asyncio"])
            ]
    return steps


def _measure(steps: list[Step], record: Record, path: Path | None) -> None:
    progress = Progress(len(steps))
    with progress.shown():
        for step in steps:
            with progress.step(", ".join([step.name, *step.labels])):
                record.sections.append(step.measure())
            if path is not None:  # after each: who ends the bench early keeps what was measured
                record.write(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
