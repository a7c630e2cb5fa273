"""What is being measured, on standard error: a bar on a terminal, lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

_console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line, above the bar if there is one."""
    _console.print(text, markup=False, soft_wrap=True)


class Progress:
    """So many steps, one after the other.

    The bar is drawn between steps only: a thread that draws beside a measurement would be measured too.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0
        self._start = time.monotonic()
        columns = (
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._bar = Bar(*columns, console=_console, auto_refresh=False, disable=not _console.is_terminal)
        self._task = self._bar.add_task("", total=steps)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While the steps go on; then how long they took."""
        with self._bar:
            yield
        seconds = round(time.monotonic() - self._start)
        say(f"measured in {seconds // 60} min {seconds % 60} s")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """One of them."""
        start = time.monotonic()
        self._bar.update(self._task, description=f"{what} …", refresh=True)
        if self._bar.disable:
            say(f"[{self._done + 1}/{self._steps}] {what} …")
        yield
        self._done += 1
        say(f"[{self._done}/{self._steps}] {what}: {time.monotonic() - start:.0f} s")
        self._bar.update(self._task, advance=1, description="", refresh=True)
