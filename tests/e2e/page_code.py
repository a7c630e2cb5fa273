"""Code on the pages of the documentation: finding the fenced blocks, and what is to be done with each.

A marker is an HTML comment alone on a line above a fence; `KINDS` says which there are and what they mean.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
RUN = {"python", "bash", "console"}
"""Languages that are run: the page's Python in one namespace, from top to bottom; its shell in one folder."""
SHOWN = {
    *("text", "json", "toml", "yaml", "ini", "sql", "html", "mermaid", "http", "promql", "nginx", "dockerfile", "svg"),
}
"""Languages that are only looked at."""
KINDS = {
    "file": "not run: written as this file into the page's folder; a later block uses it",
    "output": "what the last block printed; `…` is any text within a line, a line of `…` any lines",
    "serve": "(bash) the last command is a server, which stays until the next one or the end of the page",
    "eventually": "(console) run again until it prints this: another process is about to hear of what was done",
    "fails": "the block ends in an error with this text in its message",
    "shown": "not run, for this reason",
    "prepared": "first on a page: `database`, seeded and exported; `auth`, with a started manager of that name; "
    "`airflow`, the real one; `fab`, the same with the FAB provider and its tables, with full numbers only: it is slow",
    "typed": "(bash) what is typed at each of its prompts",
}
_FENCE = re.compile(r"( *)(`{3,})(\w*)(.*)")
_MARKER = re.compile(r" *<!-- (\w+)(?:: (.+?))? -->")


class PageError(AssertionError):
    """Something on a page that is not as it should be; the message names the line."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    where: str
    """`docs/tokens.md:24`"""
    line: int
    """Of the fence."""
    language: str
    code: str
    markers: dict[str, str]

    def check(self) -> None:
        """Raises PageError: nobody could tell what is to be done with it."""
        if unknown := set(self.markers) - set(KINDS):
            raise PageError(f"{self.where}: there is no marker {unknown.pop()!r}; choose from {', '.join(KINDS)}")
        if self.language not in RUN | SHOWN:
            raise PageError(f"{self.where}: a fence says what it is: {', '.join(sorted(RUN | SHOWN))}")
        for kind in ("file", "shown", "prepared", "typed"):
            if self.markers.get(kind) == "":
                raise PageError(f"{self.where}: the marker {kind} needs a text: <!-- {kind}: … -->")
        if self.language in SHOWN and self.markers.keys() & {"serve", "fails", "typed"}:
            raise PageError(f"{self.where}: {self.language} cannot be run")
        if "eventually" in self.markers and self.language != "console":
            raise PageError(f"{self.where}: only console blocks are run again")


def pages() -> list[Path]:
    """README and everything below docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def find_blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order.

    Raises:
        PageError: a block is of no known kind, or a fence does not end.
    """
    name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
    blocks = parse(page.read_text(encoding="utf-8"), name)
    for block in blocks:
        block.check()
    return blocks


def parse(text: str, name: str) -> list[Block]:
    """The blocks of a text, unchecked."""
    blocks: list[Block] = []
    markers: dict[str, str] = {}
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if fence := _FENCE.fullmatch(line):
            end = re.compile(rf" *{fence[2]}`*\s*")
            code = _until(end, lines, f"{name}:{number}")
            blocks.append(Block(f"{name}:{number}", number, fence[3], dedent(code), markers))
            markers = {}
        elif marker := _MARKER.fullmatch(line):
            markers[marker[1]] = marker[2] or ""
        elif line.strip():
            markers = {}
    return blocks


def _until(end: re.Pattern[str], lines: Iterator[tuple[int, str]], where: str) -> str:
    code: list[str] = []
    for _, line in lines:
        if end.fullmatch(line):
            return "".join(f"{one}\n" for one in code)
        code.append(line)
    raise PageError(f"{where}: the fence does not end")


def matches(expected: str, printed: str) -> bool:
    """Whether a text is what a page says; see `KINDS`."""
    pattern = ""
    for line in expected.rstrip().splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += "[^\n]*?".join(re.escape(part) for part in line.rstrip().split("…")) + "\n"
    lines = "".join(f"{line.rstrip()}\n" for line in printed.rstrip().splitlines())
    return re.fullmatch(pattern, lines) is not None
