"""Two runs beside each other, for a change under review: how many times what it was is each figure now?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from bench.figures import Figure, markdown, number
from bench.record import Record

NOISE = 1.1
"""A figure that differs by less is called the same: two runs of the same code on a quiet machine do, too."""
FACTOR = 1.5
"""More than so many times what it was is a failure of `--check`, unless another factor is given."""
Key: TypeAlias = tuple[str, str, str, str]
"""Hazard, database, event loop, name of the figure."""
HEAD = ("Hazard", "What", "Before", "Now", "Ratio", "Beside its floor", "")


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both runs.

    Args:
        ratio: now by before; infinite if it was 0 and is no more.
        beside: the same of what it is as a multiple of its floor, so that a machine that is slower today does not
            count; None: it has no floor in both.
    """

    key: Key
    before: Figure
    now: Figure
    ratio: float
    beside: float | None

    @property
    def least(self) -> float:
        """The smaller change of both ratios; 1 if they disagree about the direction. What is only in one of them is the
        machine's, or the floor's."""
        if self.beside is None:
            return self.ratio
        if (self.ratio > 1) != (self.beside > 1):
            return 1.0
        return min(self.ratio, self.beside, key=lambda ratio: abs(math.log(ratio)) if ratio else math.inf)

    @property
    def verdict(self) -> str:
        """`MORE` or `less`, or nothing within the noise."""
        return "MORE" if self.least > NOISE else "less" if self.least < 1 / NOISE else ""

    def row(self) -> tuple[str, ...]:
        """The cells of the table."""
        hazard, database, loop, what = self.key
        place = "" if database.startswith("any ") else f" ({database}, {loop})"
        beside = "" if self.beside is None else _times(self.beside)
        values = (f"{number(figure.here)} {figure.unit}" for figure in (self.before, self.now))
        return hazard + place, what, *values, _times(self.ratio), beside, self.verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it."""

    changes: list[Change]
    only_before: list[Key]
    only_now: list[Key]
    machines: list[str]
    """What differs between the machines and versions, in words."""

    def worse(self, factor: float) -> list[Change]:
        """What is more than `factor` times what it was, by both ratios."""
        return [change for change in self.changes if change.least > factor]

    def text(self, name: str, factor: float) -> str:
        """For people. `name`: of the run before."""
        changed = sum(1 for change in self.changes if change.verdict)
        limit = f"{len(self.worse(factor))} are more than {number(factor)} times what they were, where --check fails"
        lines = [
            f"Beside {name}, now by before:",
            "",
            markdown([HEAD, *(change.row() for change in self.changes)]),
            "",
            f"{changed} of {len(self.changes)} changed by more than {(NOISE - 1) * 100:.0f} %, by themselves and",
            f"beside their floors; {limit}.",
            "Less than that is noise. A single run is not proof of more, either: close everything else and repeat it.",
            *(f"differs: {machine}" for machine in self.machines),
            *(f"only in {name}: {': '.join((key[0], key[3]))} ({key[1]}, {key[2]})" for key in self.only_before),
            *(f"only now: {': '.join((key[0], key[3]))} ({key[1]}, {key[2]})" for key in self.only_now),
        ]
        return "\n".join(lines)


def compare(before: Record, now: Record) -> Comparison:
    """Match the figures of two runs by hazard, database, event loop and name."""
    old, new = dict(_figures(before)), dict(_figures(now))
    names = {**before.machine, **now.machine}
    return Comparison(
        [_change(key, old[key], new[key]) for key in new if key in old],
        [key for key in old if key not in new],
        [key for key in new if key not in old],
        [
            f"{name}: {before.machine.get(name, 'none')} → {now.machine.get(name, 'none')}"
            for name in names
            if before.machine.get(name) != now.machine.get(name)
        ],
    )


def _figures(record: Record) -> Iterator[tuple[Key, Figure]]:
    for section in record.sections:
        for figure in section.figures:
            yield (section.hazard, section.database, section.loop, figure.what), figure


def _change(key: Key, before: Figure, now: Figure) -> Change:
    ratio = _ratio(now.here, before.here)
    floor = next(iter(now.others), None)
    beside = None
    if floor is not None and before.others.get(floor, 0) > 0 and now.others[floor] > 0 and math.isfinite(ratio):
        beside = ratio / (now.others[floor] / before.others[floor])
    return Change(key, before, now, ratio, beside)


def _ratio(now: float, before: float) -> float:
    if now == before:
        return 1.0
    return now / before if before > 0 else math.inf


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if math.isfinite(ratio) else "from 0"
