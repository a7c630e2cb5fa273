"""What a manager says of itself, for health routes, metrics and people."""

from dataclasses import dataclass

from asyncauth.running import Running

__all__ = ["Status"]


@dataclass(frozen=True, slots=True)
class Status:
    """A moment's numbers. Counts are since the start; ages in seconds, None: never."""

    ready: bool
    trouble: str | None
    """Why it is not ready, or why the last look failed."""
    degraded: str | None
    """What works with weaker bounds just now; None: nothing."""
    missing_triggers: tuple[str, ...]
    proven_for_seconds: float
    """How much longer memory may be trusted without a new proof; 0: it may not."""
    seconds_since_proof: float | None
    seconds_since_push: float | None
    """Since the last wake-up by LISTEN or Redis."""
    listening: bool
    """Whether a push connection stands."""
    change_lag_seconds: float | None
    """How old the last change was when it became known here, by the database's clock and ours."""
    users: int
    """Entries in memory."""
    roles: int
    hits: int
    """Users answered from memory."""
    loads: int
    """Users read from the database."""
    changes: int
    """Records of the change log applied."""
    flushes: dict[str, int]
    """How often everything was dropped, by reason."""
    key_trouble: dict[str, str]
    """Why the last reading of keys failed, by issuer; `our own`: the file of ours. Those known before stay."""


def read_status(running: Running, elapsed: float) -> Status:
    """Ask the parts of a manager at the time `elapsed`."""
    follower, missing = running.follower, running.upkeep.missing
    proven_for = max(0.0, follower.proven_until - elapsed)
    users, roles = running.users.sizes
    return Status(
        ready=proven_for > 0,
        trouble=follower.trouble or (None if proven_for else "memory is not proven current"),
        degraded="no triggers" if missing else None,
        missing_triggers=tuple(missing),
        proven_for_seconds=proven_for,
        seconds_since_proof=_since(follower.proven_at, elapsed),
        seconds_since_push=_since(follower.pushed_at, elapsed),
        listening=any(waker.listening for waker in running.wakers),
        change_lag_seconds=follower.lag_seconds,
        users=users,
        roles=roles,
        hits=running.users.hits,
        loads=running.users.loads,
        changes=follower.records,
        flushes=dict(follower.flushes),
        key_trouble={one.name: one.trouble for one in running.keys.refreshes if one.trouble is not None},
    )


def _since(moment: float | None, elapsed: float) -> float | None:
    return None if moment is None else elapsed - moment
