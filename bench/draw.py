"""The whole suite as one picture: each figure as a bar, what stands beside it as bars below, grouped by hazard.

Written without a library: text stays text, the same run makes the same file, and its colours follow the reader's.
"""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from bench.figures import Figure, Section, number
from bench.record import Record

WIDTH, LEFT, RIGHT = 1000, 400, 820
"""Of the picture; where bars begin; where the axis ends. Their values stand to the right of them."""
MARGIN = 20
LINE = 15
"""From one bar to the next."""
LABEL_LETTERS = 54
SECONDS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}
TIME = "time"
OURS, FLOOR, PEER = "ours", "floor", "peer"
LEGEND = {OURS: "asyncauth", FLOOR: "the same without it (floor)", PEER: "another library"}
STYLE = """
text{font:12px system-ui,sans-serif;fill:#1f2328}.small{font-size:11px;fill:#59636e}
.head{font-weight:600;font-size:13px}.title{font-weight:600;font-size:18px}.page{fill:#fff}.grid{stroke:#d1d9e0}
.ours{fill:#0969da}.floor{fill:#8c959f}.peer{fill:#bc4c00}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#3d444d}
.ours{fill:#4493f8}.floor{fill:#6e7681}.peer{fill:#db6d28}}
"""


@dataclass(slots=True)
class Canvas:
    """Elements, from top to bottom."""

    elements: list[str] = field(default_factory=list)
    y: float = MARGIN

    def text(self, x: float, text: str, look: str = "", anchor: str = "start") -> None:
        """On the present line."""
        self.elements.append(
            f'<text x="{x:g}" y="{self.y:g}" class="{look}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def bar(self, start: float, end: float, look: str, height: float) -> None:
        """On the present line."""
        place = f'x="{start:g}" y="{self.y - height + 1:g}" width="{end - start:.2f}" height="{height:g}"'
        self.elements.append(f'<rect {place} rx="2" class="{look}"/>')


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic one, over whole powers of ten."""

    low: int
    high: int

    @classmethod
    def over(cls, values: list[float]) -> "Axis":
        """From the power of ten below the smallest value to the one above the largest."""
        positive = [value for value in values if value > 0] or [1.0]
        low = math.floor(math.log10(min(positive)))
        return cls(low, max(low + 1, math.ceil(math.log10(max(positive)))))

    def x(self, value: float) -> float:
        """Where a value is; at least a sliver of a bar."""
        share = (math.log10(value) - self.low) / (self.high - self.low) if value > 0 else 0
        return LEFT + max(2.0, share * (RIGHT - LEFT))


def draw(path: Path, record: Record) -> None:
    """Write the picture. Figures with nothing beside them are left out, but for counts, which are written as text."""
    canvas = Canvas()
    canvas.y += LINE
    canvas.text(MARGIN, "asyncauth: what it costs, beside what the same work costs without it", "title")
    canvas.y += 1.5 * LINE
    canvas.text(MARGIN, ", ".join(record.machine.get(name, "") for name in ("processor", "python")), "small")
    x = float(LEFT)
    for look, words in LEGEND.items():
        canvas.bar(x, x + 12, look, 10)
        canvas.text(x + 16, words, "small")
        x += 40 + 6.2 * len(words)
    for unit in dict.fromkeys(_axis_name(figure) for _, figure in _drawn(record.sections)):
        _chart(canvas, unit, record.sections)
    height = canvas.y + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}">'
    )
    page = f'<rect class="page" width="{WIDTH}" height="{height:g}"/>'
    path.write_text("\n".join([head, f"<style>{STYLE}</style>", page, *canvas.elements, "</svg>\n"]), encoding="utf-8")


def _drawn(sections: list[Section]) -> Iterator[tuple[Section, Figure]]:
    for section in sections:
        for figure in section.figures:
            if figure.others:
                yield section, figure


def _axis_name(figure: Figure) -> str:
    return TIME if figure.unit in SECONDS else figure.unit


def _chart(canvas: Canvas, unit: str, sections: list[Section]) -> None:
    """All figures of one unit, on one axis."""
    scale = [(section, figure) for section, figure in _drawn(sections) if _axis_name(figure) == unit]
    axis = Axis.over(
        [_scaled(figure, value) for _, figure in scale for value in (figure.here, *figure.others.values())]
    )
    canvas.y += 2 * LINE
    grid = len(canvas.elements)
    _label_axis(canvas, axis, unit)
    top = canvas.y
    for section in sections:
        figures = [figure for other, figure in scale if other is section]
        counts = [figure for figure in section.figures if unit == TIME and not figure.others and not figure.unit]
        if figures:
            canvas.y += 1.6 * LINE
            place = "" if section.database.startswith("any ") else f": {section.database}, {section.loop}"
            canvas.text(MARGIN, section.hazard + place, "head")
            for figure in figures:
                _bars(canvas, axis, figure)
            for figure in counts:
                _count(canvas, figure)
    for power in range(axis.low, axis.high + 1):
        x = LEFT + (power - axis.low) / (axis.high - axis.low) * (RIGHT - LEFT)
        line = f'<line x1="{x:g}" x2="{x:g}" y1="{top + 4:g}" y2="{canvas.y + 4:g}" class="grid"/>'
        canvas.elements.insert(grid, line)
    canvas.y += 1.3 * LINE
    _label_axis(canvas, axis, unit)


def _label_axis(canvas: Canvas, axis: Axis, unit: str) -> None:
    canvas.text(MARGIN, f"{unit if unit == TIME else f'in {unit}'}; each line is ten times the one before", "small")
    for power in range(axis.low, axis.high + 1):
        x = LEFT + (power - axis.low) / (axis.high - axis.low) * (RIGHT - LEFT)
        canvas.text(x, _power(power, unit), "small", "middle")


def _power(power: int, unit: str) -> str:
    if unit != TIME:
        return f"{number(10.0**power)} {unit}"
    name, scale = next(
        ((name, scale) for name, scale in reversed(SECONDS.items()) if 10.0**power >= scale / 1.5), ("ns", 1e-9)
    )
    return f"{number(round(10.0**power / scale, 3))} {name}"


def _count(canvas: Canvas, figure: Figure) -> None:
    canvas.y += 0.3 * LINE
    for row, line in enumerate(textwrap.wrap(figure.what, LABEL_LETTERS)):
        canvas.y += LINE
        canvas.text(LEFT - 10, line, anchor="end")
        if row == 0:
            canvas.text(LEFT + 5, number(figure.here))


def _bars(canvas: Canvas, axis: Axis, figure: Figure) -> None:
    canvas.y += 0.3 * LINE
    lines = textwrap.wrap(figure.what, LABEL_LETTERS)
    bars = [
        (OURS, "", figure.here),
        *((FLOOR, name, value) for name, value in figure.beside.items()),
        *((PEER, name, value) for name, value in figure.peers.items()),
    ]
    for row in range(max(len(lines), len(bars))):
        canvas.y += LINE
        if row < len(lines):
            canvas.text(LEFT - 10, lines[row], anchor="end")
        if row < len(bars):
            look, name, value = bars[row]
            end = axis.x(_scaled(figure, value))
            canvas.bar(LEFT, end, look, 11 if look == OURS else 8)
            canvas.text(end + 5, f"{number(value)} {figure.unit}" + f" {name}", "" if look == OURS else "small")


def _scaled(figure: Figure, value: float) -> float:
    return value * SECONDS.get(figure.unit, 1.0)
