"""Reading the change log: which records are new since a position, however their transactions were ordered.

The order of ids is not the order of commits. PostgreSQL says exactly which transactions a snapshot does not see; the
new records are those of transactions that were running at the last look, or had not begun. On MariaDB and MySQL an
id that is missing below the highest one may still be committed: it is looked for again until
`late_commit_horizon_seconds` have passed. SQLite has one writer at a time. What is visible is applied at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    String,
    any_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth.db.tables import changes, feed
from asyncauth.errors import StaleError

MAX_RECORDS = 5_000
"""More new records than this are not read one by one: everything is dropped."""
EVERYTHING = "everything"
"""The kind of a record after which nothing known before can be relied on: the triggers had been missing."""
_ASIDE = ("token", "cutoff", "api_key")
"""Kinds of records that change no user and no role: what ends tokens."""
_RANGES = 8


@dataclass(frozen=True, slots=True)
class Record:
    """One change. `item` is the id of the user or role, None: all of the kind. `token`: (issuer, id, expiry) of a
    revoked one; issuer None: from Airflow's table."""

    id: int
    kind: str
    item: int | None
    token: tuple[str | None, str, int] | None = None
    cutoff: tuple[int, str] | None = None
    """Of the user `item`: when, in seconds since the epoch, and why. None in a record of that kind: of many users."""

    @property
    def ends_tokens(self) -> bool:
        """Whether it changes no user and no role."""
        return self.kind in _ASIDE


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids, both ends included, that are missing and may still be committed."""

    low: int
    high: int
    since: float
    """When they were first missed, on the clock that runs through suspension."""


@dataclass(frozen=True, slots=True)
class Position:
    """What is known of the log: all records that the look which gave it could see."""

    epoch: str
    last: int
    """The highest id seen; 0: none."""
    at: int | None
    """When that record was written. A restored database may hold another one under the same id."""
    xmax: int = 0
    """PostgreSQL: transactions from here on had not begun."""
    running: tuple[int, ...] = ()
    """PostgreSQL: transactions below `xmax` that were under way."""
    gaps: tuple[Gap, ...] = ()
    """MariaDB and MySQL."""

    def parameters(self) -> dict[str, Any]:
        """Values for `unseen`."""
        ranges = _merge(self.gaps)
        values: dict[str, Any] = {"last": self.last, "xmax": self.xmax, "running": list(self.running)}
        for number in range(_RANGES):
            low, high = ranges[number] if number < len(ranges) else (0, -1)
            values |= {f"low{number}": low, f"high{number}": high}
        return values


@dataclass(frozen=True, slots=True)
class News:
    """What a look at the log brought: new records and the position after them."""

    records: tuple[Record, ...]
    position: Position
    lost: str | None = None
    """Why nothing known before can be relied on; None: it can."""


def unseen(dialect: str, *, gaps: bool = True) -> ColumnElement[bool]:
    """The condition for records that may be new; a few known ones can be among them. `gaps`: whether the position may
    have any."""
    id_ = changes.c.id
    conditions: list[ColumnElement[bool]] = [id_ > bindparam("last", type_=BigInteger)]
    if dialect == "postgresql":
        running = bindparam("running", type_=ARRAY(BigInteger))
        conditions += [changes.c.xid >= bindparam("xmax", type_=BigInteger), changes.c.xid == any_(running)]
    elif dialect != "sqlite" and gaps:
        conditions += [
            id_.between(bindparam(f"low{number}", type_=BigInteger), bindparam(f"high{number}", type_=BigInteger))
            for number in range(_RANGES)
        ]
    return or_(*conditions)


def tail_column(dialect: str, *, gaps: bool = True) -> ColumnElement[str | None]:
    """The records that may be new, but for those that end tokens, as one text `count;id:kind:item,…,`, to select beside
    something else in the same snapshot; NULL: none. `gaps`: as `unseen`."""
    item = func.coalesce(cast(changes.c.item, String(20)), _constant(""))
    colon = _constant(":")
    entry = cast(changes.c.id, String(20)).concat(colon).concat(changes.c.kind).concat(colon).concat(item)
    entries = func.aggregate_strings(entry.concat(_constant(",")), "")
    text = cast(func.count(), String(20)).concat(_constant(";")).concat(entries)
    kinds = (changes.c.kind != _constant(kind) for kind in _ASIDE)
    return select(text).where(*kinds, unseen(dialect, gaps=gaps)).scalar_subquery()


def _constant(text: str) -> ColumnElement[str]:
    """Written into the statement: as parameters they would be sent, and by some drivers quoted, for every user."""
    return literal_column(f"'{text}'", String)


def parse_tail(text: str | None) -> list[Record]:
    """Read the text of `tail_column`.

    Raises:
        StaleError: MariaDB or MySQL cut it off; the follower will read the records one by one.
    """
    if text is None:
        return []
    count, _, list_ = text.partition(";")
    *entries, end = list_.split(",")
    if end or len(entries) != int(count):
        raise StaleError("more has changed than can be read beside a user")
    records = []
    for entry in entries:
        id_, kind, item = entry.split(":")
        records.append(Record(int(id_), kind, int(item) if item else None))
    return records


def news_statement(dialect: str, *beside: ColumnElement[Any]) -> Select[Any]:
    """One row at least: the feed's own row, beside each record that may be new. `beside`: columns more."""
    known = changes.alias("known")
    mark = select(known.c.at).where(known.c.id == bindparam("last", type_=BigInteger)).scalar_subquery()
    columns = (changes.c.id, changes.c.at, changes.c.kind, changes.c.item, changes.c.iss, changes.c.jti, changes.c.exp)
    return (
        select(feed.c.epoch, feed.c.purged, mark.label("mark"), _snapshot(dialect).label("snapshot"), *columns, *beside)
        .join_from(feed, changes, unseen(dialect), isouter=True)
        .where(feed.c.id == 1)
        .order_by(changes.c.id)
        .limit(MAX_RECORDS + 1)
    )


