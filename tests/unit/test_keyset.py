"""Which key a token names, which one signs when, and what is forgotten when one goes."""

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from asyncauth.changes.consistency import Receipts
from asyncauth.errors import ConfigurationError, ConsistencyTokenError, KeysUnavailableError, UnknownKeyError
from asyncauth.tokens.issue import Issuer
from asyncauth.tokens.jwks import airflow_kid, thumbprint
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.rotation import make_key
from asyncauth.tokens.seals import Seals
from asyncauth.tokens.verify import Verifier

NOW = 1_700_000_000


def secret(kid: str | None = None, signs_from: int = 0) -> Key:
    """A new HMAC key."""
    key = secrets.token_bytes(64)
    return Key("HS512", key, key, kid, signs_from)


def verifier(ring: KeyRing) -> Verifier:
    """One that remembers."""
    return Verifier(ring, issuers=("here",), audiences=("us",), leeway_seconds=0, size=100, size_bytes=100_000)


def test_an_id_is_exact() -> None:
    """No other case, no prefix, no neighbour."""
    keys = KeySet([secret("a"), secret("b")])
    for kid in ("A", "", "ab", " a", "a ", "not-used", None):
        assert keys.find(kid) is None
    assert keys.find("a") is keys.keys[0]


def test_a_token_without_an_id_means_the_only_key() -> None:
    """Or the one that has no id itself; never one of several."""
    only, nameless = secret("a"), secret()
    assert KeySet([only]).find(None) is only
    assert KeySet([only, secret("b")]).find(None) is None
    assert KeySet([only, nameless]).find(None) is nameless


def test_a_nameless_key_answers_to_what_airflow_writes() -> None:
    """`not-used` for a secret; for a public key the digest of all its members, and that of RFC 7638."""
    nameless = secret()
    assert KeySet([nameless]).find("not-used") is nameless
    private = ed25519.Ed25519PrivateKey.generate()
    key = Key("EdDSA", private, private.public_key())
    for kid in (None, thumbprint(key.verifying), airflow_kid(key.verifying)):
        assert KeySet([key, secret("a")]).find(kid) is key
    assert KeySet([key]).find("not-used") is None
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    for name in (airflow_kid, thumbprint):
        assert name(key.verifying) != name(other)


@pytest.mark.parametrize(
    "keys",
    [
        (secret("a"), secret("a")),
        (secret(), secret()),
        (secret(), secret("not-used")),
        (make_key("EdDSA", 0), make_key("EdDSA", 0), secret("b"), secret("b")),
    ],
)
def test_two_keys_of_one_id_are_refused(keys: tuple[Key, ...]) -> None:
    """HMAC and asymmetric keys, or any two, never stand side by side for one id."""
    with pytest.raises(ConfigurationError, match="two keys have"):
        KeySet(keys)


def test_the_latest_that_has_begun_signs() -> None:
    """To the second. Before the first has begun, the first: somebody has to."""
    first, second, third = secret("a", NOW), secret("b", NOW + 10), secret("c", NOW + 20)
    keys = KeySet([third, first, second])
    for now, key in ((NOW - 5, first), (NOW, first), (NOW + 9.9, first), (NOW + 10, second), (NOW + 99, third)):
        assert keys.signing(now) is key


def test_tokens_name_the_key_that_signed_them() -> None:
    """Across a rotation all verify; when the first key goes, its tokens do, the remembered ones too."""
    first, second = secret("a", NOW), secret("b", NOW + 10)
    ring = KeyRing(KeySet([first, second]))
    issuer, verify = Issuer(ring, "here", "us", 1000), verifier(ring).verify
    old, new = issuer.issue(7, NOW), issuer.issue(7, NOW + 10)
    assert verify(old, NOW + 10).user_id == verify(new, NOW + 10).user_id == 7
    ring.replace(KeySet([second]))
    with pytest.raises(UnknownKeyError):
        verify(old, NOW + 10)
    assert verify(new, NOW + 10).user_id == 7


