"""API keys in memory: a key → its owner, narrowed to the key's scope. Followed like users, through the change log."""

import asyncio
import hmac
from collections.abc import Iterable

from asyncauth.cache import Cache, Entry, Flights
from asyncauth.clock import Clock
from asyncauth.db.api_keys import find_key, note_uses
from asyncauth.db.engine import Database
from asyncauth.db.feed import Record
from asyncauth.errors import (
    ApiKeyError,
    DatabaseUnavailableError,
    ExpiredTokenError,
    RevokedTokenError,
    StaleError,
)
from asyncauth.generation import Generation
from asyncauth.model import User
from asyncauth.settings import Settings
from asyncauth.tasks import Tasks
from asyncauth.tokens.api_keys import ApiKey, digest_secret, narrow, split_key
from asyncauth.tokens.cutoffs import Cutoffs
from asyncauth.users import Users

_ATTEMPTS = 5


class Held:
    """A key in memory, and its owner as last narrowed: a pair that is replaced whole, so any thread may read it."""

    __slots__ = ("key", "narrowed")

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        self.narrowed: tuple[User, User] | None = None

    def narrow(self, owner: User) -> User:
        """The owner, narrowed; the same object as long as the owner is."""
        pair = self.narrowed
        if pair is None or pair[0] is not owner:
            self.narrowed = pair = (owner, narrow(owner, self.key))
        return pair[1]


class ApiKeys:
    """Answers from memory where it can, else loads the key and its owner.

    Ids that no key has are not remembered, or a flood of them would push the real ones out. At most half of
    `max_concurrent_loads` are asked for at the same time, beside the loads of users, and the others wait within the
    deadline: a flood holds up keys that are not in memory, and nobody else.

    Without `api_key_secret` every key is refused.
    """

    def __init__(
        self,
        database: Database,
        users: Users,
        cutoffs: Cutoffs,
        tasks: Tasks,
        clock: Clock,
        settings: Settings,
        generation: Generation,
    ) -> None:
        self._secrets = settings.api_key_secrets
        self._database = database
        self._users = users
        self._cutoffs = cutoffs
        self._clock = clock
        self._keys: Cache[Held] = Cache(settings.api_key_cache_size, generation)
        self._max_entry_age_seconds = settings.max_entry_age_seconds
        self._timeout_seconds = settings.database_timeout_seconds
        self._turns = asyncio.Semaphore(max(1, settings.max_concurrent_loads // 2))
        self._flights = Flights(self._load, tasks)
        self._changed = 0
        """How many changes of keys became known so far."""
        self._used: dict[int, int] = {}
        self.loads = 0
        """Keys asked for in the database."""

    # ── who is it? ──

    def find_user(self, text: str) -> User | None:
        """The owner, narrowed; None: the key or the owner has to be loaded. From memory, for the loop's thread.

        Raises:
            TokenError: the key is refused.
        """
        key_id, secret = self._split(text)
        held = self._find(key_id)
        if held is None:
            return None
        self._admit(held.key, secret)
        owner = self._users.find(held.key.user_id, self._clock.elapsed())
        return None if owner is None else self._use(held, owner)

    async def get_user(self, text: str) -> User:
        """As `find_user`, loading what is not in memory.

        Raises:
            UnauthenticatedError: the key is refused, its owner is gone or inactive.
            UnavailableError: the database did not answer in time, or too many wait for it.
        """
        key_id, secret = self._split(text)
        for _ in range(_ATTEMPTS):
            held = await self._get(key_id)
            self._admit(held.key, secret)
            owner = await self._users.get(held.key.user_id)
            if self._find(key_id) is held:  # it may have been revoked while the owner was loaded
                self._admit(held.key, secret)
                return self._use(held, owner)
        raise StaleError("API keys change faster than they can be read")

    def current(self, key_id: int, owner: User) -> User:
        """The owner as known now, narrowed as known now. From memory, in any thread.

        Raises:
            TokenError: the key is revoked or expired.
            StaleError: it has changed or left memory.
        """
        entry = self._keys.peek(key_id, self._clock.elapsed())
        if entry is None or entry.value.key.user_id != owner.id:
            raise StaleError("the API key has changed or left memory: load the user again with load_current")
        self._check(entry.value.key)
        return entry.value.narrow(owner)

    async def load(self, key_id: int) -> None:
        """Have the key in memory.

        Raises:
            ApiKeyError: there is none of this id.
            UnavailableError: the database did not answer in time.
        """
        await self._get(key_id)

    def _split(self, text: str) -> tuple[int, str]:
        if not self._secrets:
            raise ApiKeyError("API keys are off: set api_key_secret (ASYNCAUTH_API_KEY_SECRET)")
        return split_key(text)

    def _admit(self, key: ApiKey, secret: str) -> None:
        if not any(hmac.compare_digest(digest_secret(one, secret), key.digest) for one in self._secrets):
            raise ApiKeyError("the secret of the API key is wrong")
        self._check(key)

    def _check(self, key: ApiKey) -> None:
        if key.revoked_at is not None:
            raise RevokedTokenError("the API key was revoked")
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            raise ExpiredTokenError("the API key has expired")
        # SQLite gives the id of a deleted user to the next one, who must not inherit the keys.
        if key.created_at <= self._cutoffs.deleted(key.user_id):
            raise RevokedTokenError("the owner of the API key was deleted")

    def _use(self, held: Held, owner: User) -> User:
        self._used[held.key.id] = int(self._clock.now())
        return held.narrow(owner)

    # ── what is in memory ──

    def learn(self, records: Iterable[Record]) -> None:
        """Drop from memory what these records say has changed."""
        for record in records:
            self._changed += 1
            if record.item is None:
                self._keys.clear()
            else:
                self._keys.drop(record.item)

    def restart(self) -> None:
        """Drop everything. Loads under way are done again."""
        self._changed += 1
        self._keys.clear()

    def limit_age(self, max_entry_age_seconds: float) -> None:
        """How long what is loaded from now on may live."""
        self._max_entry_age_seconds = max_entry_age_seconds

    def _find(self, key_id: int) -> Held | None:
        return self._keys.find(key_id, self._clock.elapsed())

    async def _get(self, key_id: int) -> Held:
        held = self._find(key_id)
        # Who asks after a change became known never joins a load from before it.
        return held if held is not None else await self._flights.join(key_id, self._changed)

    async def _load(self, key_id: int, _: int) -> Held:
        try:
            async with asyncio.timeout(self._timeout_seconds), self._turns:
                return self._find(key_id) or await self._load_now(key_id)
        except TimeoutError:
            message = "the database gave no answer in time, or too many API keys wait for it"
            raise DatabaseUnavailableError(message) from None

    async def _load_now(self, key_id: int) -> Held:
        for _ in range(_ATTEMPTS):
            self.loads += 1
            changed, sent = self._changed, self._clock.elapsed()
            key = await find_key(self._database, key_id)
            if key is None:
                raise ApiKeyError("there is no API key of this id")
            if changed == self._changed:
                held = Held(key)
                self._keys.put(key_id, Entry(held, changed, sent + self._max_entry_age_seconds))
                return held
        raise StaleError("API keys change faster than they can be read")

    # ── when they were used ──

    async def note_uses(self) -> None:
        """Write what was used since the last time; what cannot be written now is kept for the next.

        Raises:
            DatabaseUnavailableError: see `Database.write`.
        """
        used, self._used = self._used, {}
        try:
            await note_uses(self._database, used)
        except BaseException:
            self._used = {**used, **self._used}  # what came meanwhile is newer
            raise
