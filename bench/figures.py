"""Figures, each beside its floor and its goal, as a table and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    Args:
        limit: the goal, in the same unit; the goal is reached at or below it.
        goal: the goal in words, where it is more than the limit.
        beside: what stands next to it, from the same run and in the same unit: the floor first.
    """

    what: str
    unit: str
    here: float
    limit: float
    goal: str = ""
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.here <= self.limit

    def row(self) -> tuple[str, ...]:
        """The cells of the table."""
        goal = f"≤ {_number(self.limit)}" + (f" ({self.goal})" if self.goal else "")
        beside = ", ".join(f"{name} {_number(value)}" for name, value in self.beside.items())
        return self.what, f"{_number(self.here)} {self.unit}", goal, "yes" if self.reached else "NO", beside


@dataclass(frozen=True, slots=True)
class Section:
    """The figures of one hazard on one database and event loop."""

    hazard: str
    database: str
    loop: str
    figures: tuple[Figure, ...]


HEAD = ("What", "Here", "Goal", "Reached", "Beside it, from the same run")


def table(sections: list[Section]) -> str:
    """One Markdown table for each database and event loop."""
    parts: dict[tuple[str, str], list[Figure]] = {}
    for section in sections:
        parts.setdefault((section.database, section.loop), []).extend(section.figures)
    return "\n\n".join(f"{database}, {loop}:\n\n{_rows(figures)}" for (database, loop), figures in parts.items())


def write_json(path: Path, machine: Mapping[str, str], sections: list[Section]) -> None:
    """Everything, for programs. `reached` is written too."""
    content = [
        {**asdict(section), "figures": [{**asdict(figure), "reached": figure.reached} for figure in section.figures]}
        for section in sections
    ]
    path.write_text(json.dumps({"machine": machine, "sections": content}, indent=2, ensure_ascii=False) + "\n")


def _rows(figures: list[Figure]) -> str:
    rows = [HEAD, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"
