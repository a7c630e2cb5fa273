"""Reading the change log: what is new at each look, whatever the order of ids and commits."""

import itertools
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as tuned
from hypothesis import strategies as st
from sqlalchemy import select

from asyncauth.db.feed import (
    MAX_RECORDS,
    Gap,
    News,
    Position,
    Record,
    advance,
    parse_tail,
    read_mark,
    start,
    tail_column,
)
from asyncauth.errors import StaleError

HORIZON = 600.0
DIALECTS = ("postgresql", "mysql", "sqlite")


class Row(NamedTuple):
    """A row of `news_statement` and of `start_statement`."""

    epoch: str = "here"
    purged: int = 0
    mark: int | None = None
    snapshot: str | None = None
    id: int | None = None
    at: int | None = None
    kind: str | None = None
    item: int | None = None
    iss: str | None = None
    jti: str | None = None
    exp: int | None = None


def rows(*ids: int, mark: int | None = None, snapshot: str | None = None, **feed: Any) -> list[Row]:
    """What a look brings that finds these ids, written at 1000 and the id; without any it is the feed's row alone."""
    found = [Row(id=id_, at=1000 + id_, kind="user", item=id_) for id_ in ids] or [Row()]
    return [row._replace(mark=mark, snapshot=snapshot, **feed) for row in found]


def at(last: int, *gaps: Gap, **changes: Any) -> Position:
    """A position after the record `last`."""
    return replace(Position("here", last, 1000 + last if last else None, gaps=gaps), **changes)


def look(position: Position, *ids: int, elapsed: float = 0, dialect: str = "mysql", **feed: Any) -> News:
    """A look from `position` that finds these ids."""
    snapshot = "9:9:" if dialect == "postgresql" else None
    return advance(position, rows(*ids, mark=position.at, snapshot=snapshot, **feed), elapsed, HORIZON, dialect)


def ids(news: News) -> list[int]:
    """The ids of the records that a look brought."""
    return [record.id for record in news.records]


# ── what is new ──


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_new(dialect: str) -> None:
    """The position stays."""
    news = look(at(7), dialect=dialect)
    assert (news.records, news.lost) == ((), None)
    assert (news.position.last, news.position.at) == (7, 1007)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_new_records_move_the_position(dialect: str) -> None:
    """To the highest id, whatever the order of the rows."""
    news = look(at(7), 9, 8, 10, dialect=dialect)
    assert sorted(ids(news)) == [8, 9, 10]
    assert (news.position.last, news.position.at) == (10, 1010)
    assert news.position.gaps == ()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_look_that_began_earlier_does_not_move_the_position_back(dialect: str) -> None:
    """A late record is brought, and the mark stays with the highest id."""
    news = look(at(7, Gap(3, 5, 0.0)), 4, dialect=dialect)
    assert ids(news) == ([4] if dialect != "sqlite" else ids(news))
    assert (news.position.last, news.position.at) == (7, 1007)


def test_what_is_known_is_not_brought_again() -> None:
    """MariaDB: the ranges that are asked for can cover known records; rows can come twice."""
    news = look(at(7, Gap(3, 3, 0.0)), 3, 4, 5, 7, 8)
    assert ids(news) == [3, 8]
    again = look(news.position, 3, 4, 5, 7, 8)
    assert (again.records, again.position) == ((), news.position)


def test_unknown_kinds_and_tokens_are_passed_on() -> None:
    """Nothing is judged here."""
    row = Row(mark=1007, id=8, at=1, kind="galaxy", item=5, iss="i", jti="j", exp=3)
    news = advance(at(7), [row, row._replace(id=9, kind="token", item=None)], 0, HORIZON, "sqlite")
    assert news.records == (Record(8, "galaxy", 5), Record(9, "token", None, ("i", "j", 3)))