def start_statement(dialect: str) -> Select[Any]:
    """For the first position: the feed's own row and the last record."""
    newest = select(func.max(changes.c.id)).scalar_subquery()
    return (
        select(feed.c.epoch, feed.c.purged, _snapshot(dialect).label("snapshot"), changes.c.id, changes.c.at)
        .join_from(feed, changes, changes.c.id == newest, isouter=True)
        .where(feed.c.id == 1)
    )


def recent_ids_statement(horizon_seconds: float) -> CompoundSelect[Any]:
    """For the first position on MariaDB and MySQL: the ids of which a neighbour may still be committed, and the one
    before them; if there is none, the last one that was purged."""
    before, newest = changes.alias("before"), changes.alias("newest")
    cutoff = select(func.max(newest.c.at) - int(horizon_seconds * 1_000_000)).scalar_subquery()
    first = select(func.max(before.c.id)).where(before.c.at <= cutoff).scalar_subquery()
    start = select(func.coalesce(first, feed.c.purged).label("id")).where(feed.c.id == 1)
    return start.union(select(changes.c.id).where(changes.c.id > func.coalesce(first, 0))).order_by("id")


def _snapshot(dialect: str) -> ColumnElement[Any]:
    return cast(func.pg_current_snapshot(), String) if dialect == "postgresql" else literal(None, String)


async def read_mark(connection: AsyncConnection) -> int:
    """Ask, as the last thing in a transaction, for the number by which others recognise that they know it."""
    dialect = connection.dialect
    if dialect.name == "postgresql":
        query = "SELECT pg_current_xact_id()::text::bigint"
    elif dialect.name != "sqlite" and dialect.supports_sequences:
        # The last one drawn by this connection, so by this transaction if it noted anything.
        query = f"SELECT coalesce(lastval({changes.name}_id_seq), 0)"
    elif dialect.name != "sqlite":
        # MySQL's LAST_INSERT_ID() does not tell what triggers have drawn, and the highest id can be another writer's: a
        # record of this transaction's own, about nobody, becomes known together with its others.
        noted = await connection.exec_driver_sql(f"INSERT INTO {changes.name} (kind, item) VALUES ('user', 0)")  # noqa: S608
        return int(noted.lastrowid)
    else:
        query = f"SELECT coalesce(max(id), 0) FROM {changes.name}"  # noqa: S608
    return int((await connection.exec_driver_sql(query)).scalar_one())


