"""Statements compiled once a run, not once an engine: nearly every test makes engines, which would begin anew."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.util import LRUCache

SIZE = 5000


@contextmanager
def compiled_once() -> Iterator[None]:
    """All engines whose dialects are set up alike share one cache inside the block; what they compile is the same."""
    cache: MutableMapping[Any, Any] = LRUCache(SIZE)
    alike: dict[Any, Dialect] = {}
    found: WeakKeyDictionary[Dialect, Dialect] = WeakKeyDictionary()
    original = ClauseElement._compile_w_cache

    def compile_here(element: ClauseElement, dialect: Dialect, *, compiled_cache: Any, **options: Any) -> Any:
        if compiled_cache is None or dialect.server_version_info is None:  # it has not connected yet
            return original(element, dialect, compiled_cache=compiled_cache, **options)
        if dialect not in found:
            found[dialect] = alike.setdefault(_describe(dialect), dialect)
        return original(element, found[dialect], compiled_cache=cache, **options)

    with patch.object(ClauseElement, "_compile_w_cache", compile_here):
        yield


def _describe(dialect: Dialect) -> tuple[object, ...]:
    """All that a dialect was told and has found out about its server."""
    simple = (str, bytes, int, float, bool, tuple, frozenset, type(None))
    told = {name: value for name, value in vars(dialect).items() if isinstance(value, simple)}
    return type(dialect), *sorted((name, repr(value)) for name, value in told.items())
