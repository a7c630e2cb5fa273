"""The changes that are known here, in the order in which they became known."""

from collections import OrderedDict
from collections.abc import Container
from itertools import islice

from asyncauth.db.feed import Record

KEPT = 10_000


class Changelog:
    """A bounded memory of changes, for loads that were under way when these became known."""

    def __init__(self) -> None:
        self.sequence = 0
        """How many changes became known so far."""
        self._recent: OrderedDict[int, Record] = OrderedDict()

    def add(self, record: Record) -> bool:
        """Note a change; False if it is known: both the follower and a load may bring it."""
        if record.id in self._recent:
            return False
        self.sequence += 1
        self._recent[record.id] = record
        if len(self._recent) > KEPT:
            self._recent.popitem(last=False)
        return True

    def restart(self) -> None:
        """Ids mean nothing any more; whatever is under way has missed something."""
        self.sequence += KEPT + 1
        self._recent.clear()

    def touches(self, user_id: int | None, role_ids: Container[int], *, since: int, but: Container[int]) -> bool:
        """Whether anything that became known after `since` changed that user (None: nobody) or one of those roles.

        Args:
            since: a former value of `sequence`.
            but: ids of records that do not count.
        """
        new = self.sequence - since
        if new > len(self._recent):
            return True
        newest = islice(reversed(self._recent.values()), new)
        return any(record.id not in but and _is_about(record, user_id, role_ids) for record in newest)


def _is_about(record: Record, user_id: int | None, role_ids: Container[int]) -> bool:
    match record.kind:
        case "user":
            return user_id is not None and (record.item is None or record.item == user_id)
        case "role":
            return record.item is None or record.item in role_ids
        case _:
            return True
