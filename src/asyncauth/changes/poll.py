"""The feed, by asking: one small query an interval keeps positions and revocations current.

It sees what asyncauth itself writes (the writer notes a position) and every revocation. Changes that other programs
make to the `ab_*` tables show when an entry reaches `max_entry_age_seconds`.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable, Select, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.clock import Clock
from asyncauth.db import revocations
from asyncauth.db.engine import Database
from asyncauth.db.stamps import from_rows
from asyncauth.db.tables import stamps
from asyncauth.errors import AuthError
from asyncauth.settings import Settings
from asyncauth.tokens.revoked import Revocations
from asyncauth.users import Users

log = logging.getLogger(__name__)


class Poller:
    """Asks, tells `users` and `revoked` what is new, and knows until when memory is proven current.

    Args:
        airflow: whether Airflow's table of revoked tokens stands.
    """

    def __init__(
        self, database: Database, users: Users, revoked: Revocations, clock: Clock, settings: Settings, *, airflow: bool
    ) -> None:
        self.proven_until = 0.0
        """On the clock that runs through suspension: when memory stops being proven."""
        self.trouble: str | None = None
        """Why the last poll failed; None if it did not."""
        self._database = database
        self._users = users
        self._revoked = revoked
        self._clock = clock
        self._interval_seconds = settings.poll_interval_seconds
        self._max_staleness_seconds = settings.max_staleness_seconds
        self._airflow = airflow
        self._surplus = {revocations.OWN: 0, revocations.AIRFLOW: 0}

    async def run(self) -> None:
        """Poll for ever. Trouble with the database is logged when it begins and when it ends."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            trouble = self.trouble
            try:
                await self.poll()
            except AuthError as error:
                self.trouble = str(error)
                if trouble is None:
                    log.warning("cannot ask for changes: %s", error)
            except Exception:  # a poller that ends takes the whole server with it
                self.trouble = "asking for changes failed"
                log.exception("cannot ask for changes")
            else:
                if trouble is not None:
                    log.warning("changes are known again")

    async def poll(self) -> None:
        """Ask once. The proof counts from when the question was sent.

        Raises:
            DatabaseUnavailableError: nothing is known anew.
        """
        sent, now = self._clock.elapsed(), int(self._clock.now())
        known = self._users.stamps.position
        rows = await self._rows(self._question(now))
        numbers = {name: int(number) for name, number in rows}  # a sum is a Decimal
        current = from_rows(numbers)
        if current.position < known:
            log.warning("the database went back from position %d to %d: dropping all users", known, current.position)
            self._users.restart(current)
        else:
            self._users.observe(current)
        self._revoked.purge(now)
        await self._read_own(now, numbers[revocations.OWN])
        if self._airflow:
            await self._read_airflow(now, numbers[revocations.AIRFLOW])
        self.proven_until = sent + self._max_staleness_seconds
        self.trouble = None

    def _question(self, now: int) -> "Select[str, int]":
        parts = [select(stamps.c.name, stamps.c.position), revocations.sum_own(now)]
        if self._airflow:
            parts.append(revocations.sum_airflow(self._database.dialect, now))
        asked = union_all(*parts).subquery()
        return select(asked.c[0], asked.c[1])

    # A sum that differs from what is known says that there are other rows: then all unexpired ones are read. Rows that
    # somebody deleted stay revoked here; `_surplus` is their sum, so that they do not cause a read at every poll.

    async def _read_own(self, now: int, total: int) -> None:
        known = self._revoked.own
        if total + self._surplus[revocations.OWN] != known.sum:
            rows = await self._rows(revocations.read_own(now))
            known.add(((iss, jti), exp) for iss, jti, exp in rows)
            self._surplus[revocations.OWN] = known.sum - sum(exp for *_, exp in rows)

    async def _read_airflow(self, now: int, total: int) -> None:
        known = self._revoked.airflow
        if total + self._surplus[revocations.AIRFLOW] != known.sum:
            rows = await self._rows(revocations.read_airflow(self._database.dialect, now))
            known.add((jti, exp) for jti, exp in rows)
            self._surplus[revocations.AIRFLOW] = known.sum - sum(exp for _, exp in rows)

    async def _rows(self, statement: Executable) -> Sequence[Any]:
        async def work(session: AsyncSession) -> Sequence[Any]:
            return (await session.execute(statement)).all()

        return await self._database.read(work)
