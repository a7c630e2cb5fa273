"""Lists in pages, in an order that the caller may choose from a few."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, false, or_

from asyncauth.errors import ChangedMeanwhileError, InvalidValueError

T = TypeVar("T")
MAX_LIMIT = 1000
_MAX_OFFSET = 2**31 - 1
"""Larger than any table; the drivers' own limits differ."""
_MAX_WORDS = 8
"""Of a search; what is typed after them is left out."""
_MAX_WORD_LENGTH = 512
"""No column is longer."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    total: int
    """How many there are in the whole list."""


def paged(
    statement: "Select[Any]",
    *,
    limit: int,
    offset: int,
    order_by: str,
    columns: Mapping[str, ColumnElement[Any]],
    last: ColumnElement[Any],
) -> "Select[Any]":
    """The statement for one page.

    Args:
        statement: without order.
        limit: 0 to `MAX_LIMIT`.
        offset: how many to leave out at the beginning.
        order_by: a key of `columns`, with `-` in front for the other direction.
        columns: what may be ordered by.
        last: orders what is equal otherwise, so that no row is on two pages.

    Raises:
        InvalidValueError: one of them is something else.
    """
    if not 0 <= limit <= MAX_LIMIT or offset < 0:
        raise InvalidValueError(f"limit has to be 0 to {MAX_LIMIT} and offset 0 or more")
    column = columns.get(order_by.lstrip("-"))
    if column is None:
        raise InvalidValueError(f"the list can be ordered by {', '.join(sorted(columns))} only")
    direction = column.desc() if order_by.startswith("-") else column.asc()
    order = (direction,) if column is last else (direction, last.asc())
    return statement.order_by(*order).limit(limit).offset(min(offset, _MAX_OFFSET))


def containing(search: str | None, *columns: ColumnElement[str]) -> list[ColumnElement[bool]]:
    """Conditions for rows in which each word of a search, in any case, is part of one of the columns. No index helps:
    the database reads the whole table.

    Args:
        search: words; `%` and `_` are letters like others. None or blank: all rows.
        columns: where to look.
    """
    words = (search or "").split()[:_MAX_WORDS]
    if not all(word.isprintable() and len(word) <= _MAX_WORD_LENGTH for word in words):
        return [false()]  # nothing stored is like that, and drivers and databases refuse to look for it
    return [or_(*(column.icontains(word, autoescape=True) for column in columns)) for word in words]


def make_etag(*content: Any) -> str:
    """A hash of content that JSON can hold: differs when that differs (RFC 9110 section 8.8.3, without the quotes)."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def require_match(etag: str, expected: str | None) -> None:
    """Raises ChangedMeanwhileError if the caller expects another ETag; None: expects none."""
    if expected is not None and expected != etag:
        raise ChangedMeanwhileError("it was changed meanwhile: read it again")
