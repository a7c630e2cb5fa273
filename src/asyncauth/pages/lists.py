"""Long lists: which part of one is asked for, and the links to the others."""

from dataclasses import dataclass

from asyncauth.pages.visit import Visit

_MAX_NUMBER = 1_000_000
MAX_SEARCH_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list, as its address asks for it."""

    search: str
    number: int
    """From 1 on."""
    size: int
    order: str

    @property
    def offset(self) -> int:
        """How many rows come before it."""
        return (self.number - 1) * self.size

    def last(self, total: int) -> int:
        """The number of the last part."""
        return max(1, -(-total // self.size))


def read_part(visit: Visit, orders: tuple[str, ...], size: int | None = None) -> Part:
    """What the address asks for; what makes no sense in it counts as not asked.

    Args:
        visit: of the list.
        orders: by which it can be ordered, the usual one first; each with `-` in front as well.
        size: rows; None: those of the options.
    """
    query = visit.request.query_params
    number, order = query.get("page", ""), query.get("order", "")
    known = order.removeprefix("-") in orders
    return Part(
        query.get("q", "").strip()[:MAX_SEARCH_LENGTH],
        max(1, min(int(number), _MAX_NUMBER)) if number.isascii() and number.isdigit() and len(number) < 8 else 1,
        size if size is not None else visit.site.options.page_size,
        order if known else orders[0],
    )
