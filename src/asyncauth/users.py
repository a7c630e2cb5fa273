"""Users in memory: put together from parts that are true at one common position, and dropped when a part changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypeVar

from asyncauth.cache import Cache, Entry, Flights
from asyncauth.changelog import Changelog
from asyncauth.clock import Clock
from asyncauth.db.feed import Position, Record
from asyncauth.db.loader import Loaded, Loader
from asyncauth.errors import DatabaseUnavailableError, StaleError
from asyncauth.generation import Generation
from asyncauth.model import Role, User
from asyncauth.settings import Settings
from asyncauth.tasks import Tasks

V = TypeVar("V")
_ATTEMPTS = 5


class Users:
    """Answers from memory where it can, else loads; many who ask for one user at once share one load.

    INVARIANT: what is in the caches is true in every database state that shows no changes but those in `changes`. A
    load reads, in its own snapshot, the changes that are not known yet, and makes them known before it uses anything
    from the caches; it is stored only if no other change of what it read became known meanwhile.
    """

    def __init__(
        self,
        loader: Loader,
        tasks: Tasks,
        clock: Clock,
        settings: Settings,
        position: Position,
        generation: Generation,
        *,
        coarse: bool,
    ) -> None:
        """`coarse`: any change drops everything, because the log does not tell all (SQLite: REPLACE, cascades)."""
        self.position = position
        self.catch_up: Callable[[], Awaitable[None]] | None = None
        """Makes known what has changed up to now; set by whoever follows the changes."""
        self.changes = Changelog()
        self._coarse = coarse
        self._roles_changed = 0
        self._steps = 0
        """Grows before and after what is known changes: odd meanwhile."""
        self.hits = 0
        """Users answered from memory."""
        self.loads = 0
        """Users read from the database."""
        self._loader = loader
        self._clock = clock
        self.cache: Cache[User] = Cache(settings.user_cache_size, generation)
        self._roles: Cache[Role] = Cache(settings.role_cache_size, generation)
        self._timeout_seconds = settings.database_timeout_seconds
        self._turns = asyncio.Semaphore(settings.max_concurrent_loads)
        self._flights = Flights(self._load, tasks)
        self._role_ids: dict[str, int] = {}
        """Of roles that were asked for by name: only a hint, the role in memory tells its name itself."""
        self._role_flights: Flights[Role] = Flights(self._load_role, tasks)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many users and roles are in memory."""
        return len(self.cache), len(self._roles)

    def find(self, user_id: int, elapsed: float) -> User | None:
        """The user if in memory. For the loop's thread."""
        user = self.cache.find(user_id, elapsed, self._roles_changed)
        if user is None:
            entry = self.cache.peek(user_id, elapsed)
            renewed = self._renew(entry, elapsed) if entry is not None else None
            if renewed is None:
                return None
            self.cache.put(user_id, renewed)
            user = renewed.value
        self.hits += 1
        return user

    def peek(self, user_id: int, elapsed: float) -> User | None:
        """The user if in memory. For any thread."""
        steps = self._steps
        entry = self.cache.peek(user_id, elapsed)
        if entry is not None and entry.sequence < self._roles_changed:
            entry = self._renew(entry, elapsed)
            if steps % 2 or steps != self._steps:  # user and roles may be of two states
                return None
        return None if entry is None else entry.value

    async def get(self, user_id: int) -> User:
        """The user, from memory or by one load. Callers join a load only if no change became known since it began.

        Raises:
            UserNotFoundError, UserInactiveError: errors are not remembered; each call asks anew.
            UnavailableError: the database did not answer in time, or changes faster than it can be read.
        """
        user = self.find(user_id, self._clock.elapsed())
        return user if user is not None else await self._flights.join(user_id, self.changes.sequence)

    def find_role(self, name: str, elapsed: float) -> Role | None:
        """The role if in memory. For any thread."""
        role_id = self._role_ids.get(name)
        entry = self._roles.peek(role_id, elapsed) if role_id is not None else None
        return entry.value if entry is not None and entry.value.name == name else None

    async def get_role(self, name: str) -> Role:
        """The role, by one load that all who ask for it share.

        Raises:
            UnknownRoleError: there is none.
            UnavailableError: as `get`.
        """
        return await self._role_flights.join(name, self.changes.sequence)

    def learn(self, records: Iterable[Record]) -> None:
        """Drop from memory what these records say has changed. Known ones do nothing."""
        with self._step():
            for record in records:
                known = replace(record, kind="everything") if self._coarse else record
                if self.changes.add(known):
                    self._drop(known)

    def suspect(self, kind: str, item: int) -> None:
        """Have a user or role loaded anew that may have changed. Loads under way go on: if it has, a record tells."""
        with self._step():
            if kind == "user":
                self.cache.drop(item)
            elif kind == "role" and self._roles.drop(item):
                self._roles_changed = self.changes.sequence + 1  # users are put together anew until the next look

    def advance(self, position: Position) -> None:
        """All changes up to `position` have been learnt."""
        self.position = position
        self._roles_changed = min(self._roles_changed, self.changes.sequence)  # what was suspected is known now

    def limit_age(self, max_entry_age_seconds: float) -> None:
        """How long what is loaded from now on may live."""
        self._loader.max_entry_age_seconds = max_entry_age_seconds

    def restart(self, position: Position) -> None:
        """Drop everything: what is known of the changes has a hole. Loads under way are done again."""
        with self._step():
            self.changes.restart()
            self._drop_all()
            self.position = position

    @contextmanager
    def _step(self) -> Iterator[None]:
        self._steps += 1
        try:
            yield
        finally:
            self._steps += 1

    def _drop(self, record: Record) -> None:
        match record.kind, record.item:
            case "user", None:
                self.cache.clear()
            case "user", int(user_id):
                self.cache.drop(user_id)
            case "role", None:
                self._drop_roles()
            case "role", int(role_id):
                self._roles.drop(role_id)
                self._roles_changed = self.changes.sequence
            case _:
                self._drop_all()

    def _drop_roles(self) -> None:
        self._roles.clear()
        self._roles_changed = self.changes.sequence

    def _drop_all(self) -> None:
        self._drop_roles()
        self.cache.clear()

    def _renew(self, entry: Entry[User], elapsed: float) -> Entry[User] | None:
        """The same user with the present roles; None if one of them has to be loaded."""
        roles = [self._roles.peek(role.id, elapsed) for role in entry.value.roles]
        present = [role for role in roles if role is not None]
        if len(present) < len(roles):
            return None
        user = replace(entry.value, roles=self._loader.share(tuple(role.value for role in present)))
        deadline = min([entry.deadline, *(role.deadline for role in present)])
        return Entry(user, self.changes.sequence, deadline)

    async def _load(self, user_id: int, _: int) -> User:
        async with self._turn():
            # A load before this one may have brought the role that was missing.
            user = self.find(user_id, self._clock.elapsed())
            return user if user is not None else await self._repeat(lambda: self._try_to_load(user_id))

    async def _load_role(self, name: str, _: int) -> Role:
        async with self._turn():
            role = self.find_role(name, self._clock.elapsed())
            return role if role is not None else await self._repeat(lambda: self._try_to_load_role(name))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds), self._turns:
                yield
        except TimeoutError:
            message = "the database gave no answer in time, or too many loads wait for it"
            raise DatabaseUnavailableError(message) from None

    async def _repeat(self, attempt: Callable[[], Awaitable[V | None]]) -> V:
        for _ in range(_ATTEMPTS):
            found = await attempt()
            if found is not None:
                return found
            if self.catch_up is not None:  # or it would read the same long list of changes again
                await self.catch_up()
        raise StaleError("the database changes faster than it can be read")

    async def _try_to_load(self, user_id: int) -> User | None:
        """None: what was read may have changed meanwhile, or too much has changed to be read beside it."""
        self.loads += 1
        reading = _Reading(self)
        try:
            loaded = await self._loader.load(user_id, self.position, reading.learn, self._known_role)
        except StaleError:
            return None
        role_ids = {role.id for role in loaded.user.roles}
        return None if reading.is_touched(user_id, role_ids) else self._store(loaded)

    async def _try_to_load_role(self, name: str) -> Role | None:
        reading = _Reading(self)
        try:
            role, deadline = await self._loader.load_role(name, self.position, reading.learn, self._known_role)
        except StaleError:
            return None
        if reading.is_touched(None, {role.id}):
            return None
        self._role_ids[name] = role.id
        self._roles.put(role.id, Entry(role, self.changes.sequence, deadline))
        return role

    def _known_role(self, role_id: int) -> Entry[Role] | None:
        entry = self._roles.peek(role_id, self._clock.elapsed())
        if entry is not None:
            self._roles.find(role_id, self._clock.elapsed())  # used just now
        return entry

    def _store(self, loaded: Loaded) -> User:
        sequence = self.changes.sequence
        for role in loaded.new_roles:
            self._roles.put(role.id, Entry(role, sequence, loaded.roles_deadline))
        self.cache.put(loaded.user.id, Entry(loaded.user, sequence, loaded.deadline))
        return loaded.user


class _Reading:
    """One load, from its beginning on: whether what it reads has changed meanwhile."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._began = users.changes.sequence
        self._seen: set[int] = set()

    def learn(self, records: list[Record]) -> None:
        """The changes that the load's own snapshot shows: they do not count."""
        self._seen.update(record.id for record in records)
        self._users.learn(records)

    def is_touched(self, user_id: int | None, role_ids: Container[int]) -> bool:
        """Whether any other change of these became known."""
        return self._users.changes.touches(user_id, role_ids, since=self._began, but=self._seen)
