"""The revoked tokens that may still be valid, in memory."""

import heapq
import re
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from asyncauth.model import Claims

K = TypeVar("K")
_AIRFLOW_JTI = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)


class RevokedSet(Generic[K]):
    """Keys with the time at which each expires. A key stays for `leeway_seconds` after that, because its token does."""

    def __init__(self, leeway_seconds: int) -> None:
        self._leeway_seconds = leeway_seconds
        self._keys: set[K] = set()
        self._unexpired: list[tuple[int, K]] = []
        self._leaving: deque[tuple[int, K]] = deque()

    def __contains__(self, key: K) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        """How many were unexpired at the last `purge`: what the same count in the database is compared with."""
        return len(self._unexpired)

    def add(self, rows: Iterable[tuple[K, int]]) -> None:
        """Add (key, expiry in seconds since the epoch) pairs. Nothing is ever taken back: a revocation is final."""
        for key, expires_at in rows:
            if key not in self._keys:
                self._keys.add(key)
                heapq.heappush(self._unexpired, (expires_at, key))

    def purge(self, now: float) -> None:
        """Forget what no longer matters at `now`."""
        while self._unexpired and self._unexpired[0][0] <= now:
            self._leaving.append(heapq.heappop(self._unexpired))
        while self._leaving and self._leaving[0][0] <= now - self._leeway_seconds:
            self._keys.discard(self._leaving.popleft()[1])


class Revocations:
    """Both places where a revocation can stand: our table, by issuer and id; Airflow's, by id alone.

    Args:
        issuers: whose tokens Airflow's table speaks of, beside those without an issuer.
        leeway_seconds: how long after its expiry a token is still accepted.
    """

    def __init__(self, issuers: tuple[str, ...], leeway_seconds: int) -> None:
        self._issuers = frozenset(issuers)
        self.own: RevokedSet[tuple[str, str]] = RevokedSet(leeway_seconds)
        self.airflow: RevokedSet[str] = RevokedSet(leeway_seconds)

    def __contains__(self, claims: Claims) -> bool:
        return claims.token_id in self.own or (claims.jti in self.airflow and self.is_airflow_shaped(claims))

    def is_airflow_shaped(self, claims: Claims) -> bool:
        """Whether Airflow's table can hold it: 32 characters for the id, and no room for an issuer."""
        known_issuer = claims.issuer is None or claims.issuer in self._issuers
        return known_issuer and _AIRFLOW_JTI.fullmatch(claims.jti) is not None

    def purge(self, now: float) -> None:
        """Forget what no longer matters at `now`."""
        self.own.purge(now)
        self.airflow.purge(now)
