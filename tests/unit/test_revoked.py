"""The revoked tokens in memory: there as long as their tokens could pass, and not longer."""

from dataclasses import replace

from asyncauth.generation import Generation
from asyncauth.model import Claims, make_login_key
from asyncauth.tokens.revoked import Revocations, RevokedSet

HEX = "0123456789abcdef" * 2


def token(jti: str = HEX, issuer: str | None = "here") -> Claims:
    """The claims of a token with this name."""
    return Claims(user_id=1, jti=jti, issuer=issuer, issued_at=0, not_before=0, expires_at=100)


def test_a_revocation_lasts_as_long_as_the_token_is_accepted() -> None:
    """A token passes until `exp` plus the leeway, so its revocation stays until then, to the second."""
    revoked: RevokedSet[str] = RevokedSet(10, Generation())
    revoked.add([("a", 100)])
    for now in (0, 99, 100, 105, 109.999):
        revoked.purge(now)
        assert "a" in revoked.keys
    revoked.purge(110)
    assert "a" not in revoked.keys


def test_adding_twice_counts_once() -> None:
    """Every look may bring the same rows again, and one purge takes them away."""
    revoked: RevokedSet[str] = RevokedSet(0, Generation())
    revoked.add([("a", 100), ("a", 100)])
    revoked.add([("a", 100)])
    revoked.purge(100)
    assert "a" not in revoked.keys


def test_order_does_not_matter() -> None:
    """What expires first goes first, in whatever order it came."""
    revoked: RevokedSet[int] = RevokedSet(5, Generation())
    revoked.add((expiry, expiry) for expiry in (50, 10, 30, 20, 40))
    revoked.purge(30)
    assert [expiry for expiry in (10, 20, 30, 40, 50) if expiry in revoked.keys] == [30, 40, 50]


def test_a_late_one_is_kept_through_its_leeway() -> None:
    """A revocation that arrives when its token has expired already, but is still accepted, counts."""
    revoked: RevokedSet[str] = RevokedSet(10, Generation())
    revoked.add([("a", 100)])
    revoked.purge(105)
    revoked.add([("b", 101)])
    revoked.purge(105)
    assert "b" in revoked.keys
    revoked.purge(111)
    assert "b" not in revoked.keys


def test_a_clock_that_goes_back_takes_nothing_back() -> None:
    """What is revoked stays revoked."""
    revoked: RevokedSet[str] = RevokedSet(10, Generation())
    revoked.add([("a", 100)])
    revoked.purge(105)
    revoked.purge(50)
    assert "a" in revoked.keys


def test_a_flood_is_forgotten_in_the_end() -> None:
    """Nothing is left of a hundred thousand revocations once all have expired."""
    revoked: RevokedSet[int] = RevokedSet(1, Generation())
    revoked.add((number, number) for number in range(100_000))
    revoked.purge(200_000)
    revoked.purge(200_000)
    assert not any(vars(revoked)[name] for name in ("keys", "_by_expiry"))


def test_ours_are_named_by_issuer_and_id() -> None:
    """A token of another issuer with the same id is another token."""
    revoked = Revocations(("here", "there"), 10, Generation())
    revoked.own.add([(("here", "x"), 100)])
    assert token("x") in revoked
    assert token("x", "there") not in revoked
    assert token("x", None) not in revoked
    assert token("X") not in revoked


def test_airflows_are_named_by_id_alone() -> None:
    """Its table has no room for an issuer: it speaks of tokens of the configured issuers, and of those without one."""
    revoked = Revocations(("here", "there"), 10, Generation())
    revoked.airflow.add([(HEX, 100)])
    assert token() in revoked
    assert token(issuer="there") in revoked
    assert token(issuer=None) in revoked
    assert token(issuer="elsewhere") not in revoked


def test_airflows_last_as_long_as_their_tokens() -> None:
    """Until the expiry and the leeway, as ours do."""
    revoked = Revocations(("here",), 10, Generation())
    revoked.airflow.add([(HEX, 100)])
    revoked.purge(109)
    assert token() in revoked
    revoked.purge(110)
    assert token() not in revoked


def test_airflows_ids_are_one_whatever_their_case() -> None:
    """MariaDB's collation holds `AB` and `ab` for one key, so neither may pass when the other is revoked."""
    revoked = Revocations(("here",), 10, Generation())
    revoked.airflow.add([("AB", 100)])
    assert token("ab") in revoked
    assert token("aB") in revoked


def test_what_airflow_revokes_is_revoked_whatever_it_looks_like() -> None:
    """An id that we would not store there, but Airflow has, counts all the same."""
    revoked = Revocations(("here",), 10, Generation())
    revoked.airflow.add([("not-hex", 100)])
    assert token("not-hex") in revoked


def test_what_is_stored_in_airflows_table() -> None:
    """At most 32 hex digits, of a known issuer or none, expiring before its column ends; all else goes to ours."""
    revoked = Revocations(("here",), 10, Generation())
    assert revoked.fits_airflow(token())
    assert revoked.fits_airflow(token(issuer=None))
    assert revoked.fits_airflow(token(HEX.upper()))
    for jti in ("", HEX + "0", "xyz", "a-b", "\u0661", HEX[:-1] + "\n"):
        assert not revoked.fits_airflow(token(jti))
    assert not revoked.fits_airflow(token(issuer="elsewhere"))
    for expires_at, fits in ((2**31 - 1, True), (2**31, False), (2**53 - 1, False)):
        assert revoked.fits_airflow(replace(token(), expires_at=expires_at)) is fits


def test_a_revoked_login_takes_its_tokens_along() -> None:
    """All tokens of that login and issuer, and none of another one, whatever their own ids."""
    revoked = Revocations(("here",), 10, Generation())
    revoked.own.add([(make_login_key("here", "one"), 100)])
    assert all(replace(token(jti), login_id="one") in revoked for jti in (HEX, "other"))
    assert replace(token(), login_id="two") not in revoked
    assert replace(token(issuer="there"), login_id="one") not in revoked
    assert token() not in revoked
    assert token("one") not in revoked
    revoked.purge(110)
    assert replace(token(), login_id="one") not in revoked
