"""Token text → Claims, or an error that says which rule it broke. Pure: no I/O, the time is an argument.

PyJWT checks the signature; the claims are checked here, because PyJWT takes `exp: "123"`, `iat: true`, a `sub` with a
NUL in it and the last of two `sub` members.
"""

import json
import re
from collections import OrderedDict
from math import inf
from typing import Any

from jwt import DecodeError, InvalidAlgorithmError, InvalidSignatureError, PyJWS, PyJWTError

from asyncauth.errors import ClaimError, ExpiredTokenError, ImmatureTokenError, MalformedTokenError, SignatureError
from asyncauth.model import Claims
from asyncauth.tokens.keys import Key

MAX_TOKEN_BYTES = 8 * 1024
MAX_ISSUER_BYTES = 255
_MAX_TIME = 2**53
# Before anything is decoded: base64 decoders differ in what else they let pass, and "=" would make second spellings.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# One text per user: with int(), which reads full-width digits and "01", two texts would name one user.
_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_JTI = re.compile(r"[!-~]{1,128}", re.ASCII)
_jws = PyJWS()


class Verifier:
    """Verifies against one key, and remembers what it verified until it expires.

    A new key, issuer or algorithm is a new Verifier, so nothing remembered outlives them.

    Args:
        issuers: accepted values of `iss`; empty: any.
        audiences: accepted values of `aud`; empty: any.
        leeway_seconds: tolerated difference of clocks.
        max_age_seconds: a token that was issued longer ago is refused; None: never for that.
        size: tokens remembered at most; size_bytes: the same in bytes of their text.
    """

    def __init__(
        self,
        key: Key,
        *,
        issuers: tuple[str, ...],
        audiences: tuple[str, ...],
        leeway_seconds: int,
        max_age_seconds: int | None = None,
        size: int,
        size_bytes: int,
    ) -> None:
        self._key = key
        self._issuers = issuers
        self._audiences = frozenset(audiences)
        self._leeway_seconds = leeway_seconds
        # A token issued in the second of a cut-off carries the next one.
        self._ahead_seconds = max(leeway_seconds, 1)
        self._oldest_seconds = inf if max_age_seconds is None else max_age_seconds + leeway_seconds
        self._seen: OrderedDict[str, Claims] = OrderedDict()
        self._seen_bytes = 0
        self._size = size
        self._size_bytes = size_bytes

    def verify(self, token: object, now: float) -> Claims:
        """Verify a token at the time `now` (seconds since the epoch). The times are checked on every call.

        Raises:
            TokenError: the subclass says which rule the token broke.
        """
        if type(token) is not str:
            raise MalformedTokenError(f"a token is a str, not {type(token).__name__}")
        claims = self._seen.get(token)
        if claims is not None:
            self._check_times(claims, now)
            self._seen.move_to_end(token)
            return claims
        claims = self._read(token)
        self._check_times(claims, now)
        self._remember(token, claims)
        return claims

    def _check_times(self, claims: Claims, now: float) -> None:
        leeway = self._leeway_seconds
        if claims.expires_at <= now - leeway:
            raise ExpiredTokenError("exp has passed")
        if claims.not_before > now + leeway:
            raise ImmatureTokenError("nbf lies in the future")
        if not now - self._oldest_seconds < claims.issued_at <= now + self._ahead_seconds:
            if claims.issued_at > now:
                raise ImmatureTokenError("iat lies in the future")
            raise ExpiredTokenError("iat lies too far in the past")

    def _read(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_BYTES:
            raise MalformedTokenError(f"longer than {MAX_TOKEN_BYTES} bytes")
        if _COMPACT.fullmatch(token) is None:
            raise MalformedTokenError("not three parts of base64url")
        try:
            payload: bytes = _jws.decode(token, self._key.verifying, algorithms=[self._key.algorithm])
            # As text, because of bytes json guesses the encoding: UTF-16 would pass, and a byte order mark.
            members = json.loads(payload.decode(), object_pairs_hook=_unique)
        except InvalidSignatureError:
            raise SignatureError("the signature does not match") from None
        except InvalidAlgorithmError:
            raise SignatureError(f"the algorithm is not {self._key.algorithm}") from None
        except (DecodeError, PyJWTError, ValueError, TypeError, RecursionError):
            raise MalformedTokenError("not a signed JSON object in compact form") from None
        if not isinstance(members, dict):
            raise MalformedTokenError("the payload is not a JSON object")
        return self._claims(members)

    def _claims(self, members: dict[str, Any]) -> Claims:
        self._check_audience(members.get("aud"))
        return Claims(
            user_id=parse_user_id(members.get("sub")),
            jti=_matching("jti", members.get("jti"), _JTI),
            issuer=self._issuer(members.get("iss")),
            issued_at=_time("iat", members),
            not_before=_time("nbf", members),
            expires_at=_time("exp", members),
            login_id=_matching("sid", members["sid"], _JTI) if "sid" in members else None,
        )

    def _issuer(self, issuer: object) -> str | None:
        if issuer is None and not self._issuers:
            return None
        if not isinstance(issuer, str) or (self._issuers and issuer not in self._issuers):
            raise ClaimError("iss is missing or not a configured issuer")
        if len(issuer.encode(errors="surrogatepass")) > MAX_ISSUER_BYTES or not issuer.isprintable():
            raise ClaimError("iss is too long or not printable")
        return issuer

    def _check_audience(self, audience: object) -> None:
        if not self._audiences:
            return
        # RFC 7519 section 4.1.3: one string, or an array of them of which one must be ours.
        given = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(one, str) for one in given) or self._audiences.isdisjoint(given):
            raise ClaimError("aud is missing or not a configured audience")

    def _remember(self, token: str, claims: Claims) -> None:
        self._seen[token] = claims
        self._seen_bytes += len(token)
        while len(self._seen) > self._size or self._seen_bytes > self._size_bytes:
            forgotten, _ = self._seen.popitem(last=False)
            self._seen_bytes -= len(forgotten)


def parse_user_id(subject: object) -> int:
    """Read `sub`: the decimal digits of a positive integer below 10^19, written in the one canonical way.

    Raises:
        ClaimError: it is anything else.
    """
    return int(_matching("sub", subject, _USER_ID))


def _matching(name: str, value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ClaimError(f"{name} is missing or not of the required form")
    return value


def _time(name: str, members: dict[str, Any]) -> int:
    """An integer number of seconds. JSON numbers with a fraction and `true` are no times here."""
    value = members.get(name)
    if type(value) is not int or not 0 <= value < _MAX_TIME:
        raise ClaimError(f"{name} is missing or not an integer number of seconds")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 section 4: refuse duplicate members. Parsers differ in which one they keep."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members
