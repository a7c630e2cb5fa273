"""Where the started manager lives: one event loop, which threads may ask to do something for them."""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.airflow.settings import make_airflow_engine
from asyncauth.bootstrap import create_auth_manager
from asyncauth.errors import DatabaseUnavailableError
from asyncauth.manager import AuthManager
from asyncauth.settings import Settings

T = TypeVar("T")


class AirflowAuth(AuthManager):
    """An AuthManager whose engine is made as Airflow makes its own."""

    def make_engine(self) -> AsyncEngine:
        """See `make_airflow_engine`."""
        return make_airflow_engine(self.settings)


@dataclass(frozen=True, slots=True)
class Home:
    """A started manager, its event loop and the loop's thread."""

    auth: AuthManager
    loop: asyncio.AbstractEventLoop
    thread_id: int

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the thread of the loop, and so must not wait."""
        return threading.get_ident() == self.thread_id

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and wait for its end; from other threads only.

        Raises:
            DatabaseUnavailableError: it did not end in time, or the loop is gone.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # the loop is closed
            work.close()
            raise DatabaseUnavailableError("the server is stopping") from None
        # Twice as long as any use of the database may take: whatever happens, no thread hangs.
        seconds = 2 * self.auth.settings.database_timeout_seconds + self.auth.settings.password_queue_seconds
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise DatabaseUnavailableError("no answer in time") from None


async def open_home(settings: Settings) -> Home:
    """Start the process-wide manager on this event loop, or find it started.

    Raises:
        ConfigurationError, DatabaseUnavailableError: see `AuthManager.start`.
    """
    auth = await create_auth_manager(settings, cls=AirflowAuth)
    return Home(auth, asyncio.get_running_loop(), threading.get_ident())
