"""The guarded instance: one manager per process and event loop, whole or absent, however many ask at once."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from anyio import Lock, to_thread
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth.errors import ClosedError
from asyncauth.manager import AuthManager
from asyncauth.model import Claims, User
from asyncauth.settings import Settings


class _Slot:
    """One event loop's place. The anyio lock is held while a manager starts or closes."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.manager: AuthManager | None = None
        self.origin: tuple[type[AuthManager], Settings, AsyncEngine | None] | None = None


class _Slots:
    """The table of loops. INVARIANT: its threading lock is never held across a wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Slot] = WeakKeyDictionary()

    def get(self) -> _Slot:
        """The running loop's slot. Slots of loops that were closed with a manager still in them are dropped."""
        loop = asyncio.get_running_loop()
        with self._lock:
            for other in [other for other in self._by_loop if other.is_closed()]:
                del self._by_loop[other]
            return self._by_loop.setdefault(loop, _Slot())

    def forget_all(self) -> None:
        """After a fork: the parent's managers, connections and perhaps held lock are not the child's."""
        self._lock = threading.Lock()
        self._by_loop = WeakKeyDictionary()


_slots = _Slots()
os.register_at_fork(after_in_child=_slots.forget_all)


async def create_auth_manager(
    settings: Settings | None = None, *, engine: AsyncEngine | None = None, cls: type[AuthManager] = AuthManager
) -> AuthManager:
    """The running loop's manager, started. The same settings, engine and class give the same instance; others close
    the old one, once its work in hand is done, and start a new one in its place. A failed or cancelled start leaves
    nothing behind: the next caller tries again.

    Raises:
        ConfigurationError, DatabaseUnavailableError: see `AuthManager.start`.
    """
    if settings is None:
        settings = await to_thread.run_sync(Settings)  # which may read files
    origin = (cls, settings, engine)
    slot = _slots.get()
    async with slot.lock:
        if slot.manager is not None and slot.manager.started and slot.origin == origin:
            return slot.manager
        await _close(slot)
        manager = cls(settings, engine=engine)
        await manager.start()
        slot.manager, slot.origin = manager, origin
        return manager


def get_auth_manager() -> AuthManager:
    """The running loop's started manager.

    Raises:
        ClosedError: `create_auth_manager` has not finished on this loop (503).
    """
    manager = _slots.get().manager
    if manager is None or not manager.started:
        raise ClosedError("no auth manager on this event loop: await create_auth_manager(settings) first")
    return manager


async def close_auth_manager() -> None:
    """Close the running loop's manager, if there is one, once its work in hand is done."""
    slot = _slots.get()
    async with slot.lock:
        await _close(slot)


@asynccontextmanager
async def lend_auth_manager(manager: AuthManager) -> AsyncIterator[None]:
    """A started manager of somebody else's making is the running loop's inside the block; afterwards the former one is
    again. For `asyncauth.testing`."""
    slot = _slots.get()
    async with slot.lock:
        former = slot.manager, slot.origin
        slot.manager, slot.origin = manager, (type(manager), manager.settings, None)
    try:
        yield
    finally:
        if slot.manager in (manager, None):  # else somebody has started another one, which stays
            slot.manager, slot.origin = former


async def _close(slot: _Slot) -> None:
    manager, slot.manager, slot.origin = slot.manager, None, None
    if manager is not None:
        await manager.close()


async def deserialize_user(claims: Claims | Mapping[str, Any]) -> User:
    """See `AuthManager.deserialize_user`; on the running loop's manager."""
    return await get_auth_manager().deserialize_user(claims)


def serialize_user(user: User) -> dict[str, str]:
    """See `AuthManager.serialize_user`; on the running loop's manager."""
    return get_auth_manager().serialize_user(user)
