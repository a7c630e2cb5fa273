"""Keys: which kinds are taken, bound to one algorithm, and how weak ones are refused."""

import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.warnings import InsecureKeyLengthWarning

from asyncauth import Settings
from asyncauth.errors import ConfigurationError
from asyncauth.tokens.issue import Issuer
from asyncauth.tokens.keys import BadKeyError, Key, algorithms_of, load_key, load_public_key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.verify import Verifier

NAMED: dict[str, Any] = {"jwt_issuer": "here", "jwt_audience": "us"}
ADVICE = "python -c 'import secrets; print(secrets.token_urlsafe({}))'"
KINDS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "RSA": (lambda: rsa.generate_private_key(65537, 2048), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    "P-256": (lambda: ec.generate_private_key(ec.SECP256R1()), ("ES256",)),
    "P-384": (lambda: ec.generate_private_key(ec.SECP384R1()), ("ES384",)),
    "P-521": (lambda: ec.generate_private_key(ec.SECP521R1()), ("ES512",)),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate, ("EdDSA",)),
}
ALGORITHMS = [(kind, algorithm) for kind, (_, algorithms) in KINDS.items() for algorithm in algorithms]


def pem(private: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    """A private key as PEM, unencrypted."""
    data: bytes = private.private_bytes(Encoding.PEM, form, NoEncryption())
    return data


@pytest.fixture(scope="module")
def keys() -> dict[str, bytes]:
    """One PEM of each accepted kind."""
    return {kind: pem(generate()) for kind, (generate, _) in KINDS.items()}


def load(path: Path, data: bytes, **values: Any) -> Key:
    """The key that settings with this PEM file give."""
    path.write_bytes(data)
    return load_key(Settings(jwt_private_key_path=path, **NAMED, **values))


def refused(**values: Any) -> str:
    """The message with which a key is refused."""
    with pytest.raises(ConfigurationError) as caught:
        load_key(Settings(**NAMED, **values))
    return str(caught.value)


@pytest.mark.parametrize(("kind", "algorithm"), ALGORITHMS)
def test_each_kind_signs_and_verifies(tmp_path: Path, keys: dict[str, bytes], kind: str, algorithm: str) -> None:
    """Each algorithm that a kind of key can do signs tokens that verify; the first is its default."""
    chosen = {} if algorithm == KINDS[kind][1][0] else {"jwt_algorithm": algorithm}
    key = load(tmp_path / "key", keys[kind], **chosen)
    assert key.algorithm == algorithm
    ring = KeyRing(KeySet([key]))
    token = Issuer(ring, "here", "us", 60).issue(7, now=1000)
    verifier = Verifier(ring, issuers=("here",), audiences=("us",), leeway_seconds=0, size=1, size_bytes=9999)
    assert verifier.verify(token, now=1000).user_id == 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", ["HS256", "none", "RS256", "ES256", "ES384", "ES256K", "EdDSA", "rs256"])
def test_an_algorithm_that_does_not_fit_the_key_is_refused(
    tmp_path: Path, keys: dict[str, bytes], kind: str, algorithm: str
) -> None:
    """A key serves its own algorithms only, and the message names them."""
    if algorithm in KINDS[kind][1]:
        assert load(tmp_path / "key", keys[kind], jwt_algorithm=algorithm).algorithm == algorithm
        return
    with pytest.raises(ConfigurationError, match=f"does not go with the key .* use {KINDS[kind][1][0]}"):
        load(tmp_path / "key", keys[kind], jwt_algorithm=algorithm)


def test_a_key_in_a_file_has_the_name_in_the_settings(tmp_path: Path, keys: dict[str, bytes]) -> None:
    """Its tokens carry that."""
    assert load(tmp_path / "key", keys["P-256"], jwt_kid="mine").kid == "mine"


def test_old_pem_forms_are_read(tmp_path: Path) -> None:
    """`BEGIN RSA PRIVATE KEY` and `BEGIN EC PRIVATE KEY` are keys as well."""
    old = PrivateFormat.TraditionalOpenSSL
    assert load(tmp_path / "rsa", pem(rsa.generate_private_key(65537, 2048), old)).algorithm == "RS256"
    assert load(tmp_path / "ec", pem(ec.generate_private_key(ec.SECP256R1()), old)).algorithm == "ES256"


def test_a_short_rsa_key_is_refused(tmp_path: Path) -> None:
    """1024 bits are too few; the message says how to make a good key."""
    with pytest.raises(ConfigurationError, match="1024 bits, at least 2048 are needed; make one with: openssl genpkey"):
        load(tmp_path / "key", pem(rsa.generate_private_key(65537, 1024)))  # noqa: S505


def test_an_rsa_key_that_keeps_the_process_busy_is_refused() -> None:
    """Verifying takes as long as the key is, so one of an issuer has at most 8192 bits."""
    assert algorithms_of(rsa.RSAPublicNumbers(65537, 2**8191 + 1).public_key())[0] == "RS256"
    with pytest.raises(BadKeyError, match="is RSA of 8193 bits, at most 8192 are taken"):
        algorithms_of(rsa.RSAPublicNumbers(65537, 2**8192 + 1).public_key())


def test_other_kinds_of_keys_are_refused(tmp_path: Path) -> None:
    """Curves and kinds that no accepted algorithm uses are refused by name of those that are."""
    for private in (
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ):
        with pytest.raises(ConfigurationError, match="none of RSA, EC"):
            load(tmp_path / "key", pem(private))


def test_a_file_that_is_no_private_key_is_refused(tmp_path: Path, keys: dict[str, bytes]) -> None:
    """An encrypted key, a public key, rubbish, nothing and a missing file are one sentence each, without content."""
    private = ed25519.Ed25519PrivateKey.generate()
    encrypted = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary"))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (encrypted, public, b"canary", b"", b"\xff\x00", keys["RSA"][:-100], keys["RSA"][100:]):
        with pytest.raises(ConfigurationError, match="is not a PEM file with an unencrypted private key") as caught:
            load(tmp_path / "key", data)
        assert "canary" not in str(caught.value)
    assert "cannot be read: No such file" in refused(jwt_private_key_path=tmp_path / "missing")
    assert "cannot be read: Is a directory" in refused(jwt_private_key_path=tmp_path)


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64), (None, 64)])
def test_a_short_secret_is_refused(algorithm: str | None, size: int) -> None:
    """A secret has at least the size of the hash; the message says how to make one, and what it says is taken."""
    secret = secrets.token_urlsafe(size)[:size]
    assert load_key(Settings(jwt_secret=secret, jwt_algorithm=algorithm, **NAMED)).algorithm == (algorithm or "HS512")
    message = refused(jwt_secret=secret[:-1], jwt_algorithm=algorithm)
    assert f"has {size - 1} bytes" in message
    assert ADVICE.format(size) in message
    assert secret[:-1] not in message
    assert load_key(Settings(jwt_secret=secrets.token_urlsafe(size), jwt_algorithm=algorithm, **NAMED))


