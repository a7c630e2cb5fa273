"""`sid`: the login that a token comes from, and its end."""

import pytest

from asyncauth.errors import ClaimError
from asyncauth.generation import Generation
from asyncauth.tokens.issue import Issuer
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.revoked import Revocations
from tests.forge import AUDIENCE, ISSUER, NOW, claims, forge
from tests.unit.test_verify import HMAC, verifier


def test_it_arrives() -> None:
    """In the claims; a token without one belongs to no login."""
    assert verifier().verify(forge(claims(sid="ab" * 16)), NOW).login_id == "ab" * 16
    assert verifier().verify(forge(claims()), NOW).login_id is None
    token = Issuer(KeyRing(KeySet([HMAC])), ISSUER, AUDIENCE, 60).issue(7, NOW, login_id="l1", expires_at=NOW + 5)
    found = verifier().verify(token, NOW)
    assert (found.login_id, found.expires_at) == ("l1", NOW + 5)


@pytest.mark.parametrize("sid", [None, 5, "", " ", "x" * 129, "a\0", "é", ["a"], {}, True])
def test_its_form_is_that_of_jti(sid: object) -> None:
    """Anything else is refused, not ignored: a login that cannot be named cannot be ended."""
    with pytest.raises(ClaimError):
        verifier().verify(forge(claims(sid=sid)), NOW)


def test_a_login_ends_with_all_its_tokens() -> None:
    """And no other's: not of another login, of another issuer, or of none."""
    revoked = Revocations((ISSUER,), 10, Generation())
    revoked.own.add([((ISSUER, "login:l1"), NOW + 60)])
    everyone = verifier(issuers=(ISSUER, "second"))

    def ended(**changes: object) -> bool:
        return everyone.verify(forge(claims(**changes)), NOW) in revoked

    assert ended(sid="l1")
    assert ended(sid="l1", jti="another")
    assert not ended(sid="l2")
    assert not ended(sid="l1", iss="second")
    assert not ended()
    assert not ended(jti="l1")
