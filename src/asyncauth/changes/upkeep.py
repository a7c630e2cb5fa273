"""Now and then: do the triggers still stand? When were API keys used? Are there old rows to delete?"""

import asyncio
import logging
import random

from sqlalchemy import Connection, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.api_keys import ApiKeys
from asyncauth.changes.follower import Follower
from asyncauth.clock import Clock
from asyncauth.db.engine import Database
from asyncauth.db.purge import purge_changes, purge_expired
from asyncauth.db.standing import find_missing, schema_column
from asyncauth.db.tables import airflow_revocations
from asyncauth.errors import AuthError
from asyncauth.settings import Settings
from asyncauth.tasks import BACKGROUND, Tasks

log = logging.getLogger(__name__)
_PURGE_SECONDS = 3600.0


class Upkeep:
    """Looks after the change log for one manager."""

    def __init__(self, database: Database, follower: Follower, keys: ApiKeys, clock: Clock, settings: Settings) -> None:
        self.missing: list[str] = []
        """The triggers that ought to stand and do not."""
        self._database = database
        self._follower = follower
        self._keys = keys
        self._clock = clock
        self._settings = settings
        self._schema: str | None = None
        """What `schema_column` said just before the last check."""

    async def run(self, tasks: Tasks) -> None:
        """Look after it for ever, in tasks of their own: who ends this one cuts no statement in the middle."""
        purged = self._clock.elapsed() + random.uniform(0, _PURGE_SECONDS) - _PURGE_SECONDS  # noqa: S311 spread workers
        while True:
            await asyncio.sleep(self._settings.trigger_check_seconds)
            try:
                await tasks.run(self._keys.note_uses(), BACKGROUND)
                if self._clock.elapsed() - purged > _PURGE_SECONDS:
                    purged = self._clock.elapsed()
                    await tasks.run(self._purge(), BACKGROUND)
                if await self.is_check_due():
                    await tasks.run(self.check_triggers(), BACKGROUND)
            except AuthError as error:
                log.info("upkeep of the change log failed: %s", error)
            except Exception:  # the next time may go well
                log.exception("upkeep of the change log failed")

    async def _purge(self) -> None:
        settings, now = self._settings, self._clock.now()
        await purge_changes(self._database, now, settings.change_retention_seconds)
        leeway_seconds, max_age_seconds = settings.jwt_leeway_seconds, settings.jwt_max_age_seconds
        await purge_expired(self._database, now, leeway_seconds=leeway_seconds, max_age_seconds=max_age_seconds)

    async def is_check_due(self) -> bool:
        """Whether any trigger or table came or went: the follower's next look tells, if it comes in time."""
        if self._settings.poll_interval_seconds > self._settings.trigger_check_seconds:
            return True
        return await self._follower.read_schema() not in {None, self._schema}

    async def check_triggers(self) -> None:
        """Look, and tell the follower. What it knows is forgotten whenever the answer changes: changes went unnoted.

        Raises:
            DatabaseUnavailableError: see `Database.read`.
        """
        schema, missing, airflow = await self._database.read(_look)
        late = airflow and not self._follower.airflow
        self._follower.airflow = airflow
        if bool(missing) != bool(self.missing):
            if missing:
                log.error(
                    "%d triggers are missing (%s): changes by other programs are seen after %g s; "
                    "run asyncauth db upgrade with an account that may create them",
                    len(missing),
                    ", ".join(missing),
                    self._settings.max_staleness_seconds,
                )
            else:
                log.warning("the triggers stand again")
            await self._follower.rely_on_triggers(not missing)
        elif late:
            await self._follower.restart("Airflow's table of revoked tokens was made")
        self.missing, self._schema = missing, schema


async def _look(session: AsyncSession) -> tuple[str, list[str], bool]:
    connection = await session.connection()
    return await connection.run_sync(_find)


def _find(connection: Connection) -> tuple[str, list[str], bool]:
    # The text first: what changes after it shows as a change the next time.
    schema: str = connection.execute(select(schema_column(connection.dialect.name))).scalar_one()
    return schema, find_missing(connection), inspect(connection).has_table(airflow_revocations.name)
