"""JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) ↔ `Key`."""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from asyncauth.errors import ConfigurationError, MalformedTokenError
from asyncauth.tokens.gate import MAX_KID_LENGTH, decode, read_object
from asyncauth.tokens.keys import HMAC_MIN_BYTES, BadKeyError, Key, algorithms_of, check_secret

SIGNS_FROM = "signs_from"
"""A member of ours, which RFC 7517 section 4 lets others ignore: from when a key signs, seconds since the epoch."""
MAX_KEYS = 100
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_BINARY = ("n", "e", "x", "y", "k", *sorted(_PRIVATE - {"k", "oth"}))
_READERS: dict[str, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
_CURVES = frozenset({"P-256", "P-384", "P-521", "Ed25519"})
# RFC 7638 section 3.2 and RFC 8037 section 2: what names a key, and nothing else.
_THUMBPRINT = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def parse_own(data: bytes) -> tuple[Key, ...]:
    """Read the set that signs our tokens: every key private or secret, with its own id and algorithm.

    Raises:
        ConfigurationError: a key is weak, public, for another use, or the set is none; the message names the key.
    """
    return tuple(_named(index, jwk, _own) for index, jwk in enumerate(_members(data)))


def parse_foreign(data: bytes, algorithms: tuple[str, ...]) -> tuple[Key, ...]:
    """Read the set of a foreign issuer: public keys. What is meant for another use or algorithm is left out, as
    RFC 7517 section 5 asks; what is meant for this one and bad refuses the set.

    Raises:
        ConfigurationError: a key is private, weak or malformed, or none is left; the message names the key.
    """
    read = (_named(index, jwk, lambda jwk: _foreign(jwk, algorithms)) for index, jwk in enumerate(_members(data)))
    keys = tuple(key for key in read if key is not None)
    if not keys:
        raise ConfigurationError(f"the key set holds no key for {' or '.join(algorithms)}")
    return keys


def public_jwk(key: Key) -> dict[str, Any] | None:
    """What others need to verify with a key of ours; None for a secret."""
    if isinstance(key.verifying, bytes):
        return None
    public = {**_to_jwk(key.verifying), "use": "sig", "alg": key.algorithm, "kid": key.kid or thumbprint(key.verifying)}
    public.pop("key_ops", None)
    return public


def private_jwk(key: Key) -> dict[str, Any]:
    """A key as the file of ours holds it."""
    if isinstance(key.signing, bytes):
        material = {"kty": "oct", "k": _encode(key.signing)}
    else:
        material = _to_jwk(key.signing)
        material.pop("key_ops", None)
    return {**material, "use": "sig", "alg": key.algorithm, "kid": key.kid, SIGNS_FROM: key.signs_from}


def thumbprint(public: Any) -> str:
    """The name that RFC 7638 gives a public key."""
    jwk = _to_jwk(public)
    return _digest({name: jwk[name] for name in _THUMBPRINT[jwk["kty"]]})


def airflow_kid(public: Any) -> str:
    """The name that Airflow's JWTGenerator gives a key without one: over all members, not only those of RFC 7638."""
    return _digest(_to_jwk(public))


def _digest(jwk: Mapping[str, Any]) -> str:
    text = json.dumps(jwk, separators=(",", ":"), sort_keys=True)
    return _encode(hashlib.sha256(text.encode()).digest())


def _members(data: bytes) -> list[Any]:
    try:
        keys = read_object(data, "key set").get("keys")
    except MalformedTokenError as error:
        raise ConfigurationError(str(error)) from None
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        raise ConfigurationError(f"a key set has the member keys: a list of 1 to {MAX_KEYS} keys")
    return keys


def _named(index: int, jwk: Any, read: Any) -> Any:
    """Read one key; what is wrong with it is told with its name, never with its content."""
    kid = jwk.get("kid") if isinstance(jwk, dict) else None
    name = f"key {kid!r}" if isinstance(kid, str) and kid.isprintable() else f"key number {index + 1}"
    try:
        return read(_checked(jwk))
    except (ValueError, TypeError, KeyError, PyJWTError, MalformedTokenError, UnsupportedAlgorithm) as error:
        reason = error if isinstance(error, BadKeyError) else "is malformed"
        raise ConfigurationError(f"{name} {reason}") from None


def _checked(jwk: Any) -> dict[str, Any]:
    if not isinstance(jwk, dict):
        raise BadKeyError("is not a JSON object")
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_LENGTH):
        raise BadKeyError("has a kid that is not text, empty or too long")
    return jwk