def test_a_secret_counts_in_bytes() -> None:
    """Characters beyond ASCII have more than one."""
    secret = "äöüßéèçñ" * 4
    assert load_key(Settings(jwt_secret=secret, **NAMED)).signing == secret.encode()


@pytest.mark.parametrize("secret", ["x" * 64, "abc" * 30, "0123456" * 10])
def test_a_secret_that_repeats_itself_is_refused(secret: str) -> None:
    """Length alone makes no secret."""
    message = refused(jwt_secret=secret)
    assert "different characters" in message
    assert ADVICE.format(64) in message
    assert secret not in message


@pytest.mark.parametrize(
    "secret",
    [
        f"-----BEGIN PUBLIC KEY-----\n{'MIIBIjANBgkqhkiG9w0BAQEF' * 4}\n-----END PUBLIC KEY-----",
        f"ssh-ed25519 {'AAAAC3NzaC1lZDI1NTE5AAAA' * 4} ada@example",
        '{"kty":"RSA","e":"AQAB","n":"' + "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78" * 2 + '"}',
    ],
    ids=["pem", "ssh", "jwk"],
)
def test_a_key_of_another_kind_is_no_secret(secret: str) -> None:
    """Perhaps a public one. PyJWT refuses it, but not before the first login."""
    assert "no secret" in refused(jwt_secret=secret)


