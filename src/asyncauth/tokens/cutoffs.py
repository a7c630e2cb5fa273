"""Until when the tokens of a user are refused, in memory."""

from collections.abc import Iterable

DELETED = "deleted"
"""The reason of a cut-off that a deleted user leaves behind: it ends API keys and logins as well, because SQLite gives
the id to the next user."""


class Cutoffs:
    """The latest cut-off of each user, in seconds since the epoch: what was issued then or before is refused."""

    def __init__(self) -> None:
        self._latest: dict[int, int] = {}
        self._deleted: dict[int, int] = {}

    def latest(self, user_id: int) -> int:
        """The latest cut-off of any reason; -1: none."""
        return self._latest.get(user_id, -1)

    def deleted(self, user_id: int) -> int:
        """When a user of that id was last deleted; -1: never."""
        return self._deleted.get(user_id, -1)

    def add(self, rows: Iterable[tuple[int, int, str]]) -> None:
        """Add (user id, time, reason) triples, in any order. Nothing is ever taken back."""
        for user_id, at, reason in rows:
            self._latest[user_id] = max(at, self._latest.get(user_id, -1))
            if reason == DELETED:
                self._deleted[user_id] = max(at, self._deleted.get(user_id, -1))

    def purge(self, before: int) -> None:
        """Forget those at `before` or earlier: no token is that old."""
        for known in (self._latest, self._deleted):
            for user_id in [user_id for user_id, at in known.items() if at <= before]:
                del known[user_id]