def start(row: Any, recent_ids: Sequence[int], elapsed: float) -> Position:
    """The position that the rows of the two statements give."""
    xmax, running = _read_snapshot(row.snapshot)
    last = row.id or row.purged
    gaps = _gaps_between([*recent_ids, last + 1], elapsed)
    return Position(row.epoch, last, row.at, xmax, running, gaps)


def advance(position: Position, rows: Sequence[Any], elapsed: float, horizon_seconds: float, dialect: str) -> News:
    """What the rows of `news_statement` mean to somebody at `position`. Pure."""
    first = rows[0]
    if lost := _find_loss(position, first, len(rows)):
        return News((), position, lost)
    found = [row for row in rows if row.id is not None]
    if any(row.kind == EVERYTHING for row in found):
        return News((), position, "the triggers were made anew")
    xmax, running = _read_snapshot(first.snapshot)
    gaps: tuple[Gap, ...] = ()
    if dialect not in {"postgresql", "sqlite"}:
        found = [row for row in found if row.id > position.last or _is_in(row.id, position.gaps)]
        live = (gap for gap in position.gaps if elapsed - gap.since < horizon_seconds)
        gaps = _fill(live, [row.id for row in found], position.last, elapsed)
    newest = max((row for row in found if row.id > position.last), key=lambda row: row.id, default=None)
    last, at = (position.last, position.at) if newest is None else (newest.id, newest.at)
    after = replace(position, last=last, at=at, xmax=xmax, running=running, gaps=gaps)
    return News(tuple(_record(row) for row in found), after)


def _find_loss(position: Position, row: Any, count: int) -> str | None:
    if row.epoch != position.epoch:
        return "this is another database"
    if row.purged > position.last:
        return "records were purged before they were read"
    # Without a mark too, or who began with a log that was purged whole would not notice.
    if position.last > row.purged and (row.mark is None or row.mark != position.at):
        return "the database went back to an earlier state"
    if count > MAX_RECORDS:
        return "too much has changed"
    return None


def _record(row: Any) -> Record:
    token = (row.iss, row.jti, row.exp) if row.kind == "token" else None
    cutoff = (row.exp, row.jti) if row.kind == "cutoff" and row.item is not None else None
    return Record(row.id, row.kind, row.item, token, cutoff)


def _read_snapshot(text: str | None) -> tuple[int, tuple[int, ...]]:
    """`xmin:xmax:running,…`, as pg_current_snapshot() writes it."""
    if text is None:
        return 0, ()
    _, xmax, running = text.split(":")
    return int(xmax), tuple(int(one) for one in running.split(",") if one)


def _gaps_between(ids: Iterable[int], elapsed: float) -> tuple[Gap, ...]:
    gaps = []
    before: int | None = None
    for one in ids:
        if before is not None and one > before + 1:
            gaps.append(Gap(before + 1, one - 1, elapsed))
        before = one
    return tuple(gaps)


def _fill(gaps: Iterable[Gap], ids: Sequence[int], last: int, elapsed: float) -> tuple[Gap, ...]:
    """Take found ids out of the gaps, and add those between the new ids."""
    arrived = sorted(ids)
    left = []
    for gap in gaps:
        inside = [one for one in arrived if gap.low <= one <= gap.high]
        edges = [gap.low - 1, *inside, gap.high + 1]
        left += [replace(new, since=gap.since) for new in _gaps_between(edges, elapsed)]
    return (*left, *_gaps_between([last, *(one for one in arrived if one > last)], elapsed))


def _is_in(id_: int, gaps: Iterable[Gap]) -> bool:
    return any(gap.low <= id_ <= gap.high for gap in gaps)


def _merge(gaps: Sequence[Gap]) -> list[tuple[int, int]]:
    """At most `_RANGES` ranges that cover all gaps, and between them as few known ids as can be."""
    ordered = sorted(gaps, key=lambda gap: gap.low)
    widest = nlargest(_RANGES - 1, range(1, len(ordered)), key=lambda i: ordered[i].low - ordered[i - 1].high)
    bounds = [0, *sorted(widest), len(ordered)]
    return [(ordered[low].low, ordered[high - 1].high) for low, high in pairwise(bounds)] if ordered else []
