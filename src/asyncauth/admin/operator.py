"""What every command line needs: settings for a manager that lives for one command, who is there, and whole lists."""

import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from asyncauth.admin.change import Actor
from asyncauth.admin.paging import Page
from asyncauth.settings import Settings

T = TypeVar("T")
PATIENCE_SECONDS = 10.0
"""How long a command gives the database at least: a person would rather wait than type it again."""


def calm(settings: Settings) -> Settings:
    """The settings for one command. It ends before anything could happen that it would have to hear of; and limits are
    for others' guesses."""
    changed: dict[str, Any] = {"listen": False, "seed_at_start": False}
    changed |= dict.fromkeys(("login_failures_per_user", "login_failures_per_address", "login_failures_in_all"))
    changed["database_timeout_seconds"] = max(settings.database_timeout_seconds, PATIENCE_SECONDS)
    return settings.model_copy(update=changed)


def operator() -> Actor:
    """Who is at the command line, for the audit table: the operating system's user, who may do everything."""
    try:
        return Actor(None, f"cli:{getpass.getuser()}")
    except (KeyError, OSError):  # a container without a user of that number
        return Actor(None, "cli")


async def every(page: Callable[[int], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """All items of a list that comes in pages; `page` is asked for the one at an offset."""
    offset = 0
    while True:
        found = await page(offset)
        for item in found.items:
            yield item
        offset += len(found.items)
        if not found.items or offset >= found.total:
            return
