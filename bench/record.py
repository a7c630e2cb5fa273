"""A run as a file for programs, written by `--json` and read again by `--compare`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from bench.figures import Figure, Section

FORM = 2
"""Raised when what is written changes its meaning."""
_MARK = "asyncauth bench"


class RecordError(Exception):
    """A file that no run of ours can be read from, or none that can be compared."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one run found.

    Args:
        machine: what it was measured on.
        sizes: how much was measured: default, quick or full.
        sections: the figures.
    """

    machine: Mapping[str, str]
    sizes: str
    sections: list[Section]

    def write(self, path: Path) -> None:
        """Everything; `reached` too."""
        sections = [
            {
                **asdict(section),
                "figures": [{**asdict(figure), "reached": figure.reached} for figure in section.figures],
            }
            for section in self.sections
        ]
        content = {"what": _MARK, "form": FORM, "machine": self.machine, "sizes": self.sizes, "sections": sections}
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote.

        Raises:
            RecordError: it cannot be read, is not ours, or of another form.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecordError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError:
            raise RecordError(f"{path} is no JSON: name a file that --json wrote") from None
        if isinstance(content, dict) and "what" not in content and {"machine", "sections"} <= set(content):
            raise RecordError(f"{path} is of an older form: measure it again with that version of asyncauth")
        if not isinstance(content, dict) or content.get("what") != _MARK:
            raise RecordError(f"{path} is no file of this bench: name one that --json wrote")
        if content.get("form") != FORM:
            raise RecordError(
                f"{path} is of form {content.get('form')}, which this bench does not know: it reads {FORM}"
            )
        try:
            return cls(content["machine"], content["sizes"], [_section(section) for section in content["sections"]])
        except (KeyError, TypeError, AttributeError):
            raise RecordError(f"{path} is damaged: a member is missing or of another type") from None


def _section(values: dict[str, Any]) -> Section:
    figures = tuple(_figure(figure) for figure in values["figures"])
    return Section(values["hazard"], values["database"], values["loop"], figures)


def _figure(values: dict[str, Any]) -> Figure:
    figure = Figure(**{field.name: values[field.name] for field in fields(Figure)})
    if not all(isinstance(value, (int, float)) for value in (figure.here, figure.limit, *figure.others.values())):
        raise TypeError("a figure is a number")
    return figure
