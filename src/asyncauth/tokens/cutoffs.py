"""Until when the tokens of a user are refused, in memory."""

import heapq
from collections.abc import Callable, Iterable

from asyncauth.generation import Generation

DELETED = "deleted"
"""The reason of a cut-off that a deleted user leaves behind: it ends API keys and logins as well, because SQLite gives
the id to the next user."""
STEPS = 5
"""A second cut-off of a user in one second is dated one second later, because a token issued between the two carries
the next second already; but never by more than this."""


class Cutoffs:
    """The latest cut-off of each user, in seconds since the epoch: what was issued then or before is refused.

    Args:
        generation: ended with each cut-off that becomes known. Forgetting one ends none: no token is that old.
    """

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._latest: dict[int | None, int] = {}
        self.find: Callable[[int | None], int | None] = self._latest.get
        """The latest cut-off of any reason; None: none, as for None, who is not known yet. A bare dict's method,
        as it is asked for every request."""
        self._deleted: dict[int | None, int] = {}
        self._by_time: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._latest)

    def latest(self, user_id: int) -> int:
        """The latest cut-off of any reason; -1: none."""
        return self._latest.get(user_id, -1)

    def deleted(self, user_id: int) -> int:
        """When a user of that id was last deleted; -1: never."""
        return self._deleted.get(user_id, -1)

    def issue_time(self, user_id: int, now: float) -> int:
        """The `iat` of what is issued `now`: the next second, if a cut-off stands at this one."""
        return max(int(now), self.latest(user_id) + 1)

    def add(self, rows: Iterable[tuple[int, int, str]]) -> None:
        """Add (user id, time, reason) triples, in any order. Nothing is ever taken back."""
        for user_id, at, reason in rows:
            for known in (self._latest, self._deleted) if reason == DELETED else (self._latest,):
                if at > known.get(user_id, -1):
                    known[user_id] = at
                    self._generation.end()
                    heapq.heappush(self._by_time, (at, user_id))

    def purge(self, before: int) -> None:
        """Forget those at `before` or earlier: no token is that old."""
        while self._by_time and self._by_time[0][0] <= before:
            _, user_id = heapq.heappop(self._by_time)
            for known in (self._latest, self._deleted):
                if known.get(user_id, before + 1) <= before:
                    del known[user_id]
