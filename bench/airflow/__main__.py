"""python -m bench.airflow [hangs] [warm] [cold] [logins] [revokes]: the real Airflow API server on FAB's auth manager
and on ours, in one run, interleaved. Prints a table; names missed goals. Needs ASYNCAUTH_TEST_AIRFLOW, a Python with
Airflow in it, which `make test` makes."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.airflow.process import find_python
from tests.apiserver.conftest import Worlds
from tests.databases import Databases

from bench.airflow import cold, hangs, logins, revokes, warm
from bench.airflow.draw import draw
from bench.airflow.sizes import QUICK, Sizes
from bench.figures import Section, table
from bench.machine import describe
from bench.record import Record

PARTS = ("warm", "cold", "logins", "revokes", "hangs")
MADE = Path(".cache/airflow/bin/python")
"""Where `make test` makes an environment with Airflow."""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if a goal is missed and that was asked for."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("ASYNCAUTH_TEST_AIRFLOW", str(MADE.absolute()))
    find_python()
    drawn: dict[str, list[float]] = {}
    record = Record(describe(), "quick" if options.quick else "default", [])
    for section in _measure(options.parts or list(PARTS), QUICK if options.quick else Sizes(), drawn):
        record.sections.append(section)
        if options.json is not None:  # after each: who ends the bench early keeps what was measured
            record.write(options.json)
        if options.svg is not None and drawn:
            draw(options.svg, drawn)
    print("\n".join(f"{name}: {value}" for name, value in record.machine.items()), end="\n\n")
    print(table(record.sections))
    missed = [figure.what for section in record.sections for figure in section.figures if not figure.reached]
    print(f"\n{len(missed)} goals missed" if missed else "\nall goals reached")
    return 1 if missed and options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.airflow", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure; all, if none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures for programs")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the latencies that warm measures")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument("--quick", action="store_true", help="small numbers: does everything run?")
    return parser


def _measure(parts: list[str], sizes: Sizes, drawn: dict[str, list[float]]) -> Iterator[Section]:
    measures: dict[str, Callable[[Worlds, Sizes], list[Section]]] = {
        "warm": partial(warm.measure_warm, drawn=drawn),
        "cold": cold.measure,
        "logins": logins.measure,
        "revokes": revokes.measure,
        "hangs": hangs.measure,
    }
    databases = Databases()
    worlds = Worlds(databases)
    try:
        for part in parts:
            print(f"{part} …", file=sys.stderr, flush=True)
            yield from measures[part](worlds, sizes)
    finally:
        databases.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
