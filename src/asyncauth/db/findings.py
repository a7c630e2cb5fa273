"""What `asyncauth db check` looks at."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from asyncauth.db.ids import find_wrong_sequences
from asyncauth.db.standing import find_lost_definers, find_missing
from asyncauth.db.state import State, look
from asyncauth.db.tables import FAB_VERSION_TABLE, airflow_revocations, fab, feed


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    """What was found, as one sentence."""
    advice: str = ""
    """What to do, if it is not right."""


def find(connection: Connection, at: str | None, head: str | None) -> list[Finding]:
    """Look at everything. `at` is the version of our tables, `head` the one that this asyncauth needs."""
    state = look(connection)
    return [
        Finding(ok=True, what=f"the database answers: {connection.dialect.name} {_server(connection)}"),
        *_version(at, head),
        *_tables(state),
        *(_own(connection, state) if at else ()),
        *_triggers(connection, state),
        *_sequences(connection, state),
    ]


def _server(connection: Connection) -> str:
    return ".".join(str(part) for part in connection.dialect.server_version_info or ())


def _version(at: str | None, head: str | None) -> Iterator[Finding]:
    if at is None:
        yield Finding(ok=False, what="there are no asyncauth tables", advice="run asyncauth db upgrade")
    elif at == head:
        yield Finding(ok=True, what=f"our tables are at version {at}, as they should be")
    else:
        advice = "run asyncauth db upgrade, or install the asyncauth that made them"
        yield Finding(ok=False, what=f"our tables are at version {at}, not {head}", advice=advice)


def _tables(state: State) -> Iterator[Finding]:
    if state.empty:
        yield Finding(ok=False, what="there are no ab_* tables", advice="run asyncauth db upgrade")
    elif state.missing:
        advice = "run airflow fab-db migrate" if state.fab_version else "restore them from a backup"
        what = f"the ab_* tables are incomplete: {', '.join(state.missing)}"
        yield Finding(ok=False, what=what, advice=advice)
    else:
        who = f"Airflow's FAB provider ({FAB_VERSION_TABLE})" if state.fab_version else "nobody else"
        yield Finding(ok=True, what=f"the {len(fab.tables)} ab_* tables are complete, and managed by {who}")
    if state.airflow_revocations:
        what = f"tokens are revoked in {airflow_revocations.name} together with Airflow"
    else:
        what = "tokens are revoked in our own table only: Airflow's is not here"
    yield Finding(ok=True, what=what)


def _own(connection: Connection, state: State) -> Iterator[Finding]:
    if state.own_missing:
        what = f"our own tables are incomplete: {', '.join(state.own_missing)}"
        yield Finding(ok=False, what=what, advice="restore them from a backup")
        return
    if connection.execute(select(feed.c.id)).first() is None:
        what = f"{feed.name} has lost its row"
        yield Finding(ok=False, what=what, advice="insert (id, epoch, purged) values (1, a new UUID, 0)")


def _triggers(connection: Connection, state: State) -> Iterator[Finding]:
    if state.missing or state.own_missing:
        return
    missing = find_missing(connection)
    if missing:
        what = f"{len(missing)} triggers that note changes are missing or disabled: {', '.join(missing)}"
        yield Finding(ok=False, what=what, advice="run asyncauth db upgrade with an account that may create triggers")
    else:
        yield Finding(ok=True, what="the triggers that note changes stand")
    for definer in find_lost_definers(connection):
        what = f"the account {definer}, as which triggers run, does not exist: every write that they watch fails"
        yield Finding(ok=False, what=what, advice="create it again, or run asyncauth db upgrade with another account")


def _sequences(connection: Connection, state: State) -> Iterator[Finding]:
    if state.missing:
        return
    wrong = find_wrong_sequences(connection)
    for name, statement in wrong.items():
        what = f"the sequence {name} is missing, or would give ids that are in use"
        yield Finding(ok=False, what=what, advice=f"run {statement}")
    if not wrong:
        yield Finding(ok=True, what="new rows get ids that are free")
