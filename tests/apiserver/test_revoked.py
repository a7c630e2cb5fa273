"""A role is taken away by a foreign program while fifty clients hammer. The bench says how soon."""

import asyncio

from bench.airflow.revokes import add_readers, hammer

from tests.apiserver.conftest import Pair

REVOKES = 30
LATE_MS = 4000.0
"""Of a machine so busy that a process may stand still for seconds; the goal, for the bench, is 50."""
AWAY_SECONDS, AWAY_AT_FAB_SECONDS = 6.0, 8.0
"""Much longer: what is obeyed only when the role is given back is later than that."""


def test_a_revoked_role_is_obeyed_at_once(pair: Pair) -> None:
    """On both workers; a server with FAB goes on for half a minute."""
    users = add_readers(pair.database)
    late = asyncio.run(hammer(pair.ours, pair.database, users, REVOKES, away=AWAY_SECONDS))
    assert len(late) == REVOKES
    assert max(late) < LATE_MS
    (fab,) = asyncio.run(hammer(pair.fab, pair.database, users[:5], 1, away=AWAY_AT_FAB_SECONDS))
    assert fab > LATE_MS