def test_postgresql_looks_again_for_what_was_running() -> None:
    """The snapshot of the last look says so."""
    news = advance(at(7), rows(8, mark=1007, snapshot="20:25:21,23"), 0, HORIZON, "postgresql")
    assert (news.position.xmax, news.position.running) == (25, (21, 23))
    assert news.position.parameters() | {"last": 8, "xmax": 25, "running": [21, 23]} == news.position.parameters()


@pytest.mark.parametrize(
    ("recent_ids", "gaps"),
    [
        ([9, 10, 11, 12], ()),
        ([9, 10], (Gap(11, 12, 3.0),)),
        ([9, 11], (Gap(10, 10, 3.0), Gap(12, 12, 3.0))),
        ([9], (Gap(10, 12, 3.0),)),
        ([], ()),
    ],
)
def test_where_to_begin(recent_ids: list[int], gaps: tuple[Gap, ...]) -> None:
    """At the last record; what was committed after the ids were asked for is missing like what is not there yet."""
    position = start(Row(epoch="there", purged=2, id=12, at=1012, snapshot="5:9:6,8"), recent_ids, 3.0)
    assert position == Position("there", 12, 1012, 9, (6, 8), gaps)
    assert start(Row(purged=2), [2], 3.0) == Position("here", 2, None)


# ── gaps ──


def test_a_gap_is_remembered_until_it_is_filled() -> None:
    """Piece by piece."""
    news = look(at(1), 8, elapsed=5)
    assert news.position.gaps == (Gap(2, 7, 5),)
    news = look(news.position, 4, elapsed=6)
    assert (ids(news), news.position.gaps) == ([4], (Gap(2, 3, 5), Gap(5, 7, 5)))
    assert look(news.position, elapsed=6.5).position.gaps == news.position.gaps
    news = look(news.position, 2, 3, 7, 10, elapsed=7)
    assert news.position.gaps == (Gap(5, 6, 5), Gap(9, 9, 7))
    news = look(news.position, 5, 6, 9, elapsed=8)
    assert (news.position.gaps, news.position.last) == ((), 10)


def test_a_gap_is_given_up_after_the_horizon() -> None:
    """What comes in the very last look still counts."""
    position = look(at(1), 8, elapsed=0).position
    assert look(position, elapsed=HORIZON - 0.1).position.gaps == (Gap(2, 7, 0),)
    last = look(position, 5, elapsed=HORIZON)
    assert (ids(last), last.position.gaps) == ([5], ())
    assert ids(look(last.position, 6, elapsed=HORIZON + 1)) == []


def test_pieces_of_a_gap_are_given_up_when_it_is() -> None:
    """A gap that is split does not begin to wait anew."""
    position = look(look(at(1), 8, elapsed=0).position, 4, elapsed=HORIZON / 2).position
    assert look(position, elapsed=HORIZON).position.gaps == ()


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_gaps_mean_nothing_elsewhere(dialect: str) -> None:
    """PostgreSQL knows better; SQLite has one writer at a time."""
    assert look(at(1), 8, dialect=dialect).position.gaps == ()


def test_who_can_have_no_gaps_asks_for_none() -> None:
    """Each would be two more parameters of every load."""
    some, none = (set(select(tail_column("mysql", gaps=gaps)).compile().params) for gaps in (True, False))
    assert some - none == {f"{end}{number}" for end in ("low", "high") for number in range(8)}


@given(st.lists(st.integers(2, 400), unique=True, min_size=1))
def test_few_ranges_cover_all_gaps(found: list[int]) -> None:
    """However many there are; and they cover nothing that is not between two of them."""
    position = look(at(1), *found).position
    values = position.parameters()
    ranges = [(values[f"low{number}"], values[f"high{number}"]) for number in range(8)]
    missing = set(range(2, position.last)) - set(found)
    covered = {id_ for low, high in ranges for id_ in range(low, high + 1)}
    assert missing <= covered
    assert not covered or covered <= set(range(min(missing), max(missing) + 1))
    if len(position.gaps) <= 8:
        assert missing == covered


