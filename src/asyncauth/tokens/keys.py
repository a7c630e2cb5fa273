"""The key that signs and verifies, bound to exactly one algorithm (RFC 8725 section 3.1)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from asyncauth.errors import ConfigurationError
from asyncauth.settings import Settings

HMAC_MIN_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518 section 3.2: a key of at least the size of the hash output."""
RSA_MIN_BITS = 2048
"""RFC 7518 section 3.3."""
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its one algorithm. `signing` and `verifying` are the same object for HMAC."""

    algorithm: str
    signing: Any = field(repr=False)
    verifying: Any = field(repr=False)
    kid: str | None = None


def load_key(settings: Settings) -> Key:
    """Make the key that `settings` describe. Reads the PEM file: not on the event loop.

    Raises:
        ConfigurationError: no key, a weak one, or one that does not fit the algorithm.
    """
    if settings.jwt_private_key_path is not None:
        return _load_pem(settings.jwt_private_key_path, settings.jwt_algorithm, settings.jwt_kid)
    if settings.jwt_secret is not None:
        return _make_hmac(settings.jwt_secret, settings.jwt_algorithm or "HS512", settings.jwt_kid)
    raise ConfigurationError(f"no key for tokens: set jwt_secret or jwt_private_key_path; {_advice('HS512')}")


def _make_hmac(secret: str, algorithm: str, kid: str | None) -> Key:
    if algorithm not in HMAC_MIN_BYTES:
        known = ", ".join(HMAC_MIN_BYTES)
        raise ConfigurationError(f"jwt_algorithm {algorithm} does not go with jwt_secret: use one of {known}")
    try:
        key = secret.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"jwt_secret is not text in UTF-8; {_advice(algorithm)}") from None
    if len(key) < HMAC_MIN_BYTES[algorithm]:
        raise ConfigurationError(
            f"jwt_secret has {len(key)} bytes, {algorithm} needs at least {HMAC_MIN_BYTES[algorithm]}; "
            f"{_advice(algorithm)}"
        )
    if len(set(key)) < 8:
        raise ConfigurationError(f"jwt_secret repeats fewer than 8 different characters; {_advice(algorithm)}")
    return Key(algorithm, key, key, kid)


def _advice(algorithm: str) -> str:
    size = HMAC_MIN_BYTES[algorithm]
    return f"make a good one with: python -c 'import secrets; print(secrets.token_urlsafe({size}))'"


def _load_pem(path: Path, algorithm: str | None, kid: str | None) -> Key:
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError(f"jwt_private_key_path {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"jwt_private_key_path {path} is not a PEM file with an unencrypted private key"
        raise ConfigurationError(message) from None
    allowed = _algorithms_of(private, path)
    chosen = algorithm or allowed[0]
    if chosen not in allowed:
        message = f"jwt_algorithm {chosen} does not go with the key in {path}: use {' or '.join(allowed)}"
        raise ConfigurationError(message)
    return Key(chosen, private, cast("Any", private).public_key(), kid)


def _algorithms_of(private: object, path: Path) -> tuple[str, ...]:
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size < RSA_MIN_BITS:
            raise ConfigurationError(
                f"the RSA key in {path} has {private.key_size} bits, at least {RSA_MIN_BITS} are needed; "
                "make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072"
            )
        return _RSA
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return ("EdDSA",)
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return (_CURVES[private.curve.name],)
    raise ConfigurationError(f"the key in {path} is none of RSA, EC (P-256, P-384, P-521) and Ed25519")
