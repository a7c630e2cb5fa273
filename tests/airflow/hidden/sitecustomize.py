"""Makes a Python process believe that the FAB provider is not installed: neither its distribution nor its package."""

import importlib.abc
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from typing import Any

DISTRIBUTION = "apache-airflow-providers-fab"
PACKAGE = "airflow.providers.fab"
found = importlib.metadata.MetadataPathFinder.find_distributions


class Nowhere(importlib.abc.MetaPathFinder):
    """Finds nothing of the package, and lets nobody else find it."""

    def find_spec(self, name: str, *_: Any) -> None:
        """Called before the others are."""
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def find_others(*arguments: Any, **named: Any) -> Iterable[importlib.metadata.Distribution]:
    """All distributions but this."""
    return (one for one in found(*arguments, **named) if one.metadata["Name"] != DISTRIBUTION)


sys.meta_path.insert(0, Nowhere())
importlib.metadata.MetadataPathFinder.find_distributions = find_others  # type: ignore[method-assign,assignment]
