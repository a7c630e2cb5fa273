"""A Dag's `access_control` becomes what roles may do, for all Dags at once, from what Airflow serialized.

Airflow 3.3 does this itself only with the FAB provider, and if the manager's path holds `FabAuthManager`. Everything
here is sync and runs on a connection of its own, or on the caller's: it is called by commands, by a background task in
a thread, and by Airflow's Dag processor.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from asyncauth.airflow.access_control import ACTIONS, AccessControl, Holders, pairs_of, resource_name
from asyncauth.airflow.dag_rows import (
    Dag,
    State,
    find_unstorable,
    read_dags,
    read_hashes,
    read_position,
    read_state,
    store_pairs,
    take_turn,
    write_audit,
    write_grants,
)
from asyncauth.airflow.db_manager import connected, in_schema
from asyncauth.db.default_roles import Pair

log = logging.getLogger(__name__)
_ATTEMPTS = 3
"""Programs that take no turns, like Airflow with the FAB provider, may store the same in the same moment."""
_WHOLE_EVERY = 20
"""So many looks at what changed, then one at everything."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a synchronization did."""

    dags: int = 0
    """Looked at."""
    stored: int = 0
    """Permissions that were not stored before."""
    granted: int = 0
    taken: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)
    """A sentence about each Dag whose `access_control` is wrong, by its id."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be written."""

    state: State
    pairs: frozenset[Pair]
    granted: frozenset[tuple[str, Pair]]
    taken: frozenset[tuple[str, Pair]]
    problems: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.pairs or self.granted or self.taken)


class Synchronizer:
    """Keeps in mind what was synchronized, so that the next time only that is read which changed."""

    def __init__(self) -> None:
        self._hashes: dict[str, str] = {}
        self._controls: dict[str, AccessControl] = {}
        self._position = 0
        self._looks = 0
        self._wrong: set[str] = set()

    def sync(self) -> Report:
        """Look once.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database refused; the next look begins where this one did.
        """
        with connected() as connection:
            whole = self._looks % _WHOLE_EVERY == 0
            position, touched = read_position(connection, self._position)
            hashes = read_hashes(connection)
            new = {dag_id for dag_id, one in hashes.items() if whole or self._hashes.get(dag_id) != one}
            dags = {dag.dag_id: dag for dag in read_dags(connection, None if whole else new)} if new else {}
            # A role that is missing may be made, which the change log does not tell.
            again = (self._controls.keys() if touched else self._wrong) & hashes.keys() - new
            report = _sync(connection, {**{one: self._controls[one] for one in again}, **_wanted(dags.values())})
        self._remember(hashes, dags)
        self._looks, self._position = self._looks + 1, position
        self._wrong = self._controls.keys() & report.problems.keys()
        unreadable = {dag.dag_id: dag.problem for dag in dags.values() if dag.problem}
        return replace(report, problems={**report.problems, **unreadable})

    def _remember(self, hashes: Mapping[str, str], dags: Mapping[str, Dag]) -> None:
        self._hashes = dict(hashes)
        for dag in dags.values():
            self._controls.pop(dag.dag_id, None)
            if dag.access_control is not None:
                self._controls[dag.dag_id] = dag.access_control
        self._controls = {dag_id: one for dag_id, one in self._controls.items() if dag_id in hashes}


def sync() -> Report:
    """Make the roles' permissions what all Dags ask for.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database refused; nothing was written.
    """
    return Synchronizer().sync()


async def run_forever(interval_seconds: float) -> None:
    """The same again and again, in a thread: what a Dag asks for holds soon after Airflow has serialized it. Every
    worker does so; they write one after the other, and whoever comes later finds nothing to do."""
    synchronizer = Synchronizer()
    known: Mapping[str, str] = {}
    while True:
        try:
            report = await anyio.to_thread.run_sync(synchronizer.sync)
        except Exception as error:  # noqa: BLE001  whatever it is, the next attempt may go well
            log.warning("permissions of Dags could not be synchronized, trying again: %r", error)
        else:
            _tell(report, known)
            known = report.problems
        await anyio.sleep(interval_seconds)


def sync_dag_perms(dag: Any, *, session: Any) -> None:
    """What Airflow's Dag processor calls for a Dag that it has parsed, inside its transaction; commits nothing.

    Raises:
        ValueError: its `access_control` is wrong; Airflow shows that as an import error of the Dag.
    """
    wanted = {dag.dag_id: dag.access_control}
    connection: Connection = session.connection()
    with in_schema(connection):
        plan = _plan(connection, wanted)
        if plan:
            with connection.begin_nested():
                take_turn(connection)
                plan = _plan(connection, wanted)
                _write(connection, plan)
    if plan.problems:
        raise ValueError("; ".join(plan.problems.values()))


def _tell(report: Report, known: Mapping[str, str]) -> None:
    if report.granted or report.taken:
        log.info("permissions of Dags: %s granted, %s taken away", report.granted, report.taken)
    for dag_id, problem in report.problems.items():
        if known.get(dag_id) != problem:
            log.warning("%s", problem)


def _wanted(dags: Iterable[Dag]) -> dict[str, AccessControl | None]:
    return {dag.dag_id: dag.access_control for dag in dags}


def _sync(connection: Connection, wanted: Mapping[str, AccessControl | None]) -> Report:
    """Look, and only if there is something to write take a turn, look again and write."""
    if not wanted:
        return Report()
    plan = _plan(connection, wanted)
    connection.rollback()
    for attempt in range(_ATTEMPTS if plan else 0):
        try:
            take_turn(connection)
            plan = _plan(connection, wanted)
            _write(connection, plan)
            connection.commit()
            break
        except (IntegrityError, OperationalError):  # others wrote: the same rows, or for longer than one waits
            connection.rollback()
            if attempt == _ATTEMPTS - 1:
                raise
    return Report(len(wanted), len(plan.pairs), len(plan.granted), len(plan.taken), plan.problems)


def _plan(connection: Connection, wanted: Mapping[str, AccessControl | None]) -> Plan:
    names = {resource_name(dag_id, kind) for dag_id in wanted for kind in ACTIONS}
    state = read_state(connection, names)
    unstorable = find_unstorable(connection, names - {resource for _, resource in state.pairs})
    holders = Holders(state.role_ids.keys(), {name: set(held) for name, held in state.grants.items()})
    pairs: set[Pair] = set()
    for dag_id, control in sorted(wanted.items()):
        if not unstorable.isdisjoint(resource_name(dag_id, kind) for kind in ACTIONS):
            holders.problems[dag_id] = f"Dag {dag_id!r}: its id is too long, or to the database equal to another"
            continue
        pairs |= pairs_of(dag_id)
        if control is not None:
            holders.apply(dag_id, control)
    before, after = _flat(state.grants), _flat(holders.grants)
    return Plan(state, frozenset(pairs - state.pairs.keys()), after - before, before - after, holders.problems)


def _flat(grants: Mapping[str, Collection[tuple[str, str]]]) -> frozenset[tuple[str, Pair]]:
    return frozenset((role, (action, name)) for name, held in grants.items() for role, action in held)


def _write(connection: Connection, plan: Plan) -> None:
    if not plan:
        return
    ids = {**plan.state.pairs, **(store_pairs(connection, plan.pairs) if plan.pairs else {})}
    granted, taken = (
        [(plan.state.role_ids[role], ids[pair]) for role, pair in some] for some in (plan.granted, plan.taken)
    )
    write_grants(connection, granted, taken)
    words = ([f"{role}: {action} on {name}" for role, (action, name) in some] for some in (plan.granted, plan.taken))
    if granted or taken:
        write_audit(connection, *words)
