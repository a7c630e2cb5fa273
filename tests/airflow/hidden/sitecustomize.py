"""Makes a Python process believe that the FAB provider is not installed: neither its distribution nor its package."""

import importlib.metadata
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

import importlib_metadata  # with which Airflow looks for providers

DISTRIBUTION = "apache-airflow-providers-fab"
PACKAGE = "airflow.providers.fab"
find_spec = PathFinder.find_spec


def find_other_spec(name: str, *arguments: Any, **named: Any) -> ModuleSpec | None:
    """All modules but those of the package."""
    return None if f"{name}.".startswith(f"{PACKAGE}.") else find_spec(name, *arguments, **named)


def hide_from(finder: Any) -> None:
    """Let it find all distributions but this."""
    find_distributions = finder.find_distributions

    def find_others(*arguments: Any, **named: Any) -> Iterator[Any]:
        return (one for one in find_distributions(*arguments, **named) if one.metadata["Name"] != DISTRIBUTION)

    finder.find_distributions = staticmethod(find_others)  # a class method until now


PathFinder.find_spec = find_other_spec  # type: ignore[method-assign,assignment]
hide_from(importlib.metadata.MetadataPathFinder)
hide_from(importlib_metadata.MetadataPathFinder)
