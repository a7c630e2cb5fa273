"""The follower: keeps memory current by reading the change log, and knows until when it is proven current.

The log in the database is the truth. A wake-up, from PostgreSQL's LISTEN or from Redis, only makes the follower look
sooner; losing one costs latency, never correctness.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import floor
from typing import Any

from asyncauth.api_keys import ApiKeys
from asyncauth.clock import Clock
from asyncauth.db import revocations
from asyncauth.db.cutoffs import read_cutoffs
from asyncauth.db.engine import Database
from asyncauth.db.feed import Position, Record, advance, news_statement, recent_ids_statement, start, start_statement
from asyncauth.db.standing import schema_column
from asyncauth.errors import AuthError, DatabaseUnavailableError
from asyncauth.settings import Settings
from asyncauth.tasks import BACKGROUND, Tasks
from asyncauth.tokens.cutoffs import DELETED, Cutoffs
from asyncauth.tokens.revoked import Revocations
from asyncauth.users import Users

log = logging.getLogger(__name__)
_MAX_DIGITS = 20


async def read_position(database: Database, elapsed: float, horizon_seconds: float) -> Position:
    """Where the log stands now.

    Raises:
        DatabaseUnavailableError: see `Database.ask`.
    """
    ids: Sequence[Any] = ()
    if database.dialect not in {"postgresql", "sqlite"}:
        # Asked first: what is committed between the two statements then counts as missing, and is looked for.
        ids = [row.id for row in await database.ask(recent_ids_statement(horizon_seconds))]
    rows = await database.ask(start_statement(database.dialect))
    return start(rows[0], ids, elapsed)


class Follower:
    """Reads what is new, tells `users`, `keys`, `revoked` and `cutoffs`, and keeps the proof.

    Args:
        airflow: whether Airflow's table of revoked tokens stands.
    """

    def __init__(
        self,
        database: Database,
        users: Users,
        keys: ApiKeys,
        revoked: Revocations,
        cutoffs: Cutoffs,
        clock: Clock,
        settings: Settings,
        *,
        airflow: bool,
    ) -> None:
        self.proven_until = 0.0
        """On the clock that runs through suspension: when memory stops being proven."""
        self.trouble: str | None = None
        """Why the last look failed; None if it did not."""
        self.proven_at: float | None = None
        """On the same clock: when the question of the last proof was sent."""
        self.pushed_at: float | None = None
        """On the same clock: the last wake-up."""
        self.lag_seconds: float | None = None
        """How old the last change was when it became known here, by the database's clock and ours."""
        self.records = 0
        """Records applied."""
        self.flushes: Counter[str] = Counter()
        """How often everything was dropped, by reason."""
        self.announce: Callable[[], Awaitable[None]] | None = None
        """Tells other workers to look, where the database cannot."""
        self._database = database
        self._users = users
        self._keys = keys
        self._revoked = revoked
        self._cutoffs = cutoffs
        self._clock = clock
        self._settings = settings
        self.airflow = airflow
        """Whether Airflow's table of revoked tokens stands: it may be made after us."""
        self._relies_on_triggers = True
        self._hole: str | None = None
        """Why everything has to be forgotten, until that is done."""
        self._purged_at = 0.0
        """By the wall clock."""
        self._news = news_statement(database.dialect)
        self._news_and_schema = news_statement(database.dialect, schema_column(database.dialect))
        self._schema_asked: asyncio.Future[str | None] | None = None
        self._looking = asyncio.Lock()
        self._asked = 0
        self._answered = 0
        self._woken = asyncio.Event()

    def wake(self, hint: str = "") -> None:
        """Look soon: somebody says that there is something new. For the loop's thread.

        Args:
            hint: `kind:item,…`, what may have changed: it is dropped at once, without being known as a change. So who
                makes one up gains nothing, and costs a few loads.
        """
        for one in hint.split(","):
            kind, _, item = one.partition(":")
            if item.isdecimal() and len(item) < _MAX_DIGITS:
                self._users.suspect(kind, int(item))
        self.pushed_at = self._clock.elapsed()
        self._woken.set()

    async def run(self, tasks: Tasks) -> None:
        """Follow for ever, each look in a task of its own: who ends this one cuts no statement in the middle. Trouble
        is logged when it begins and when it ends."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_interval_seconds):
                    await self._woken.wait()
            woken, records, trouble = self._woken.is_set(), self.records, self.trouble
            self._woken.clear()
            try:
                await tasks.run(self.catch_up(), BACKGROUND)
                if not woken and self.records > records and self.announce is not None:
                    await self.announce()  # found by asking: the others do not know yet
            except AuthError as error:
                self.trouble = str(error)
                if trouble is None:
                    log.warning("cannot ask for changes: %s", error)
            except Exception:  # a follower that ends takes the whole server with it
                self.trouble = "asking for changes failed"
                log.exception("cannot ask for changes")
            else:
                if trouble is not None:
                    log.warning("changes are known again")

    async def catch_up(self) -> None:
        """Know every change that was committed before this call. Those who call meanwhile share one look.

        Raises:
            DatabaseUnavailableError: nothing is known anew.
        """
        self._asked += 1
        asked = self._asked
        try:
            # One deadline for all who wait: in an outage they do not wait for each other's attempts in turn.
            async with asyncio.timeout(2 * self._settings.database_timeout_seconds), self._looking:
                await self._answer(asked)
        except TimeoutError:
            raise DatabaseUnavailableError("too many are waiting for the database") from None

    async def _answer(self, asked: int) -> None:
        """Look, unless somebody has looked since that question."""
        if self._answered < asked:
            answered = self._asked
            await self._look()
            self._answered = answered

    async def see_own_write(self) -> None:
        """Know what this worker has just committed, and tell the others meanwhile. If the database cannot be asked,
        nothing is granted till it can."""
        if self.announce is None:
            await self._see_own_write()
        else:
            await asyncio.gather(self.announce(), self._see_own_write())

    async def _see_own_write(self) -> None:
        try:
            await self.catch_up()
            if not self._relies_on_triggers:
                await self.restart("written without triggers")
        except DatabaseUnavailableError as error:
            self.proven_until = 0.0
            self.trouble = str(error)

    async def read_schema(self) -> str | None:
        """What tells whether tables or triggers came or went, read by the next look, as one more column: a question of
        its own would be one more statement. None: that look failed. For one caller at a time."""
        self._schema_asked = asyncio.get_running_loop().create_future()
        return await self._schema_asked

    async def _ask(self, position: Position) -> Sequence[Any]:
        asked, self._schema_asked = self._schema_asked, None
        statement = self._news if asked is None else self._news_and_schema
        rows: Sequence[Any] = ()
        try:
            rows = await self._database.ask(statement, position.parameters())
        finally:
            if asked is not None and not asked.done():
                asked.set_result(rows[0].schema_text if rows else None)
        return rows

    async def _look(self) -> None:
        """The proof counts from when the question was sent."""
        sent, before = self._clock.elapsed(), self._users.position
        rows = await self._ask(before)
        horizon = self._settings.late_commit_horizon_seconds
        news = advance(before, rows, sent, horizon, self._database.dialect)
        if lost := news.lost or self._hole:
            log.warning("dropping everything in memory: %s", lost)
            await self.restart(lost)
        else:
            if news.records:
                self._learn(news.records)
                self.records += len(news.records)
                self.lag_seconds = max(0.0, self._clock.now() - (news.position.at or 0) / 1e6)
            self._users.advance(news.position)
            if not self._relies_on_triggers or _is_about_many(news.records):
                await self._read_revocations()
        await self._forget_expired_revocations()
        self.proven_until = sent + self._settings.max_staleness_seconds
        self.proven_at = sent
        self.trouble = None

    async def begin(self) -> None:
        """The first look, at the position that `users` was given.

        Raises:
            DatabaseUnavailableError: see `Database.ask`.
        """
        await self._read_revocations()
        await self.catch_up()

    async def rely_on_triggers(self, yes: bool) -> None:
        """Say whether the log tells all. If not, entries live no longer than memory may be unproven, and revocations
        are read whole at every look. Either way what is known is forgotten.

        Raises:
            DatabaseUnavailableError: see `Database.ask`.
        """
        self._relies_on_triggers = yes
        settings = self._settings
        for memory in (self._users, self._keys):
            memory.limit_age(settings.max_entry_age_seconds if yes else settings.max_staleness_seconds)
        await self.restart("the triggers stand again" if yes else "triggers are missing")

    async def restart(self, reason: str) -> None:
        """Forget everything and go on from where the log stands now.

        Raises:
            DatabaseUnavailableError: see `Database.ask`. The next look tries again.
        """
        self._hole = reason
        position = await read_position(
            self._database, self._clock.elapsed(), self._settings.late_commit_horizon_seconds
        )
        self._users.restart(position)
        self._keys.restart()
        await self._read_revocations()
        self._hole = None
        self.flushes[reason] += 1

    def _learn(self, records: Iterable[Record]) -> None:
        self._users.learn(record for record in records if not record.ends_tokens)
        self._keys.learn(record for record in records if record.kind == "api_key")
        ends = [(record.item, *record.cutoff) for record in records if record.item is not None and record.cutoff]
        self._cutoffs.add(ends)
        if _is_about_many(records) or any(reason == DELETED for _, _, reason in ends):
            self._keys.restart()  # those of the deleted; what is read anew knows of it, for as long as it matters
        tokens = [record.token for record in records if record.token is not None]
        self._revoked.own.add(((iss, jti), exp) for iss, jti, exp in tokens if iss is not None)
        self._revoked.airflow.add((jti, exp) for iss, jti, exp in tokens if iss is None)

    async def _forget_expired_revocations(self) -> None:
        now = self._clock.now()
        if now < self._purged_at:  # the clock was ahead, and now it went back: some were forgotten too soon
            await self._read_revocations()
        self._revoked.purge(now)
        self._cutoffs.purge(self._oldest(now))
        self._purged_at = now

    def _oldest(self, now: float) -> int:
        """Tokens issued then or before are refused for their age."""
        return floor(now) - self._settings.jwt_leeway_seconds - self._settings.jwt_max_age_seconds

    async def _read_revocations(self) -> None:
        """All that still matter: a token is accepted for the leeway after it expired."""
        self._cutoffs.add(await self._database.ask(read_cutoffs(self._oldest(self._clock.now()))))
        since = int(self._clock.now()) - self._settings.jwt_leeway_seconds
        own = await self._database.ask(revocations.read_own(since))
        self._revoked.own.add(((iss, jti), exp) for iss, jti, exp in own)
        if self.airflow:
            rows = await self._database.ask(revocations.read_airflow(self._database.dialect, since))
            self._revoked.airflow.add((jti, exp) for jti, exp in rows)


def _is_about_many(records: Iterable[Record]) -> bool:
    """Whether one of them stands for the cut-offs of more users than are named."""
    return any(record.kind == "cutoff" and record.cutoff is None for record in records)
