"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of rows, calls and rounds. What the goals speak of are the defaults."""

    rounds: int = 15
    calls: int = 20_000
    """Calls per round where one takes microseconds."""
    users: int = 10_000
    """Users in memory, of whom one is asked for at random."""
    cached_users: int = 100_000
    """Users in memory, whose memory is measured."""
    cold_roles: tuple[int, ...] = (5_000, 50_000)
    """Permissions of a cold role."""
    at_once: int = 200
    """Calls, or cold users with a role each, at once."""


QUICK = Sizes(rounds=1, calls=100, users=20, cached_users=50, cold_roles=(50, 500), at_once=10)
"""For a look at whether everything still runs: the figures mean nothing."""
