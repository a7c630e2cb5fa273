"""Figures, each beside its floor, its peers and its goal, as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. Less is better, of every figure.

    Args:
        limit: the goal, in the same unit; the goal is reached at or below it.
        goal: the goal in words, where it is more than the limit.
        beside: what the work costs without asyncauth, from the same run and in the same unit: the floor first.
        peers: what other libraries take for the same, likewise.
        notes: what else is worth a look, in any unit: the name says which.
    """

    what: str
    unit: str
    here: float
    limit: float
    goal: str = ""
    beside: Mapping[str, float] = field(default_factory=dict)
    peers: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.here <= self.limit

    @property
    def others(self) -> Mapping[str, float]:
        """Everything next to it that has its unit."""
        return {**self.beside, **self.peers}

    def row(self) -> tuple[str, ...]:
        """The cells of the table."""
        goal = f"≤ {number(self.limit)}" + (f" ({self.goal})" if self.goal else "")
        beside = ", ".join(f"{name} {number(value)}" for name, value in {**self.others, **self.notes}.items())
        return self.what, f"{number(self.here)} {self.unit}", goal, "yes" if self.reached else "NO", beside


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
    return "\n\n".join(
        f"{database}, {loop}:\n\n{markdown([HEAD, *(figure.row() for figure in figures)])}"
        for (database, loop), figures in parts.items()
    )


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table, its columns aligned; the first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head, *body = rows
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, tuple("-" * width for width in widths), *body)
    )


def number(value: float) -> str:
    """Three digits, or the whole number."""
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"