@pytest.mark.parametrize("missing", [{*range(2, 40, 2), 2000}, {2, *range(2000, 2040, 2)}])
def test_ranges_are_merged_where_that_brings_the_fewest_known_records(missing: set[int]) -> None:
    """Known ones are read again at every look; too many would drop everything, again and again."""
    values = look(at(1), *(number for number in range(2, 4000) if number not in missing)).position.parameters()
    covered = sum(values[f"high{number}"] - values[f"low{number}"] + 1 for number in range(8))
    assert covered < 42


# ── what is lost ──


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"epoch": "there"}, "this is another database"),
        ({"purged": 8}, "records were purged before they were read"),
        ({"mark": 4711}, "the database went back to an earlier state"),
        ({"mark": None}, "the database went back to an earlier state"),
    ],
)
def test_everything_is_dropped(dialect: str, changes: dict[str, Any], why: str) -> None:
    """Another database; a purge that went past; another record, or none, where the last one was."""
    snapshot = "9:9:" if dialect == "postgresql" else None
    row = rows(mark=1007, snapshot=snapshot)[0]._replace(**changes)
    news = advance(at(7), [row], 0, HORIZON, dialect)
    assert news == News((), at(7), why)  # in words that a metric shows


@pytest.mark.parametrize("dialect", DIALECTS)
def test_triggers_that_were_made_anew_drop_everything(dialect: str) -> None:
    """What changed while they were missing is not told; whatever else is."""
    snapshot = "9:9:" if dialect == "postgresql" else None
    found = [row._replace(kind="everything") if row.id == 9 else row for row in rows(8, 9, 10, mark=1007)]
    news = advance(at(7), [row._replace(snapshot=snapshot) for row in found], 0, HORIZON, dialect)
    assert news == News((), at(7), "the triggers were made anew")


def test_a_purge_up_to_the_position_is_no_loss() -> None:
    """All of it was read; the record itself is gone."""
    news = advance(at(7), rows(8, mark=None, purged=7), 0, HORIZON, "mysql")
    assert (news.lost, ids(news)) == (None, [8])
    assert look(at(0), 1, 2).lost is None


def test_going_back_is_seen_from_a_log_that_was_purged_whole() -> None:
    """There was no record to recognise it by: that the log ends before it tells."""
    position = start(Row(purged=100, id=None, at=None), [], 0)
    assert position.last == 100
    assert advance(position, rows(purged=100), 0, HORIZON, "mysql").lost is None
    for purged in (0, 99):
        assert advance(position, rows(purged=purged), 0, HORIZON, "mysql").lost is not None


@pytest.mark.parametrize(("count", "lost"), [(MAX_RECORDS, False), (MAX_RECORDS + 1, True)])
def test_too_many_records_drop_everything(count: int, lost: bool) -> None:
    """Reading them one by one would take longer than loading anew."""
    assert look(at(0), *range(1, count + 1), dialect="sqlite").lost == ("too much has changed" if lost else None)


# ── the tail of a load ──


def test_a_tail_is_read() -> None:
    """Kind and item of each; nothing at all is an empty one."""
    assert parse_tail(None) == []
    assert parse_tail("2;5:user:7,6:role:,") == [Record(5, "user", 7), Record(6, "role", None)]


@pytest.mark.parametrize("cut", ["2;5:user:7,6:role:4", "2;5:user:7,", "2;5:us", "2;", "2;5:user:7,6:role:"])
def test_a_tail_that_was_cut_off_is_refused(cut: str) -> None:
    """MariaDB and MySQL cut what is longer than group_concat_max_len, which an application's own connections set."""
    with pytest.raises(StaleError):
        parse_tail(cut)


# ── any interleaving of transactions and looks ──


@dataclass
class Transaction:
    """A writer's: its number on PostgreSQL, and the ids it drew."""

    xid: int
    ids: list[int] = field(default_factory=list)