def test_another_key_of_the_same_id_is_another_key() -> None:
    """What was verified with the one before is not remembered."""
    ring = KeyRing(KeySet([secret("a")]))
    gate = verifier(ring)
    token = Issuer(ring, "here", "us", 1000).issue(7, NOW)
    gate.verify(token, NOW)
    ring.replace(KeySet([secret("a")]))
    assert not gate.seen
    with pytest.raises(Exception, match="signature"):
        gate.verify(token, NOW)


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_any_key_that_is_another_is_noticed(changed: int) -> None:
    """The first, the last and the one between."""
    keys = [replace(make_key("EdDSA", number), kid=str(number)) for number in range(3)]
    others = [*keys]
    others[changed] = replace(make_key("EdDSA", changed), kid=str(changed))
    assert KeySet(keys).keeps(KeySet(keys))
    assert not KeySet(others).keeps(KeySet(keys))
    assert not KeySet([key for key in keys if key is not keys[changed]]).keeps(KeySet(keys))


def test_a_key_that_comes_takes_nothing_away() -> None:
    """What is remembered stays, also when the same keys are read again."""
    first = secret("a")
    ring = KeyRing(KeySet([first, secret("b")]))
    gate = verifier(ring)
    gate.verify(Issuer(ring, "here", "us", 1000).issue(7, NOW), NOW)
    assert ring.keys is not None
    ring.replace(KeySet([*ring.keys.keys, secret("c", NOW + 10)]))
    ring.replace(KeySet(ring.keys.keys))
    assert len(gate.seen) == 1


def test_unknown_ids_are_a_hint_and_nothing_more() -> None:
    """Refused at once; the ring only notes that somebody ought to look."""
    ring = KeyRing(KeySet([secret("a")]))
    ring.get("a")
    assert not ring.wanted.is_set()
    with pytest.raises(UnknownKeyError):
        ring.get("b")
    assert ring.wanted.is_set()


def test_without_any_keys_nobody_can_know() -> None:
    """503, and not 401, as long as they could never be read."""
    with pytest.raises(KeysUnavailableError) as caught:
        KeyRing().get("a")
    assert caught.value.status == 503


def test_without_keys_no_seal_fits() -> None:
    """Neither of ours nor of anybody."""
    assert not Seals(KeyRing(), lambda: NOW, b"purpose").fits(b"0" * 16, b"content")


def test_keys_for_seals_are_derived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each set of keys, however many seals are made and checked: a private key has to be written out for it."""
    derived: list[Key] = []
    original = Key.derive

    def derive(key: Key, purpose: bytes) -> bytes:
        derived.append(key)
        return original(key, purpose)

    monkeypatch.setattr(Key, "derive", derive)
    first, second = secret("a"), secret("b")
    ring = KeyRing(KeySet([first]))
    seals = Seals(ring, lambda: NOW, b"purpose")
    for _ in range(3):
        assert seals.fits(seals.make(b"content"), b"content")
    ring.replace(KeySet([first, second]))
    assert seals.fits(seals.make(b"content"), b"content")
    assert derived == [first, first, second]


@pytest.mark.parametrize("issued_at", [NOW - 5, NOW + 1])
def test_a_token_is_dated_as_it_is_told(issued_at: int) -> None:
    """Not before a cut-off, and not after the login that it carries on; valid from now on or from then, and for as long
    from then."""
    ring = KeyRing(KeySet([secret()]))
    token = Issuer(ring, "here", "us", 1000).issue(7, NOW + 0.9, issued_at=issued_at)
    found = verifier(ring).verify(token, NOW)
    times = (found.issued_at, found.not_before, found.expires_at)
    assert times == (issued_at, min(NOW, issued_at), issued_at + 1000)


@pytest.mark.parametrize("make", [secret, lambda kid, signs_from: replace(make_key("ES256", signs_from), kid=kid)])
def test_receipts_outlive_a_rotation(make: Callable[[str, int], Key]) -> None:
    """Any key of ours, secret or private, reads what it made; one that is gone, or not ours, does not."""
    first, second = make("a", NOW), make("b", NOW + 10)
    ring = KeyRing(KeySet([first]))
    old = Receipts(ring, lambda: NOW).issue("epoch", 5)
    ring.replace(KeySet([first, second]))
    later = Receipts(ring, lambda: NOW + 10)
    new = later.issue("epoch", 6)
    assert old != new
    assert [later.read(token, "epoch") for token in (old, new)] == [5, 6]
    assert Receipts(KeyRing(KeySet([second])), lambda: NOW).read(new, "epoch") == 6
    ring.replace(KeySet([second]))
    for token, receipts in ((old, later), (new, Receipts(KeyRing(KeySet([first])), lambda: NOW))):
        with pytest.raises(ConsistencyTokenError):
            receipts.read(token, "epoch")
