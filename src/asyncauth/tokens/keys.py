"""Keys that sign and verify, each bound to exactly one algorithm (RFC 8725 section 3.1); weak ones are refused."""

import hashlib
import hmac
import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt import InvalidKeyError
from jwt.algorithms import get_default_algorithms
from jwt.warnings import InsecureKeyLengthWarning

from asyncauth.errors import ConfigurationError
from asyncauth.settings import Settings

security = logging.getLogger("asyncauth.security")
HMAC_MIN_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518 section 3.2: a key of at least the size of the hash output."""
RSA_MIN_BITS = 2048
"""RFC 7518 section 3.3."""
RSA_MAX_BITS = 8192
"""Verifying takes as long as the key is: a longer one is a way to keep this process busy."""
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


ALGORITHMS = get_default_algorithms()
"""Of PyJWT, which checks the signature itself."""


class BadKeyError(ValueError):
    """What is wrong with a key, in words that follow its name. Never holds any of its content."""


class WeakKeyError(BadKeyError):
    """It could be guessed."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its one algorithm. `signing` and `verifying` are the same object for HMAC; `signing` is None where
    only the public part is known."""

    algorithm: str
    signing: Any = field(repr=False)
    verifying: Any = field(repr=False)
    kid: str | None = None
    signs_from: int = field(default=0, repr=False)
    """Seconds since the epoch; until then it only verifies."""
    mark: bytes = field(init=False, repr=False)
    """Of the key's material: equal keys have equal ones. Never shown."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark", _mark(self.verifying))

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is one of these bytes, made with this key."""
        return ALGORITHMS[self.algorithm].verify(signed, self.verifying, signature)

    def derive(self, purpose: bytes) -> bytes:
        """A secret for another purpose, 32 bytes, that whoever can sign can make."""
        material = self.signing
        if not isinstance(material, bytes):
            material = material.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return hmac.digest(material, purpose, hashlib.sha256)


def _mark(verifying: Any) -> bytes:
    if not isinstance(verifying, bytes):
        verifying = verifying.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(verifying).digest()


def load_key(settings: Settings) -> Key:
    """Make the key that `settings` describe. Reads the PEM file: not on the event loop.

    Raises:
        ConfigurationError: no key, a weak one, or one that does not fit the algorithm.
    """
    if settings.jwt_private_key_path is not None:
        return _load_pem(settings.jwt_private_key_path, settings.jwt_algorithm, settings.jwt_kid)
    if settings.jwt_secret is not None:
        return _read_secret(settings, settings.jwt_secret)
    message = "no key for tokens: set jwt_secret or jwt_private_key_path, or jwt_keys_path for keys that rotate"
    raise ConfigurationError(f"{message}; {_advice('HS512')}")


def load_public_key(path: Path, algorithms: tuple[str, ...]) -> Key:
    """Read a PEM file with the public key of a foreign issuer. Not on the event loop.

    Raises:
        ConfigurationError: it cannot be read, is weak, or fits none of `algorithms`.
    """
    try:
        public = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"public_key_path {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"public_key_path {path} is not a PEM file with a public key") from None
    try:
        fitting = algorithms_of(public)
    except BadKeyError as error:
        raise ConfigurationError(f"the key in {path} {error}") from None
    chosen = next((algorithm for algorithm in algorithms if algorithm in fitting), None)
    if chosen is None:
        raise ConfigurationError(f"the key in {path} serves {' or '.join(fitting)}, none of which its issuer may use")
    return Key(chosen, None, public)


def _read_secret(settings: Settings, secret: str) -> Key:
    algorithm = settings.jwt_algorithm or "HS512"
    if algorithm not in HMAC_MIN_BYTES:
        known = ", ".join(HMAC_MIN_BYTES)
        raise ConfigurationError(f"jwt_algorithm {algorithm} does not go with jwt_secret: use one of {known}")
    try:
        key = secret.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"jwt_secret is not text in UTF-8; {_advice(algorithm)}") from None
    try:
        check_secret(key, algorithm)
    except BadKeyError as error:
        if not (settings.jwt_allow_weak_secret and key and isinstance(error, WeakKeyError)):
            raise ConfigurationError(f"jwt_secret {error}; {_advice(algorithm)}") from None
        security.warning("jwt_secret %s: whoever guesses it can be anybody; %s", error, _advice(algorithm))
        warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)  # PyJWT's, at each token
    return Key(algorithm, key, key, settings.jwt_kid)


def check_secret(key: bytes, algorithm: str) -> None:
    """Check an HMAC key.

    Raises:
        BadKeyError: it is weak; the text says how, after the name of the key.
    """
    if len(key) < HMAC_MIN_BYTES[algorithm]:
        raise WeakKeyError(f"has {len(key)} bytes, {algorithm} needs at least {HMAC_MIN_BYTES[algorithm]}")
    if len(set(key)) < 8:
        raise WeakKeyError("repeats fewer than 8 different characters")
    try:
        ALGORITHMS[algorithm].prepare_key(key)
    except InvalidKeyError:  # PyJWT would say so at the first login
        raise BadKeyError("is a PEM file, an SSH key or a JWK, perhaps a public one, and no secret") from None


def _advice(algorithm: str) -> str:
    size = HMAC_MIN_BYTES[algorithm]
    return f"make a good one with: python -c 'import secrets; print(secrets.token_urlsafe({size}))'"


def _load_pem(path: Path, algorithm: str | None, kid: str | None) -> Key:
    try:
        private: Any = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError(f"jwt_private_key_path {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"jwt_private_key_path {path} is not a PEM file with an unencrypted private key"
        raise ConfigurationError(message) from None
    public = private.public_key()
    try:
        allowed = algorithms_of(public)
    except BadKeyError as error:
        advice = "; make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072"
        raise ConfigurationError(f"the key in {path} {error}{advice}") from None
    chosen = algorithm or allowed[0]
    if chosen not in allowed:
        message = f"jwt_algorithm {chosen} does not go with the key in {path}: use {' or '.join(allowed)}"
        raise ConfigurationError(message)
    return Key(chosen, private, public, kid)


def algorithms_of(public: object) -> tuple[str, ...]:
    """The algorithms that a public key serves, the usual one first.

    Raises:
        BadKeyError: none, or it is weak; the text says how, after the name of the key.
    """
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < RSA_MIN_BITS:
            raise BadKeyError(f"is RSA of {public.key_size} bits, at least {RSA_MIN_BITS} are needed")
        if public.key_size > RSA_MAX_BITS:
            raise BadKeyError(f"is RSA of {public.key_size} bits, at most {RSA_MAX_BITS} are taken")
        return RSA
    if isinstance(public, ed25519.Ed25519PublicKey):
        return ("EdDSA",)
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return (_CURVES[public.curve.name],)
    raise BadKeyError("is none of RSA, EC (P-256, P-384, P-521) and Ed25519")
