"""What is fuzzed, and what has to hold for any input. Each target takes bytes and raises whatever is wrong.

INVARIANT: nothing comes out but a value that the specification allows, judged here with no code of asyncauth's, or one
of our own refusals of the right kind.
"""

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from tests.forge import AUDIENCE, HEADER, ISSUER, NOW, SECRET, claims, forge

from asyncauth.changes.consistency import Receipts
from asyncauth.errors import (
    ApiKeyError,
    ConfigurationError,
    ConsistencyTokenError,
    RefreshTokenError,
    TokenError,
)
from asyncauth.model import Claims
from asyncauth.passwords import MAX_HASH_MEMORY_BYTES, MAX_ITERATIONS, parse_scheme
from asyncauth.tokens.api_keys import join_key, read_scope, scope_keys, split_key, write_scope
from asyncauth.tokens.claims import NameRule, Rule
from asyncauth.tokens.jwks import parse_foreign, parse_own, private_jwk, public_jwk
from asyncauth.tokens.keys import RSA_MIN_BITS, Key, algorithms_of
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.refresh_tokens import hash_refresh_token
from asyncauth.tokens.verify import Verifier

EPOCH = "0d3f1a52-5d8e-4b0e-9f0a-2f6a8e6c2d11"
FOREIGN = "https://issuer.example"
ALGORITHMS = ("RS256", "ES256", "EdDSA")
_KEY = Key("HS512", SECRET.encode(), SECRET.encode())
_RING = KeyRing(KeySet([_KEY]))
# No real issuer shares a secret with us; here it lets the fuzzer reach the claims of foreign tokens.
_TRUSTED = {FOREIGN: Rule(_RING, frozenset({AUDIENCE}), named=NameRule("email", "email"))}
_RECEIPTS = Receipts(_RING, lambda: NOW)
GOOD = (
    forge(claims()),
    forge(claims(sid="ab", aud=[AUDIENCE, "x"]), {**HEADER, "kid": "not-used"}),
    forge(claims(iss=FOREIGN, sub="1", nbf=..., email="ada@example.org", email_verified=True)),
)
RECEIPT = _RECEIPTS.issue(EPOCH, 12345)
API_KEY = join_key(7, "A" * 43)
REFRESH_TOKEN = "rt_" + "A" * 43
Target = Callable[[bytes], None]


def judge(token: object) -> Claims | None:
    """Claims, or one of our refusals; anything else is raised. By a verifier that has seen nothing yet."""
    verifier = Verifier(
        _RING,
        issuers=(ISSUER,),
        audiences=(AUDIENCE,),
        leeway_seconds=10,
        max_age_seconds=1000,
        size=1,
        size_bytes=9999,
        trusted=_TRUSTED,
    )
    with suppress(TokenError):
        return verifier.verify(token, NOW)
    return None


def token(data: bytes) -> None:
    """Any text: nobody has the key, so only what we have signed is accepted, to the letter."""
    text = _text(data)
    assert judge(text) is None or text in GOOD


def signed(data: bytes) -> None:
    """Header and payload, a NUL between them, rightly signed: what a broken or malicious issuer may send."""
    header, _, payload = data.partition(b"\0")
    found = judge(forge(payload, header or HEADER))
    if found is not None:
        _check_header(_object(header) if header else dict(HEADER))
        check_claims(_object(payload), found)


def check_claims(said: dict[str, Any], found: Claims) -> None:
    """Whether claims may be made of these members (RFC 7519 section 4.1)."""
    foreign = said["iss"] == FOREIGN
    for name, value in (("iat", found.issued_at), ("nbf", found.not_before), ("exp", found.expires_at)):
        assert type(said.get(name, value)) is int
        assert 0 <= value < 2**53
        assert said.get(name, said["iat"] if foreign else None) == value
    assert said["exp"] > NOW - 10
    assert said.get("nbf", 0) <= NOW + 10
    assert NOW - 1010 < said["iat"] <= NOW + 10
    assert said["aud"] == AUDIENCE or (isinstance(said["aud"], list) and AUDIENCE in said["aud"])
    assert isinstance(said["jti"], str)
    assert re.fullmatch("[!-~]{1,128}", said["jti"])
    if foreign:
        assert (found.user_id, found.name, said["email_verified"]) == (None, said["email"], True)
        return
    assert (said["iss"], said["sub"], found.name) == (ISSUER, str(found.user_id), None)
    assert isinstance(said.get("sid", ""), str)


def _check_header(header: dict[str, Any]) -> None:
    assert header.keys() <= {"alg", "kid", "typ"}
    assert (header["alg"], header.get("typ", "JWT"), header.get("kid", "not-used")) == ("HS512", "JWT", "not-used")


def api_key(data: bytes) -> None:
    """One text for one key."""
    text = _text(data)
    with suppress(ApiKeyError):
        assert join_key(*split_key(text)) == text
    assert judge(text) is None or text in GOOD