def test_a_secret_that_is_no_text_is_refused() -> None:
    """A lone surrogate, as a broken environment variable gives, is one sentence and no UnicodeEncodeError."""
    assert "jwt_secret" in refused(jwt_secret="\ud800" + secrets.token_urlsafe(64))


@pytest.mark.parametrize("algorithm", ["none", "HS1", "hs256", "RS256", "EdDSA"])
def test_an_algorithm_that_does_not_fit_a_secret_is_refused(algorithm: str) -> None:
    """A secret serves HMAC only."""
    message = refused(jwt_secret=secrets.token_urlsafe(64), jwt_algorithm=algorithm)
    assert "does not go with jwt_secret: use one of HS256, HS384, HS512" in message


def test_no_key_at_all_is_refused() -> None:
    """The message names both ways to give one, and how to make one."""
    message = refused()
    assert "jwt_secret or jwt_private_key_path" in message
    assert ADVICE.format(64) in message


def test_a_key_does_not_show_itself(tmp_path: Path, keys: dict[str, bytes]) -> None:
    """The text of a key is its algorithm."""
    secret = secrets.token_urlsafe(64)
    assert secret not in repr(load_key(Settings(jwt_secret=secret, **NAMED)))
    assert repr(load(tmp_path / "key", keys["P-256"])) == "Key(algorithm='ES256', kid=None)"


@pytest.mark.parametrize("secret", ["16 random bytes.", "a" * 64])
def test_a_weak_secret_that_others_chose(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    """Taken only if somebody says so, with a warning that never holds it, and without another one at each token."""
    assert "make a good one" in refused(jwt_secret=secret)
    key = load_key(Settings(jwt_secret=secret, jwt_allow_weak_secret=True, **NAMED))
    assert "whoever guesses it can be anybody" in caplog.text
    assert secret not in caplog.text
    assert Issuer(KeyRing(KeySet([key])), "here", "us", 60).issue(1, 1000)


def test_what_is_no_secret_stays_refused(keys: dict[str, bytes]) -> None:
    """A PEM file in the place of a secret may be public."""
    assert "is a PEM file" in refused(jwt_secret=keys["RSA"].decode(), jwt_allow_weak_secret=True)
    assert "make a good one" in refused(jwt_secret="", jwt_allow_weak_secret=True)


def test_the_last_algorithm_of_an_issuer_will_do(tmp_path: Path) -> None:
    """If the key serves no other one."""
    path = tmp_path / "key.pem"
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for algorithms in (("RS256", "EdDSA"), ("EdDSA", "RS256"), ("EdDSA",)):
        assert load_public_key(path, algorithms).algorithm == "EdDSA"


def test_a_secret_of_eight_characters_with_the_name_that_the_settings_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight different ones are enough; PyJWT's warning is silenced, and no other."""
    monkeypatch.setattr(warnings, "filters", [])
    secret = "abcdefgh" * 8
    values = {"jwt_secret": secret, "jwt_issuer": "here", "jwt_audience": "us"}
    assert load_key(Settings(**values, jwt_kid="ours")).kid == "ours"
    assert load_key(Settings(**values)).kid is None
    assert warnings.filters == []
    load_key(Settings(**values | {"jwt_secret": "weak"}, jwt_allow_weak_secret=True))
    assert [category for _, _, category, _, _ in warnings.filters] == [InsecureKeyLengthWarning]
