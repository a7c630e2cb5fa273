"""Users by the names that foreign issuers know them by.

Which id a name belongs to is only a hint; the truth is the user itself, who is compared with the name each time. So a
name that moves on needs no note: the user in memory is dropped by the change feed, and the new one does not match.
"""

from asyncio import Semaphore, timeout
from collections import OrderedDict

from asyncauth.db.engine import Database
from asyncauth.db.find import get_user_id_exactly
from asyncauth.errors import DatabaseUnavailableError, UserNotFoundError
from asyncauth.model import Claims, Match, User
from asyncauth.settings import Settings
from asyncauth.tasks import Tasks
from asyncauth.users import Users

_ATTEMPTS = 2
Name = tuple[Match, str]


class Names:
    """Claims of a foreign token → user: from memory, or with one statement more than by id.

    As many names are remembered as users, and as many looked up at the same time; others wait, within the deadline.
    """

    def __init__(self, users: Users, database: Database, tasks: Tasks, settings: Settings) -> None:
        self._users = users
        self._database = database
        self._tasks = tasks
        self._size = settings.user_cache_size
        self._timeout_seconds = settings.database_timeout_seconds
        self._ids: OrderedDict[Name, int] = OrderedDict()
        self._turns = Semaphore(settings.max_concurrent_loads)

    def find(self, claims: Claims, elapsed: float) -> User | None:
        """The user if in memory and still of that name. For the loop's thread."""
        user_id = self._ids.get(_name(claims))
        user = self._users.find(user_id, elapsed) if user_id is not None else None
        return user if user is not None and _fits(user, claims) else None

    async def get(self, claims: Claims) -> User:
        """The user, loaded if need be.

        Raises:
            UserNotFoundError, UserInactiveError: 401.
            UnavailableError: the database did not answer in time.
        """
        name = _name(claims)
        for _ in range(_ATTEMPTS):
            known = self._ids.get(name)
            try:
                user = await self._users.get(known if known is not None else await self._look_up(name))
            except UserNotFoundError:
                self._ids.pop(name, None)
                if known is None:
                    raise
                continue
            if _fits(user, claims):
                self._remember(name, user.id)
                return user
            self._ids.pop(name, None)
        raise UserNotFoundError("nobody has the name that the token gives")

    async def _look_up(self, name: Name) -> int:
        return await self._tasks.run(self._ask(name), "asyncauth find user")

    async def _ask(self, name: Name) -> int:
        try:
            async with timeout(self._timeout_seconds), self._turns:
                return await get_user_id_exactly(self._database, *name)
        except TimeoutError:
            raise DatabaseUnavailableError("too many names are looked up at once") from None

    def _remember(self, name: Name, user_id: int) -> None:
        self._ids[name] = user_id
        self._ids.move_to_end(name)
        if len(self._ids) > self._size:
            self._ids.popitem(last=False)


def _name(claims: Claims) -> Name:
    if claims.matches is None or claims.name is None:
        raise UserNotFoundError("the token names nobody")
    return claims.matches, claims.name


def _fits(user: User, claims: Claims) -> bool:
    """To the letter: what two issuers, or a database's collation, hold for the same is not."""
    return (user.email if claims.matches == "email" else user.username) == claims.name
