"""The members of a payload → Claims, each by type and range (RFC 7519 section 4.1).

They are checked here, because PyJWT takes `exp: "123"`, `iat: true` and a `sub` with a NUL in it.
"""

import re
from dataclasses import dataclass
from typing import Any

from asyncauth.errors import AudienceError, ClaimError, SubjectError
from asyncauth.model import Claims, Match
from asyncauth.tokens.keyset import KeyRing

MAX_NAME_LENGTH = 512
"""As long as a user name can be in the database."""
OWN_TYPES: frozenset[str | None] = frozenset({None, "JWT"})
"""RFC 7519 section 5.1."""
_MAX_TIME = 2**53
# One text per user: with int(), which reads full-width digits and "01", two texts would name one user.
_USER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_ID = re.compile(r"[!-~]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NameRule:
    """How the tokens of a foreign issuer name a user: the member `claim` equals our user's name or e-mail."""

    claim: str
    matches: Match


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the tokens of one issuer, and for nobody else's (RFC 8725 sections 3.8 to 3.12)."""

    ring: KeyRing
    audiences: frozenset[str]
    """Accepted values of `aud`; empty: any."""
    types: frozenset[str | None] = OWN_TYPES
    """Accepted values of `typ`; None: left out."""
    named: NameRule | None = None
    """None: our own tokens, in which `sub` is the id of a user."""

    def read(self, members: dict[str, Any], issuer: str | None) -> Claims:
        """Make claims of the members of a token whose signature holds.

        Raises:
            ClaimError: one is missing, of the wrong type or out of range.
        """
        self._check_audience(members.get("aud"))
        if self.named is not None:
            return _foreign(members, issuer, self.named)
        return Claims(
            user_id=parse_user_id(members.get("sub")),
            jti=_id("jti", members),
            issuer=issuer,
            issued_at=_time("iat", members),
            not_before=_time("nbf", members),
            expires_at=_time("exp", members),
            login_id=_id("sid", members) if "sid" in members else None,
        )

    def _check_audience(self, audience: object) -> None:
        if not self.audiences:
            return
        # RFC 7519 section 4.1.3: one string, or an array of them of which one must be ours.
        given = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(one, str) for one in given) or self.audiences.isdisjoint(given):
            raise AudienceError("aud is missing or not a configured audience")


def parse_user_id(subject: object) -> int:
    """Read `sub`: the decimal digits of a positive integer below 10^19, written in the one canonical way.

    Raises:
        SubjectError: it is anything else.
    """
    if not isinstance(subject, str) or _USER_ID.fullmatch(subject) is None:
        raise SubjectError("sub is missing or not the id of a user")
    return int(subject)


def _foreign(members: dict[str, Any], issuer: str | None, rule: NameRule) -> Claims:
    """`sub` is no id here, whatever it looks like: another issuer's user 1 is not ours. `sid` is no login of ours.

    RFC 9068 section 2.2 demands `iat` and `jti` of access tokens, and knows no `nbf`."""
    name = members.get(rule.claim)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise SubjectError(f"{rule.claim} is missing or no name of a user")
    # Who may type any address into a form at the issuer must not become whoever has it here.
    if rule.matches == "email" and members.get("email_verified") is not True:
        raise SubjectError("the issuer does not say that the e-mail is verified")
    return Claims(
        user_id=None,
        jti=_id("jti", members),
        issuer=issuer,
        issued_at=_time("iat", members),
        not_before=_time("nbf", members) if "nbf" in members else _time("iat", members),
        expires_at=_time("exp", members),
        name=name,
        matches=rule.matches,
    )


def _id(name: str, members: dict[str, Any]) -> str:
    value = members.get(name)
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise ClaimError(f"{name} is missing or not of the required form")
    return value


def _time(name: str, members: dict[str, Any]) -> int:
    """An integer number of seconds. JSON numbers with a fraction and `true` are no times here."""
    value = members.get(name)
    if type(value) is not int or not 0 <= value < _MAX_TIME:
        raise ClaimError(f"{name} is missing or not an integer number of seconds")
    return value