def refresh_token(data: bytes) -> None:
    """One form, and its hash."""
    text = _text(data)
    with suppress(RefreshTokenError):
        assert len(hash_refresh_token(text)) == 64
        assert re.fullmatch("rt_[A-Za-z0-9_-]{43}", text)


def consistency_token(data: bytes) -> None:
    """Bytes that anybody may write into a header: only what we have made is read, as it was made."""
    text = _text(data)
    with suppress(ConsistencyTokenError):
        assert _RECEIPTS.read(text, EPOCH) == 12345
        assert _bytes(text) == _bytes(RECEIPT)


def key_set(data: bytes) -> None:
    """What an issuer, or a file, gives for a JWK set: no weak key, no private one of somebody else."""
    with suppress(ConfigurationError):
        keys = parse_foreign(data, ALGORITHMS)
        assert 0 < len(keys) <= 100
        for key in keys:
            assert key.signing is None
            assert key.algorithm in ALGORITHMS
            assert key.algorithm in algorithms_of(key.verifying)
            assert getattr(key.verifying, "key_size", RSA_MIN_BITS) >= (
                256 if key.algorithm == "ES256" else RSA_MIN_BITS
            )
            assert not {"d", "k", "p"} & (public_jwk(key) or {}).keys()
        with suppress(ConfigurationError):
            KeySet(keys)
    with suppress(ConfigurationError):
        written = json.dumps({"keys": [private_jwk(key) for key in parse_own(data)]}).encode()
        assert [private_jwk(key) for key in parse_own(written)] == json.loads(written)["keys"]


def stored(data: bytes) -> None:
    """What a row may hold: the method of a hash, and the scope of an API key."""
    text = _text(data)
    scheme = parse_scheme(text)
    if scheme is not None:
        assert scheme.memory_bytes <= MAX_HASH_MEMORY_BYTES
        assert scheme.iterations <= MAX_ITERATIONS
    with suppress(ValueError, RecursionError):  # as db/api_keys.py does, which refuses the key
        pairs = read_scope(text)
        assert read_scope(write_scope(pairs)) == pairs
        assert all(key.count("\0") == 1 for key in scope_keys(pairs))


TARGETS: tuple[Target, ...] = (token, signed, api_key, refresh_token, consistency_token, key_set, stored)


def run(data: bytes) -> None:
    """The first byte says which target gets the rest."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seeds() -> list[bytes]:
    """Good inputs of each target, to begin with."""
    header, payload = json.dumps({**HEADER, "kid": "not-used"}).encode(), json.dumps(claims()).encode()
    foreign = claims(iss=FOREIGN, nbf=..., email="ada@example.org", email_verified=True)
    given: dict[Target, list[bytes]] = {
        token: [good.encode() for good in GOOD],
        signed: [header + b"\0" + payload, b"\0" + payload, b"\0" + json.dumps(foreign).encode()],
        api_key: [API_KEY.encode()],
        refresh_token: [REFRESH_TOKEN.encode()],
        consistency_token: [RECEIPT.encode()],
        key_set: [json.dumps({"keys": keys}).encode() for keys in _key_sets()],
        stored: [b"scrypt:32768:8:1", b"pbkdf2:sha256:1000000", write_scope(()).encode(), b'[["can_read","DAG:etl"]]'],
    }
    return [bytes([TARGETS.index(target)]) + one for target, ones in given.items() for one in ones]


def words() -> list[str]:
    """What is worth putting somewhere: names and values that mean something, and JSON that is odd."""
    names = [
        *claims(),
        *HEADER,
        "sid",
        "email",
        "email_verified",
        "crit",
        "b64",
        "zip",
        "jwk",
        "jku",
        "kid",
        "cty",
        "keys",
    ]
    values = [
        ISSUER,
        AUDIENCE,
        FOREIGN,
        "none",
        "HS256",
        "at+jwt",
        "7",
        "ak_",
        "rt_",
        "scrypt:",
        "pbkdf2:",
        "sig",
        "enc",
    ]
    raw = [str(NOW), "true", "null", "[]", "{}", "1e400", "NaN", "-0", "9007199254740992", "\\ud800", "\\u0000", "."]
    return [f'"{name}":' for name in names] + [f'"{value}"' for value in values] + raw


def _key_sets() -> list[list[dict[str, Any]]]:
    # RFC 8037 appendix A.1, RFC 7515 appendix A.3.1, and a secret.
    okp = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    elliptic = {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }
    private = {**okp, "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "kid": "a", "alg": "EdDSA", "signs_from": 5}
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(bytes(range(64))).decode().rstrip("="), "kid": "b"}
    return [[okp, {**elliptic, "kid": "c", "use": "sig"}], [private, {**secret, "alg": "HS512"}]]


def _text(data: bytes) -> str:
    # Lone surrogates and all: what may come from somewhere else than a header.
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def _object(data: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), "a member twice"
        return dict(pairs)

    def never(_: str) -> NoReturn:
        raise AssertionError("not JSON")

    members = json.loads(data.decode("utf-8", "strict"), object_pairs_hook=unique, parse_constant=never)
    assert type(members) is dict
    return members