class Log:
    """A change log whose transactions draw ids and commit in any order."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.committed: dict[int, int] = {}
        """Id → transaction."""
        self.open: dict[int, Transaction] = {}
        """One by writer."""
        self._ids = itertools.count(1)
        self._xids = itertools.count(100)
        self._xmax = 100

    def begin(self, writer: int) -> Transaction:
        """A transaction gets its number; it may write later."""
        if writer not in self.open:
            self._xmax = next(self._xids) + 1
            self.open[writer] = Transaction(self._xmax - 1)
        return self.open[writer]

    def take(self, step: str, writer: int) -> None:
        """Let a writer take a step."""
        if step in {"begin", "write"}:
            self.begin(writer).ids.extend([next(self._ids)] if step == "write" else [])
        elif step in {"commit", "abort"}:
            ended = self.open.pop(writer, Transaction(0))
            self.committed |= dict.fromkeys(ended.ids if step == "commit" else [], ended.xid)

    def snapshot(self) -> str | None:
        """As PostgreSQL writes it."""
        if self.dialect != "postgresql":
            return None
        running = sorted(transaction.xid for transaction in self.open.values())
        return f"{running[0] if running else self._xmax}:{self._xmax}:{','.join(map(str, running))}"

    def start(self, recent_ids: list[int]) -> Position:
        """Where somebody begins who asked for the recent ids before."""
        last = max(self.committed, default=None)
        row = Row(snapshot=self.snapshot(), id=last, at=None if last is None else 1000 + last)
        return start(row, [0, *recent_ids] if self.dialect == "mysql" else [], 0)

    def look(self, position: Position) -> News:
        """Ask as `unseen` says."""
        found = [id_ for id_, xid in self.committed.items() if self._may_be_new(id_, xid, position.parameters())]
        mark = 1000 + position.last if position.last in self.committed else None
        return advance(position, rows(*found, mark=mark, snapshot=self.snapshot()), 0, HORIZON, self.dialect)

    def _may_be_new(self, id_: int, xid: int, values: dict[str, Any]) -> bool:
        if id_ > values["last"]:
            return True
        if self.dialect == "postgresql":
            return xid >= values["xmax"] or xid in values["running"]
        return any(values[f"low{number}"] <= id_ <= values[f"high{number}"] for number in range(8))


STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "write", "write", "commit", "commit", "abort", "look"]), st.integers(0, 3)),
    max_size=40,
)


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
@given(before=STEPS, between=STEPS, after=STEPS)
@tuned(max_examples=300, deadline=None)
def test_every_record_is_brought_by_the_first_look_after_its_commit(
    dialect: str, before: list[tuple[str, int]], between: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    """Whoever begins to follow in the middle of it: nothing committed since is missed, and nothing comes twice."""
    log = Log(dialect)
    for step, writer in before:
        log.take(step, writer)
    recent_ids = sorted(log.committed)
    for step, writer in between:
        log.take(step, writer)
    position = log.start(recent_ids)
    known = set(log.committed)
    for step, writer in [*after, ("look", 0)]:
        log.take(step, writer)
        if step == "look":
            news = log.look(position)
            position = news.position
            assert news.lost is None
            assert len(set(ids(news))) == len(ids(news))
            assert set(ids(news)) >= log.committed.keys() - known
            if dialect == "postgresql":
                assert set(ids(news)) == log.committed.keys() - known
            known = set(log.committed)


async def test_the_mark_of_a_write_on_mysql_itself() -> None:
    """A record of its own, whose id cannot be another writer's; the suite runs there where it finds a server."""
    statements: list[str] = []

    async def execute(statement: str) -> SimpleNamespace:
        statements.append(statement)
        return SimpleNamespace(lastrowid=7)

    connection: Any = SimpleNamespace(
        dialect=SimpleNamespace(name="mysql", supports_sequences=False), exec_driver_sql=execute
    )
    assert await read_mark(connection) == 7
    assert [statement.split("(")[0] for statement in statements] == ["INSERT INTO asyncauth_change "]
