"""Managers for tests that want to decide themselves when anything happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from asyncauth import AuthManager, Settings
from asyncauth.clock import Clock
from asyncauth.db.loader import Loader
from asyncauth.running import Running
from tests.forge import NOW

NEVER_SECONDS = 3600.0


def quiet(settings: Settings, **changes: Any) -> Settings:
    """The same settings, with nothing happening in the background: tests call `poll`."""
    update = {
        "listen": False,
        "poll_interval_seconds": NEVER_SECONDS,
        "trigger_check_seconds": NEVER_SECONDS,
        "max_staleness_seconds": 2 * NEVER_SECONDS,
    }
    return settings.model_copy(update=update | changes)


def running(auth: AuthManager) -> Running:
    """The parts of a started manager."""
    assert auth._running is not None
    return auth._running


async def poll(auth: AuthManager) -> None:
    """Let a manager ask for changes, as it would at the next interval."""
    await running(auth).follower.catch_up()


@contextmanager
def impatient(auth: AuthManager, seconds: float) -> Iterator[None]:
    """Let a started manager give loads, and the database, no more than that, inside the block alone: a deadline that is
    so short would fail the start on a busy machine."""
    database, users = running(auth).database, running(auth).users
    with patch.object(database, "_timeout_seconds", seconds), patch.object(users, "_timeout_seconds", seconds):
        yield


class FakeClock:
    """A clock that stands still until it is told how much time passes."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.elapsed = 5000.0

    @property
    def clock(self) -> Clock:
        """For a manager."""
        return Clock(lambda: self.now, lambda: self.elapsed)

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.now += seconds
        self.elapsed += seconds


@contextmanager
def count_loads() -> Iterator[list[int]]:
    """The ids of the users that any manager loads inside the block, in order."""
    loaded: list[int] = []
    original = Loader.load

    async def load(self: Loader, user_id: int, *arguments: Any) -> Any:
        loaded.append(user_id)
        return await original(self, user_id, *arguments)

    with patch.object(Loader, "load", load):
        yield loaded
