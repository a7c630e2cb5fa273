"""A token that is seen for the first time, by algorithm, and one that is refused. Floor: PyJWT's decode alone. Peer:
joserfc's, if it is installed."""

import base64
import json
import time
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from asyncauth.errors import TokenError
from asyncauth.tokens.gate import MAX_TOKEN_BYTES
from asyncauth.tokens.issue import Issuer
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.rotation import make_key
from asyncauth.tokens.verify import Verifier
from bench.figures import Figure
from bench.measure import Measure, Sample, interleaved, per_call
from bench.progress import say
from bench.sizes import Sizes

ALGORITHMS = ("HS256", "HS512", "RS256", "PS256", "ES256", "ES512", "EdDSA")
GATE_MICROSECONDS = 15
"""What the gate may add."""
NAME = "asyncauth-bench"
MEGABYTE = 1024 * 1024


async def measure(_url: str, sizes: Sizes) -> list[Figure]:
    """Each algorithm beside PyJWT, and the worst of hostile texts of each size."""
    keys = {algorithm: make_key(algorithm, 0) for algorithm in ALGORITHMS}
    calls = max(sizes.calls // 100, 1)
    ways = [_ours, _pyjwt, *_joserfc()]
    taken = [one(algorithm, key, calls) for algorithm, key in keys.items() for one in ways]
    refused = [_refusing(name, text, calls) for name, text in HOSTILE.items()]
    found = await interleaved(sizes.rounds, *taken, *refused)
    return [
        *(
            Figure(
                f"verify {algorithm}, not remembered",
                "µs",
                found[algorithm] * 1e6,
                found[f"pyjwt {algorithm}"] * 1e6 + GATE_MICROSECONDS,
                goal=f"PyJWT + {GATE_MICROSECONDS}",
                beside={"PyJWT": found[f"pyjwt {algorithm}"] * 1e6},
                peers={"joserfc": found[f"joserfc {algorithm}"] * 1e6} if len(ways) > 2 else {},
            )
            for algorithm in ALGORITHMS
        ),
        *(
            Figure(f"refuse {name}", "µs", found[name] * 1e6, 50 if len(text) > MAX_TOKEN_BYTES else 1000)
            for name, text in HOSTILE.items()
        ),
    ]


def _ring(key: Key) -> KeyRing:
    return KeyRing(KeySet([key]))


def _verifier(key: Key) -> Verifier:
    # Room for nothing: every token is seen for the first time.
    return Verifier(_ring(key), issuers=(NAME,), audiences=(NAME,), leeway_seconds=10, size=1, size_bytes=1)


def _ours(algorithm: str, key: Key, calls: int) -> Measure:
    verifier, now = _verifier(key), time.time()
    token = Issuer(_ring(key), NAME, NAME, 86_400).issue(7, now)

    async def work(count: int) -> None:
        for _ in range(count):
            verifier.verify(token, now)

    async def measure() -> Sample:
        return {algorithm: await per_call(calls, work)}

    return measure


def _pyjwt(algorithm: str, key: Key, calls: int) -> Measure:
    token = Issuer(_ring(key), NAME, NAME, 86_400).issue(7, time.time())

    async def work(count: int) -> None:
        for _ in range(count):
            jwt.decode(token, key.verifying, algorithms=[algorithm], issuer=NAME, audience=NAME)

    async def measure() -> Sample:
        return {f"pyjwt {algorithm}": await per_call(calls, work)}

    return measure


def _joserfc() -> list[Callable[[str, Key, int], Measure]]:
    try:
        library, jwk, errors = (import_module(f"joserfc.{name}") for name in ("jwt", "jwk", "errors"))
    except ImportError:
        say("joserfc is left out: install it with pip install --group peers")
        return []
    warnings.filterwarnings("ignore", category=errors.SecurityWarning)  # of "EdDSA", which others call Ed25519 by now

    def one(algorithm: str, key: Key, calls: int) -> Measure:
        token, known = Issuer(_ring(key), NAME, NAME, 86_400).issue(7, time.time()), _import_key(jwk, key)
        must: Mapping[str, Any] = {"essential": True, "value": NAME}
        claims = library.JWTClaimsRegistry(iss=must, aud=must, exp={"essential": True})

        async def work(count: int) -> None:
            for _ in range(count):
                claims.validate(library.decode(token, known, algorithms=[algorithm]).claims)

        async def measure() -> Sample:
            return {f"joserfc {algorithm}": await per_call(calls, work)}

        return measure

    return [one]


def _import_key(jwk: Any, key: Key) -> Any:
    if isinstance(key.verifying, (str, bytes)):
        return jwk.OctKey.import_key(key.verifying)
    kinds = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
    pem = key.verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return jwk.import_key(pem, kinds[key.algorithm[:2]])


def _refusing(name: str, text: str, calls: int) -> Measure:
    key = make_key("HS256", 0)
    verifier = _verifier(key)

    async def work(count: int) -> None:
        for _ in range(count):
            try:
                verifier.verify(text, 0)
            except TokenError:
                continue
            raise AssertionError("a hostile text was taken")

    async def measure() -> Sample:
        return {name: await per_call(min(calls, 200), work)}

    return measure


def _encode(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _filled(payload: bytes) -> str:
    return f"{_encode({'alg': 'HS256'})}.{_encode(payload)}.{'A' * 43}"


_ROOM = (MAX_TOKEN_BYTES - 80) * 3 // 4
HOSTILE = {
    "1 MB of text": "A" * MEGABYTE,
    "1 MB of dots": "." * MEGABYTE,
    "1 MB beyond ASCII": "é" * (MEGABYTE // 2),
    "8 KiB of dots": "." * MAX_TOKEN_BYTES,
    "8 KiB of nesting": _filled(b"[" * _ROOM),
    "8 KiB of pairs of brackets": _filled(b"[" + b"[]," * (_ROOM // 3 - 1) + b"[]]"),
    "8 KiB of open quotes": _filled(b'"\\' * (_ROOM // 2)),
    "8 KiB of digits": _filled(b'{"a":' + b"9" * (_ROOM - 6) + b"}"),
    "8 KiB of numbers": _filled(b'{"a":[' + b"9," * ((_ROOM - 10) // 2) + b"9]}"),
    "8 KiB of members": _filled(b"{" + b",".join(b'"%x":1' % number for number in range(_ROOM // 8 - 10)) + b"}"),
    "8 KiB of one member": _filled(b"{" + b'"a":1,' * (_ROOM // 6 - 2) + b'"a":1}'),
}
"""What takes longest of each kind; whatever it is, it is refused."""
