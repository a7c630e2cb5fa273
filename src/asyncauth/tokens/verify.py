"""Token text → Claims, or an error that says which rule it broke. Pure: no I/O, the time is an argument.

The issuer that a token names decides which keys, audiences and types count for it; the key id, which key; the key,
which algorithm (RFC 8725 sections 3.1, 3.8 and 3.9). A token chooses among what is configured and nothing else.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType

from asyncauth.errors import (
    AlgorithmError,
    ExpiredTokenError,
    ImmatureTokenError,
    IssuerError,
    MalformedTokenError,
    SignatureError,
    TokenTypeError,
)
from asyncauth.model import Claims, is_issuer
from asyncauth.tokens.claims import Rule
from asyncauth.tokens.cutoffs import STEPS
from asyncauth.tokens.gate import open_token
from asyncauth.tokens.keyset import KeyRing

_ABSENT = object()
_NOBODY: Mapping[str, Rule] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Seen:
    """A token that was verified, and what is remembered of it. Times in seconds."""

    claims: Claims
    begins: float
    """Since the epoch: before that its times are refused, and from `ends` on."""
    ends: float
    user_id: int = 0
    """Whose token it was found to be, neither revoked nor cut off. Only the id: a user who has changed is not kept in
    memory by the tokens that came before."""
    generation: int = -1
    """In which generation that was found; none yet."""
    until: float = 0.0
    """How long that holds, on the clock that runs through suspension, if nothing changes."""


class Verifier:
    """Verifies tokens of ours and of trusted issuers, and remembers what it verified until it expires, or a key goes.

    Args:
        ring: our own keys.
        issuers: accepted values of `iss`; empty: any.
        audiences: accepted values of `aud`; empty: any.
        leeway_seconds: tolerated difference of clocks.
        max_age_seconds: a token that was issued longer ago is refused; None: never for that.
        trusted: what holds for the tokens of each foreign issuer, by its `iss`.
        size: tokens remembered at most; size_bytes: the same in bytes of their text.
    """

    def __init__(
        self,
        ring: KeyRing,
        *,
        issuers: tuple[str, ...],
        audiences: tuple[str, ...],
        leeway_seconds: int,
        max_age_seconds: int | None = None,
        size: int,
        size_bytes: int,
        trusted: Mapping[str, Rule] = _NOBODY,
    ) -> None:
        self._own = Rule(ring, frozenset(audiences))
        self._issuers = frozenset(issuers)
        self._trusted = trusted
        self._leeway_seconds = leeway_seconds
        # A token issued in the second of cut-offs carries the one after the last of them.
        self._ahead_seconds = max(leeway_seconds, STEPS + 1)
        self._oldest_seconds = inf if max_age_seconds is None else max_age_seconds + leeway_seconds
        self.seen: OrderedDict[str, Seen] = OrderedDict()
        """By text, least recently verified first. To be read only, and not kept: `forget` puts another in its place."""
        self._seen_bytes = 0
        self._size = size
        self._size_bytes = size_bytes
        for rule in (self._own, *trusted.values()):
            rule.ring.forget.append(self.forget)

    def verify(self, token: object, now: float) -> Claims:
        """Verify a token at the time `now` (seconds since the epoch). The times are checked on every call.

        Raises:
            TokenError: the subclass says which rule the token broke.
            KeysUnavailableError: the keys of its issuer could not be fetched yet (503).
        """
        return self.see(token, now).claims

    def see(self, token: object, now: float) -> Seen:
        """As `verify`; with what is remembered of the token, which becomes the most recently used.

        Raises:
            TokenError, KeysUnavailableError: as `verify`.
        """
        if type(token) is not str:
            raise MalformedTokenError(f"a token is a str, not {type(token).__name__}")
        seen = self.seen.get(token)
        if seen is not None:
            self._check_times(seen, now)
            self.seen.move_to_end(token)
            return seen
        seen = self._seen(self._read(token))
        self._check_times(seen, now)
        self._remember(token, seen)
        return seen

    def read(self, token: object) -> Claims:
        """Verify all of a token but its times: to end it, when it may not be accepted yet or any more.

        Raises:
            TokenError, KeysUnavailableError: as `verify`.
        """
        if type(token) is not str:
            raise MalformedTokenError(f"a token is a str, not {type(token).__name__}")
        seen = self.seen.get(token)
        return self._read(token) if seen is None else seen.claims

    def is_over(self, claims: Claims, now: float) -> bool:
        """Whether they will be refused from now on whatever happens: nobody has to end them."""
        return claims.expires_at <= now - self._leeway_seconds or claims.issued_at <= now - self._oldest_seconds

    def _seen(self, claims: Claims) -> Seen:
        begins = max(claims.not_before - self._leeway_seconds, claims.issued_at - self._ahead_seconds)
        ends = min(claims.expires_at + self._leeway_seconds, claims.issued_at + self._oldest_seconds)
        return Seen(claims, float(begins), float(ends))

    def _check_times(self, seen: Seen, now: float) -> None:
        if seen.begins <= now < seen.ends:
            return
        claims, leeway = seen.claims, self._leeway_seconds
        if claims.expires_at <= now - leeway:
            raise ExpiredTokenError("exp has passed")
        if claims.not_before > now + leeway:
            raise ImmatureTokenError("nbf lies in the future")
        if claims.issued_at > now:
            raise ImmatureTokenError("iat lies in the future")
        raise ExpiredTokenError("iat lies too far in the past")

    def _read(self, token: str) -> Claims:
        opened = open_token(token)
        issuer = opened.members.get("iss", _ABSENT)
        rule = self._rule(issuer)
        key = rule.ring.get(opened.kid)
        if opened.algorithm != key.algorithm:
            raise AlgorithmError(f"the algorithm is not {key.algorithm}")
        if opened.typ not in rule.types:
            raise TokenTypeError("typ is not the configured one")
        if not key.verify(opened.signed, opened.signature):
            raise SignatureError("the signature does not match")
        return rule.read(opened.members, opened.members.get("iss"))

    def _rule(self, issuer: object) -> Rule:
        """Whose token it claims to be. Nobody has vouched for that yet: only that issuer's keys can."""
        if isinstance(issuer, str):
            rule = self._trusted.get(issuer)
            if rule is not None:
                return rule
            if issuer in self._issuers or (not self._issuers and is_issuer(issuer)):
                return self._own
        elif issuer is _ABSENT and not self._issuers:
            return self._own
        raise IssuerError("iss is missing, or not a configured or trusted issuer")

    def forget(self) -> None:
        """Forget all that was verified: a key has gone."""
        self.seen = OrderedDict()
        self._seen_bytes = 0

    def _remember(self, token: str, seen: Seen) -> None:
        self.seen[token] = seen
        self._seen_bytes += len(token)
        while len(self.seen) > self._size or self._seen_bytes > self._size_bytes:
            forgotten, _ = self.seen.popitem(last=False)
            self._seen_bytes -= len(forgotten)
