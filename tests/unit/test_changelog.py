"""The changes known here: whether one of them touched what a load has read meanwhile."""

import pytest

from asyncauth.changelog import KEPT, Changelog
from asyncauth.db.feed import Record

USER, OTHER, ROLE = 7, 8, 3


@pytest.fixture
def log() -> Changelog:
    """One that knows three changes already, of everything there is."""
    made = Changelog()
    for record in (Record(1, "user", None), Record(2, "role", None), Record(3, "galaxy", 1)):
        made.add(record)
    return made


@pytest.mark.parametrize(
    ("record", "touched"),
    [
        (Record(9, "user", USER), True),
        (Record(9, "user", OTHER), False),
        (Record(9, "user", None), True),
        (Record(9, "role", ROLE), True),
        (Record(9, "role", USER), False),
        (Record(9, "role", None), True),
        (Record(9, "galaxy", OTHER), True),
    ],
)
def test_what_touches_a_user(log: Changelog, record: Record, touched: bool) -> None:
    """A change of that user, of one of the roles, or of all of a kind; of a kind that nobody knows, to be sure. What
    was known when the load began touches nothing."""
    since = log.sequence
    assert not log.touches(USER, {ROLE}, since=since, but=())
    assert log.add(record)
    assert log.touches(USER, {ROLE}, since=since, but=()) is touched
    assert not log.touches(USER, {ROLE}, since=since, but={9})
    assert not log.touches(USER, {ROLE}, since=log.sequence, but=())


def test_nobody_is_touched_by_no_change_of_a_user(log: Changelog) -> None:
    """Who reads roles only."""
    since = log.sequence
    log.add(Record(9, "user", None))
    assert not log.touches(None, {ROLE}, since=since, but=())


def test_a_change_counts_once(log: Changelog) -> None:
    """The follower and a load may bring the same one."""
    assert [log.add(Record(9, "user", USER)), log.add(Record(9, "user", USER))] == [True, False]
    assert log.sequence == 4


def test_who_began_too_long_ago_is_touched() -> None:
    """What is not remembered any more may have been anything; to the last change that is."""
    log = Changelog()
    for number in range(1, KEPT + 2):
        log.add(Record(number, "user", OTHER))
    assert log.touches(USER, (), since=0, but=())
    assert not log.touches(USER, (), since=1, but=())
    assert log.add(Record(1, "user", OTHER))  # forgotten, so it counts as new
    assert not log.add(Record(3, "user", OTHER))


def test_who_began_before_a_restart_is_touched(log: Changelog) -> None:
    """And the ids from before it mean nothing."""
    since = log.sequence
    log.restart()
    assert log.touches(USER, (), since=since, but=())
    assert log.touches(USER, (), since=since + KEPT, but=())
    assert not log.touches(USER, (), since=log.sequence, but=())
    assert log.add(Record(1, "user", OTHER))
    assert not log.touches(USER, (), since=log.sequence - 1, but=())
