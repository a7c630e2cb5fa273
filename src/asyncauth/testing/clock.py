"""Time that passes when a test says so."""

import time
from dataclasses import dataclass

from asyncauth.clock import Clock


@dataclass(slots=True)
class _Hands:
    now: float
    elapsed: float = 0.0


class FakeClock(Clock):
    """A clock that stands still, for `memory_auth_manager(clock=…)` and `AuthManager(clock=…)`.

        clock = FakeClock()
        async with memory_auth_manager(clock=clock) as auth:
            await add_user(auth, "ada")
            token = await make_token(auth, "ada", lifetime_seconds=60)
            clock.advance(61 + auth.settings.jwt_leeway_seconds)  # `token` is refused from now on

    The database has its own clock, the real one: triggers date with it when a changed password or a switched-off user
    ends tokens. So let a fake clock start at the real time, and test those ends before it is advanced.

    Args:
        now: what time it is, in seconds since the epoch; None: the real time when the clock is made.
    """

    _hands: _Hands

    def __init__(self, now: float | None = None) -> None:
        hands = _Hands(time.time() if now is None else now)
        object.__setattr__(self, "_hands", hands)  # it is frozen, and what it shows is not
        super().__init__(lambda: hands.now, lambda: hands.elapsed)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; thread-safe as long as one thread does it.

        Raises:
            ValueError: fewer than none.
        """
        if seconds < 0:
            raise ValueError("time does not run backwards: make another FakeClock(now)")
        self._hands.now += seconds
        self._hands.elapsed += seconds
