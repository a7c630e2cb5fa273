"""python -m bench [warm] [cold] [stampede] [verify] [decide] [memory] [manage] [fresh] [consistency]: measure, print a
table, name missed goals. Without a name: the first six."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from bench import cold, decide, manage, memory, stampede, verify, warm
from bench.data import ForeignRowsError
from bench.figures import Figure, Section, table, write_json
from bench.fresh.draw import Drawn, draw
from bench.fresh.measure import consistency, fresh
from bench.machine import describe
from bench.places import ALL, BACKENDS, Place, given, throw_away
from bench.sizes import FULL, QUICK, Sizes

LOOPS = {"asyncio": False, "uvloop": True}
COSTS = {"warm": warm.measure, "cold": cold.measure, "stampede": stampede.measure}
ANYWHERE = {"verify": verify.measure, "decide": decide.measure, "memory": memory.measure}
"""What has nothing to do with the database or the event loop: measured once, on SQLite."""
MANAGING = {"manage": manage.measure}
"""Filling the tables takes a minute."""
FRESHNESS = {"fresh": fresh, "consistency": consistency}
Hazards = dict[str, Callable[[str, Sizes], Awaitable[list[Figure]]]]


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if a goal is missed and that was asked for."""
    options = _parser().parse_args(arguments)
    drawn: Drawn = {}
    freshness = {name: partial(measure, drawn=drawn) for name, measure in FRESHNESS.items()}
    chosen = options.hazards or [*COSTS, *ANYWHERE]
    everything: Hazards = {**COSTS, **MANAGING, **freshness}
    hazards = {name: everything[name] for name in chosen if name in everything}
    once: Hazards = {name: measure for name, measure in ANYWHERE.items() if name in chosen}
    sizes = _sizes(options)
    loops = [options.loop] if options.loop else ["asyncio"] if set(hazards) <= {*MANAGING, *FRESHNESS} else list(LOOPS)
    machine = describe()
    sections: list[Section] = []
    try:
        with _places(options) as places, throw_away(["sqlite"]) as (file,):
            for section in _sections(places, file, hazards, once, loops, sizes):
                sections.append(section)
                if options.json is not None:  # after each: who ends the bench early keeps what was measured
                    write_json(options.json, machine, sections)
    except ForeignRowsError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), end="\n\n")
    print(table(sections))
    if options.svg is not None and drawn:
        draw(options.svg, drawn)
    missed = [figure.what for section in sections for figure in section.figures if not figure.reached]
    print(f"\n{len(missed)} goals missed" if missed else "\nall goals reached")
    return 1 if missed and options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "hazards", nargs="*", choices=[*COSTS, *ANYWHERE, *MANAGING, *FRESHNESS, []], help="what to measure"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--database", choices=[*BACKENDS, "all"], default="sqlite", help="start one for the bench")
    where.add_argument("--database-url", help="use this one, which must hold nobody's rows: it is filled and emptied")
    parser.add_argument("--loop", choices=LOOPS, help="event loop; both, or asyncio for freshness, if none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures for programs")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the latencies that fresh measures")
    parser.add_argument("--workers", type=int, help="worker processes of fresh and consistency")
    parser.add_argument("--no-push", dest="push", action="store_false", help="fresh: workers poll and nothing else")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="small numbers: does everything run?")
    how_much.add_argument("--full", action="store_true", help="the numbers that the goals of freshness speak of")
    return parser


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else FULL if options.full else Sizes()
    return replace(sizes, workers=options.workers, push=options.push)


@contextmanager
def _places(options: argparse.Namespace) -> Iterator[list[Place]]:
    if options.database_url is not None:
        yield [given(options.database_url)]
    else:
        with throw_away(ALL if options.database == "all" else [options.database]) as places:
            yield places


def _sections(
    places: list[Place], file: Place, hazards: Hazards, once: Hazards, loops: list[str], sizes: Sizes
) -> Iterator[Section]:
    for place in places:
        yield from _measure(place, hazards, loops, sizes)
    yield from _measure_once(file, once, sizes)


def _measure(place: Place, hazards: Hazards, loops: list[str], sizes: Sizes) -> Iterator[Section]:
    for loop in loops:
        for hazard, measure in hazards.items():
            _say(f"{place.name}, {loop}: {hazard} …")
            use_uvloop = {"use_uvloop": LOOPS[loop]}
            figures = anyio.run(measure, place.url, sizes, backend_options=use_uvloop)
            yield Section(hazard, place.name, loop, tuple(figures))


def _measure_once(file: Place, hazards: Hazards, sizes: Sizes) -> Iterator[Section]:
    for hazard, measure in hazards.items():
        _say(f"{hazard} …")
        yield Section(hazard, "any database", "any loop", tuple(anyio.run(measure, file.url, sizes)))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