def _own(jwk: dict[str, Any]) -> Key:
    if jwk.get("kid") is None:
        raise BadKeyError("has no kid")
    _require_signing(jwk)
    signs_from = jwk.get(SIGNS_FROM, 0)
    if type(signs_from) is not int or signs_from < 0:
        raise BadKeyError(f"has a {SIGNS_FROM} that is no number of seconds")
    algorithm = jwk.get("alg")
    if jwk.get("kty") == "oct":
        if not isinstance(algorithm, str) or algorithm not in HMAC_MIN_BYTES:
            raise BadKeyError("has an alg that does not go with its kty")
        secret = decode(jwk["k"])
        check_secret(secret, algorithm)
        return Key(algorithm, secret, secret, jwk["kid"], signs_from)
    private = _read(jwk)
    if not hasattr(private, "public_key"):
        raise BadKeyError("is public: a set that signs holds private keys")
    return Key(_algorithm(jwk, private.public_key()), private, private.public_key(), jwk["kid"], signs_from)


def _foreign(jwk: dict[str, Any], algorithms: tuple[str, ...]) -> Key | None:
    known = jwk.get("kty") in _READERS and jwk.get("crv") in _CURVES | {None}
    if not known or not _is_for_signatures(jwk) or jwk.get("alg", algorithms[0]) not in algorithms:
        if _PRIVATE & jwk.keys():
            raise BadKeyError("is private: it is a secret no more")
        return None
    if _PRIVATE & jwk.keys():
        raise BadKeyError("is private: it is a secret no more")
    public = _read(jwk)
    fitting = algorithms_of(public)
    if jwk.get("alg") is not None:
        return Key(_algorithm(jwk, public), None, public, jwk.get("kid"))
    chosen = next((algorithm for algorithm in algorithms if algorithm in fitting), None)
    return None if chosen is None else Key(chosen, None, public, jwk.get("kid"))


def _algorithm(jwk: dict[str, Any], public: object) -> str:
    algorithm = jwk.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms_of(public):
        raise BadKeyError("has an alg that does not go with its kty")
    return algorithm


def _require_signing(jwk: dict[str, Any]) -> None:
    if not _is_for_signatures(jwk):
        raise BadKeyError("has a use or key_ops other than signatures")


def _is_for_signatures(jwk: dict[str, Any]) -> bool:
    """RFC 7517 sections 4.2 and 4.3: both may say what a key is for, and then both have to agree."""
    operations = jwk.get("key_ops", ["sign", "verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and bool({"sign", "verify"} & {*operations})


def _read(jwk: dict[str, Any]) -> Any:
    for name in _BINARY:
        if name in jwk:
            decode(jwk[name])  # one spelling, as in tokens
    key = _READERS[jwk["kty"]].from_jwk(jwk)
    public = key.public_key() if hasattr(key, "public_key") else key
    algorithms_of(public)
    names = _THUMBPRINT[jwk["kty"]]
    if _digest({name: jwk[name] for name in names}) != thumbprint(public):
        raise BadKeyError("has a public part that does not belong to the private one, or leading zeros")
    return key


def _to_jwk(key: Any) -> dict[str, Any]:
    reader: Any = OKPAlgorithm
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        reader = RSAAlgorithm
    elif isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        reader = ECAlgorithm
    jwk: dict[str, Any] = reader.to_jwk(key, as_dict=True)
    return jwk


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
