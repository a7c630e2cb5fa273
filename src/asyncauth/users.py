"""Users in memory: put together from parts that are true at one common position, and dropped when a part changes."""

import asyncio

from asyncauth.cache import Cache, Entry, Flights
from asyncauth.clock import Clock
from asyncauth.db.loader import Loaded, Loader
from asyncauth.db.stamps import Stamps
from asyncauth.errors import DatabaseUnavailableError, StaleError
from asyncauth.model import Role, User
from asyncauth.settings import Settings
from asyncauth.tasks import Tasks

_ATTEMPTS = 5


class Users:
    """Answers from memory where it can, else loads; many who ask for one user at once share one load.

    INVARIANT: everything in the caches is true at `stamps`. The caches are emptied of what a change may touch in the
    moment the change is known, and a load is stored only if nothing it read has changed by the time it ends.
    """

    def __init__(self, loader: Loader, tasks: Tasks, clock: Clock, settings: Settings) -> None:
        self.stamps = Stamps(0, 0, 0)
        self._loader = loader
        self._tasks = tasks
        self._clock = clock
        self._users: Cache[User] = Cache(settings.user_cache_size)
        self._roles: Cache[Role] = Cache(settings.role_cache_size)
        self._timeout_seconds = settings.database_timeout_seconds
        self._turns = asyncio.Semaphore(settings.max_concurrent_loads)
        self._flights = Flights(self._load_owned, tasks)
        self._restarts = 0

    def __len__(self) -> int:
        return len(self._users)

    def find(self, user_id: int, elapsed: float) -> User | None:
        """The user if in memory. For the loop's thread."""
        entry = self._users.get(user_id, elapsed)
        return None if entry is None else entry.value

    def peek(self, user_id: int, elapsed: float) -> User | None:
        """The user if in memory. For any thread."""
        entry = self._users.peek(user_id, elapsed)
        return None if entry is None else entry.value

    async def get(self, user_id: int) -> User:
        """The user, from memory or by one load. Callers join a load only if no change became known since it began.

        Raises:
            UserNotFoundError, UserInactiveError: errors are not remembered; each call asks anew.
            UnavailableError: the database did not answer in time, or changes faster than it can be read.
        """
        user = self.find(user_id, self._clock.elapsed())
        return user if user is not None else await self._flights.join(user_id, self.stamps.position, self._restarts)

    def observe(self, stamps: Stamps) -> None:
        """Learn of a newer committed state; drop what may have changed on the way to it. Older ones are ignored."""
        if stamps.position <= self.stamps.position:
            return
        if stamps.roles != self.stamps.roles:
            self._roles.clear()
        if (stamps.users, stamps.roles) != (self.stamps.users, self.stamps.roles):
            self._users.clear()
        self.stamps = stamps

    def restart(self, stamps: Stamps) -> None:
        """The database went back to an earlier state (a restore): drop everything, loads in flight included."""
        self._restarts += 1
        self._roles.clear()
        self._users.clear()
        self.stamps = stamps

    async def _load_owned(self, user_id: int, *_: int) -> User:
        return await self._tasks.run(self._load(user_id), f"asyncauth load of user {user_id}")

    async def _load(self, user_id: int) -> User:
        try:
            async with asyncio.timeout(self._timeout_seconds), self._turns:
                for _ in range(_ATTEMPTS):
                    restarts = self._restarts
                    loaded = await self._loader.load(user_id, self._known_role)
                    if restarts == self._restarts and self._is_current(loaded.stamps):
                        return self._store(user_id, loaded)
        except TimeoutError:
            raise DatabaseUnavailableError("the database gave no answer in time, or too many loads wait for it") from None
        raise StaleError("the database changes faster than a user can be read")

    def _is_current(self, stamps: Stamps) -> bool:
        self.observe(stamps)
        return (stamps.users, stamps.roles) == (self.stamps.users, self.stamps.roles)

    def _known_role(self, role_id: int, stamps: Stamps) -> Entry[Role] | None:
        if stamps.roles != self.stamps.roles:
            return None
        return self._roles.get(role_id, self._clock.elapsed())

    def _store(self, user_id: int, loaded: Loaded) -> User:
        for role_id, entry in loaded.new_roles.items():
            self._roles.put(role_id, entry)
        self._users.put(user_id, loaded.user)
        return loaded.user.value
