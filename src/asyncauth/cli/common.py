"""What all commands share: the manager they work with, secrets from where nobody sees them, and two forms of output."""

import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import typer
from pydantic import TypeAdapter, ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from asyncauth.admin.operator import calm
from asyncauth.errors import InvalidValueError
from asyncauth.manager import AuthManager
from asyncauth.settings import Settings

T = TypeVar("T")


class Form(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="For people, or for programs.")]


def run(work: Callable[[AuthManager], Awaitable[T]]) -> T:
    """Run `work` with a manager made from the environment (`ASYNCAUTH_…`)."""
    return anyio.run(partial(_run, work, calm(Settings())))


async def _run(work: Callable[[AuthManager], Awaitable[T]], settings: Settings) -> T:
    async with AuthManager(settings) as auth:
        return await work(auth)


def read_secret(what: str, *, confirm: bool = False) -> str:
    """A secret from the terminal, unseen, or the first line of the standard input. Never an argument: other users of
    the machine can read those.

    Raises:
        InvalidValueError: there is none.
    """
    if sys.stdin.isatty():
        secret: str = typer.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise InvalidValueError(f"no {what.lower()}: type it when asked, or pass it as the first line of the input")
    return secret


def tracked(items: Sequence[T], what: str) -> Iterable[T]:
    """The items, with a bar on the terminal that shows how many are done."""
    if not sys.stderr.isatty():
        return items
    return track(items, what, console=Console(stderr=True), transient=True)


def read_json(path: Path, form: TypeAdapter[T]) -> T:
    """What stands in a file of JSON.

    Raises:
        InvalidValueError: it cannot be read, is not JSON, or of another form; says where.
    """
    try:
        return form.validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise InvalidValueError(f"{path} is not of the form that is expected: {place}: {problem['msg']}") from None


def write_text(path: Path, text: str) -> None:
    """Write a file. Raises InvalidValueError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidValueError(f"{path} cannot be written: {error.strerror}") from None


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: Form) -> None:
    """Print rows: a table, or a JSON array of objects."""
    if form is Form.json:
        typer.echo(json.dumps([dict(row) for row in rows], indent=1, default=str, ensure_ascii=False))
        return
    table = Table(*columns, box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    # Where the output is no terminal, lines are as long as they are: nothing is cut off for `grep`.
    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 10_000, highlight=False)
    console.print(table)


def say(sentence: str, form: Form, **values: Any) -> None:
    """Print what was done: a sentence, or a JSON object."""
    typer.echo(json.dumps(values, default=str, ensure_ascii=False) if form is Form.json else sentence)


def counted(number: int, noun: str) -> str:
    """`1 role`, `2 roles`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_cell(one) for one in value)
    # What others typed must not move the cursor or colour the terminal.
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(value))
