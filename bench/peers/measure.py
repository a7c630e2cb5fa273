"""Others beside us: who is this, may this user."""

from bench.figures import Figure
from bench.peers import rules, who
from bench.sizes import Sizes


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """All of it, one after the other."""
    return [*await who.measure(url, sizes), *await rules.measure(url, sizes)]
