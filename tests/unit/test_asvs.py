"""SECURITY.md says of every requirement of OWASP ASVS 5.0.0 where it stands, and names files that are there."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
REQUIREMENTS = {
    1: (2, 10, 12, 3, 3),
    2: (3, 3, 5, 2),
    3: (1, 3, 5, 8, 8, 1, 5),
    4: (5, 5, 2, 4),
    5: (1, 6, 3, 3),
    6: (3, 12, 8, 6, 8, 4, 2, 4),
    7: (3, 4, 2, 5, 3, 2),
    8: (4, 4, 3, 2),
    9: (3, 4),
    10: (2, 3, 5, 16, 5, 2, 3),
    11: (4, 5, 5, 4, 2, 2, 2),
    12: (5, 2, 5),
    13: (4, 6, 4, 7),
    14: (2, 8, 3),
    15: (5, 5, 7, 4),
    16: (1, 5, 4, 3, 4),
    17: (2, 8, 2),
}
"""Of each chapter: how many each of its sections has."""
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if re.match(r"\| \d+\.\d+\.\d+", line)
]


def ids(text: str) -> Iterator[str]:
    """`6.1.1, 6.2.2 to 6.2.4` → each of them."""
    for part in text.split(", "):
        first, _, last = part.partition(" to ")
        section, number = first.rsplit(".", 1)
        same, end = (last or first).rsplit(".", 1)
        assert same == section, f"{part}: of two sections"
        yield from (f"{section}.{one}" for one in range(int(number), int(end) + 1))


def test_every_requirement_is_named_once() -> None:
    """All 345, and no others."""
    every = {
        f"{chapter}.{section}.{number}"
        for chapter, sections in REQUIREMENTS.items()
        for section, count in enumerate(sections, 1)
        for number in range(1, count + 1)
    }
    assert len(every) == 345
    named = Counter(one for row in ROWS for one in ids(row[0]))
    assert {one for one, times in named.items() if times > 1} == set()
    assert set(named) == every


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row(row: list[str]) -> None:
    """It says one of three things, or why there is nothing to say; files and anchors that it names are there."""
    assert len(row) == 2 or (len(row) == 4 and row[2] in {"yes", "part", "**no**"}), row
    for name in re.findall(r"`([a-z_/]+\.py)`", row[-1]):
        assert (ROOT / "src/asyncauth" / name).is_file() or name == "webserver_config.py", name
    for page, anchor in re.findall(r"\]\(([\w/.]*)#([\w-]+)\)", row[-1]):
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text() if page else TEXT, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, anchor
