"""Cut-offs in memory."""

import itertools

from asyncauth.generation import Generation
from asyncauth.tokens.cutoffs import Cutoffs


def test_several_count_as_the_latest() -> None:
    """In whatever order they become known; nobody else is touched."""
    rows = [(1, 100, "password"), (1, 300, "logout"), (1, 200, "deleted"), (1, 300, "inactive"), (2, 50, "logout")]
    for order in itertools.permutations(rows):
        cutoffs = Cutoffs(Generation())
        cutoffs.add(order)
        cutoffs.add(order[:2])
        assert [cutoffs.latest(user_id) for user_id in (1, 2, 3)] == [300, 50, -1]
        assert [cutoffs.deleted(user_id) for user_id in (1, 2, 3)] == [200, -1, -1]


def test_the_earliest_there_can_be() -> None:
    """The very beginning of time counts like any other second."""
    cutoffs = Cutoffs(Generation())
    cutoffs.add([(1, 0, "logout"), (2, 1, "deleted")])
    assert [cutoffs.find(user_id) for user_id in (1, 2, 3, None)] == [0, 1, None, None]
    assert cutoffs.deleted(2) == 1


def test_reading_the_same_again_takes_no_memory() -> None:
    """Without triggers all are read at every look."""
    cutoffs = Cutoffs(Generation())
    for _ in range(3):
        cutoffs.add([(1, 100, "logout"), (2, 100, "deleted")])
    assert len(cutoffs._by_time) == 3


def test_what_is_issued_in_the_second_of_a_cut_off() -> None:
    """It carries the next one; before, which is a clock that is late, the one after the cut-off; else the present."""
    cutoffs = Cutoffs(Generation())
    cutoffs.add([(1, 100, "logout")])
    assert [cutoffs.issue_time(1, now) for now in (98.5, 100, 100.9, 101.0, 102.9)] == [101, 101, 101, 101, 102]
    assert cutoffs.issue_time(2, 100.9) == 100
    assert cutoffs.issue_time(2, 0) == 0


def test_they_are_forgotten_when_no_token_is_that_old() -> None:
    """Each to the second, the earlier ones of a user with them; and a later one stays."""
    cutoffs = Cutoffs(Generation())
    cutoffs.add([(1, 100, "deleted"), (1, 200, "logout"), (2, 150, "password"), (3, 99, "deleted")])
    cutoffs.purge(98)
    assert len(cutoffs) == 3
    cutoffs.purge(100)
    assert (cutoffs.latest(1), cutoffs.deleted(1), cutoffs.latest(2), cutoffs.deleted(3)) == (200, -1, 150, -1)
    cutoffs.purge(199)
    assert (cutoffs.latest(1), cutoffs.latest(2)) == (200, -1)
    cutoffs.purge(200)
    assert len(cutoffs) == 0
    cutoffs.add([(1, 200, "deleted")])
    assert (cutoffs.latest(1), cutoffs.deleted(1)) == (200, 200)
