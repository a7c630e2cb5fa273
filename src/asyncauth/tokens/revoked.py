"""The revoked tokens that may still be valid, in memory."""

import heapq
import re
from collections.abc import Iterable
from typing import Generic, TypeVar

from asyncauth.generation import Generation
from asyncauth.model import Claims

K = TypeVar("K")
_AIRFLOW_JTI = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_AIRFLOW_LAST_EXPIRY = 2**31 - 1  # where TIMESTAMP of MariaDB and MySQL ends


class RevokedSet(Generic[K]):
    """Keys with the time at which each expires. A key stays for `leeway_seconds` after that, because its token does."""

    def __init__(self, leeway_seconds: int, generation: Generation) -> None:
        self._generation = generation
        self._leeway_seconds = leeway_seconds
        self.keys: set[K] = set()
        """The keys themselves, always this one set: it is asked for every request. To be read only."""
        self._by_expiry: list[tuple[int, K]] = []

    def add(self, rows: Iterable[tuple[K, int]]) -> None:
        """Add (key, expiry in seconds since the epoch) pairs. Nothing is ever taken back: a revocation is final."""
        for key, expires_at in rows:
            if key not in self.keys:
                self.keys.add(key)
                self._generation.end()
                heapq.heappush(self._by_expiry, (expires_at, key))

    def purge(self, now: float) -> None:
        """Forget what no longer matters at `now`."""
        while self._by_expiry and self._by_expiry[0][0] <= now - self._leeway_seconds:
            self.keys.discard(heapq.heappop(self._by_expiry)[1])


class _AirflowSet(RevokedSet[str]):
    """Ids in any case: on MariaDB and MySQL the collation of Airflow's column makes `ab` and `AB` one row."""

    def add(self, rows: Iterable[tuple[str, int]]) -> None:
        super().add((key.lower(), expires_at) for key, expires_at in rows)


class Revocations:
    """Both places where a revocation can stand: our table, by issuer and id; Airflow's, by id alone.

    Args:
        issuers: whose tokens Airflow's table speaks of, beside those without an issuer.
        leeway_seconds: how long after its expiry a token is still accepted.
        generation: ended with each revocation that becomes known. Forgetting one ends none: its token has expired.
    """

    def __init__(self, issuers: tuple[str, ...], leeway_seconds: int, generation: Generation) -> None:
        self._issuers = frozenset(issuers)
        self.own: RevokedSet[tuple[str, str]] = RevokedSet(leeway_seconds, generation)
        self.airflow: RevokedSet[str] = _AirflowSet(leeway_seconds, generation)

        self._own_keys, self._airflow_keys = self.own.keys, self.airflow.keys

    def __contains__(self, claims: Claims) -> bool:
        own = self._own_keys
        if claims.token_id in own or (claims.login_key is not None and claims.login_key in own):
            return True
        return claims.jti.lower() in self._airflow_keys and self._is_airflows(claims)

    def fits_airflow(self, claims: Claims) -> bool:
        """Whether Airflow's table can hold it: 32 characters for the id, a TIMESTAMP for the expiry, and no room for an
        issuer."""
        fits = claims.expires_at <= _AIRFLOW_LAST_EXPIRY and _AIRFLOW_JTI.fullmatch(claims.jti) is not None
        return fits and self._is_airflows(claims)

    def _is_airflows(self, claims: Claims) -> bool:
        return claims.issuer is None or claims.issuer in self._issuers

    def purge(self, now: float) -> None:
        """Forget what no longer matters at `now`."""
        self.own.purge(now)
        self.airflow.purge(now)
