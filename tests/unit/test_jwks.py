"""Key sets: what is taken, what is left out, what refuses the whole, and that no message shows a key."""

import json
import secrets
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from asyncauth.errors import ConfigurationError
from asyncauth.tokens.gate import MAX_KID_LENGTH
from asyncauth.tokens.jwks import _digest, parse_foreign, parse_own, private_jwk, public_jwk, thumbprint
from asyncauth.tokens.keys import Key
from asyncauth.tokens.rotation import KINDS, make_key
from tests.forge import encode

RSA = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True)
SHORT = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024), as_dict=True)  # noqa: S505
EC = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
OTHER_EC = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
ED = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
ED448 = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate(), as_dict=True)
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k"}
SECRET = encode(secrets.token_bytes(64))


def public(jwk: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The public part of a key; `...` leaves a member out."""
    members = {name: value for name, value in jwk.items() if name not in PRIVATE | {"key_ops"}} | more
    return {name: value for name, value in members.items() if value is not ...}


def private(jwk: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A key as our own file holds it; `...` leaves a member out."""
    members = {name: value for name, value in jwk.items() if name != "key_ops"} | {"kid": "a", **more}
    return {name: value for name, value in members.items() if value is not ...}


def foreign(*jwks: Any, algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")) -> tuple[Key, ...]:
    """What is read of a foreign issuer's set."""
    return parse_foreign(json.dumps({"keys": jwks}).encode(), algorithms)


def refused(data: object, *, own: bool = True) -> str:
    """The message with which a set is refused, in which no key shows."""
    raw = data if isinstance(data, bytes) else json.dumps({"keys": data}).encode()
    with pytest.raises(ConfigurationError) as caught:
        parse_own(raw) if own else parse_foreign(raw, ("RS256", "ES256", "EdDSA"))
    message = str(caught.value)
    for jwk in (RSA, SHORT, EC, ED, {"k": SECRET}):
        assert not any(str(jwk[name]) in message for name in PRIVATE & jwk.keys())
    return message


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_key_of_ours_is_written_and_read(algorithm: str) -> None:
    """Each kind comes back as it was, and its public part, if there is one, reads as a foreign key does."""
    key = make_key(algorithm, 1_700_000_000.7)
    (read,) = parse_own(json.dumps({"keys": [private_jwk(key)]}).encode())
    assert (read.algorithm, read.kid, read.signs_from, read.mark) == (algorithm, key.kid, 1_700_000_000, key.mark)
    written = private_jwk(key)
    assert written["use"] == "sig"
    assert "key_ops" not in written  # PyJWT says with RSA's what a key is for
    assert private_jwk(read) == written  # what signs is there, too
    shown = public_jwk(key)
    if algorithm.startswith("HS"):
        assert shown is None
        return
    assert shown is not None
    assert not (PRIVATE | {"key_ops"}) & shown.keys()
    assert (shown["use"], shown["alg"], shown["kid"]) == ("sig", algorithm, key.kid)
    (verifying,) = foreign(shown, algorithms=(algorithm,))
    assert (verifying.mark, verifying.kid, verifying.signing) == (key.mark, key.kid, None)


def test_the_name_that_others_see() -> None:
    """The key's own, else its thumbprint."""
    made = make_key("ES256", 0)
    for kid, shown in (("mine", "mine"), (None, thumbprint(made.verifying))):
        named = replace(made, kid=kid)
        public_, private_ = public_jwk(named), private_jwk(named)
        assert public_ is not None
        assert (public_["kid"], private_["kid"]) == (shown, kid)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": 5}', b'{"keys": [], "keys": []}', b"\xff"],
)
@pytest.mark.parametrize("own", [True, False])
def test_what_is_no_set_is_refused(data: bytes, own: bool) -> None:
    """A set is a JSON object with a list of keys, each member once."""
    assert "key" in refused(data, own=own)


@pytest.mark.parametrize("own", [True, False])
def test_what_is_no_set_is_called_one(own: bool) -> None:
    """In the words of who reads it."""
    assert refused(b"[", own=own).startswith("the key set is not a JSON object")


@pytest.mark.parametrize("own", [True, False])
def test_a_set_is_of_bounded_size(own: bool) -> None:
    """A hundred keys are plenty."""
    assert "1 to 100 keys" in refused([public(EC, kid=f"{n}") for n in range(101)], own=own)


def test_how_long_a_name_may_be() -> None:
    """As long as the one that a token may carry."""
    (key,) = foreign(public(EC, kid="x" * MAX_KID_LENGTH))
    assert key.kid == "x" * MAX_KID_LENGTH


def test_a_key_of_which_no_time_is_told() -> None:
    """Has signed since the beginning: another tool may have made the file."""
    (key,) = parse_own(json.dumps({"keys": [private(EC, alg="ES256")]}).encode())
    assert key.signs_from == 0


@pytest.mark.parametrize("jwk", [5, None, [], "a"])
def test_a_key_is_an_object(jwk: object) -> None:
    """Named by its number."""
    assert refused([private(EC, alg="ES256"), jwk]) == "key number 2 is not a JSON object"


OWN_FAULTS = [
    (private(EC, alg="ES256", kid=...), "key number 1 has no kid"),
    (private(EC, alg="ES256", kid=5), "key number 1 has a kid that is not text, empty or too long"),
    (private(EC, alg="ES256", kid=""), "key '' has a kid that is not text, empty or too long"),
    (private(EC, alg="ES256", kid="x" * 129), f"key '{'x' * 129}' has a kid that is not text, empty or too long"),
    (private(EC, alg="ES256", use="enc"), "key 'a' has a use or key_ops other than signatures"),
    (private(EC, alg="ES256", key_ops=["deriveKey"]), "key 'a' has a use or key_ops other than signatures"),
    (private(EC, alg="ES256", key_ops="sign"), "key 'a' has a use or key_ops other than signatures"),
    (private(EC, alg="ES384"), "key 'a' has an alg that does not go with its kty"),
    (private(EC, alg="HS256"), "key 'a' has an alg that does not go with its kty"),
    (private(EC), "key 'a' has an alg that does not go with its kty"),
    (private(RSA, alg="ES256"), "key 'a' has an alg that does not go with its kty"),
    (private(SHORT, alg="RS256"), "key 'a' is RSA of 1024 bits, at least 2048 are needed"),
    (private(ED448, alg="EdDSA"), "key 'a' is none of RSA, EC (P-256, P-384, P-521) and Ed25519"),
    (public(EC, alg="ES256", kid="a"), "key 'a' is public: a set that signs holds private keys"),
    (private({**EC, "d": OTHER_EC["d"]}, alg="ES256"), "key 'a' "),
    (private({**ED, "x": encode(bytes(32))}, alg="EdDSA"), "key 'a' "),
    (private(EC, alg="ES256", d=f"{EC['d']}="), "key 'a' is malformed"),
    (private(EC, alg="ES256", x=5), "key 'a' is malformed"),
    (private(EC, alg="ES256", crv="P-384"), "key 'a' is malformed"),
    (private(EC, alg="ES256", kty="XX"), "key 'a' is malformed"),
    (private(EC, alg="ES256", kty=...), "key 'a' is malformed"),
    (private(EC, alg="ES256", signs_from="soon"), "key 'a' has a signs_from that is no number of seconds"),
    (private(EC, alg="ES256", signs_from=-1), "key 'a' has a signs_from that is no number of seconds"),
    ({"kty": "oct", "kid": "a", "k": SECRET, "alg": "RS256"}, "key 'a' has an alg that does not go with its kty"),
    ({"kty": "oct", "kid": "a", "k": SECRET}, "key 'a' has an alg that does not go with its kty"),
    ({"kty": "oct", "kid": "a", "k": SECRET[:40], "alg": "HS256"}, "key 'a' has 30 bytes, HS256 needs at least 32"),
    ({"kty": "oct", "kid": "a", "k": "A" * 88, "alg": "HS256"}, "key 'a' repeats fewer than 8 different characters"),
    ({"kty": "oct", "kid": "a", "alg": "HS256"}, "key 'a' is malformed"),
]


@pytest.mark.parametrize(("jwk", "message"), OWN_FAULTS)
def test_a_bad_key_of_ours_is_named(jwk: dict[str, Any], message: str) -> None:
    """What signs our tokens is never left out silently: it refuses the set, with its name and what is wrong."""
    assert refused([jwk]).startswith(message)


FOREIGN_FAULTS = [
    (private(EC, alg="ES256"), "key 'a' is private"),
    (private(RSA), "key 'a' is private"),
    (private(RSA, use="enc"), "key 'a' is private"),
    ({"kty": "oct", "kid": "a", "k": SECRET, "alg": "HS256"}, "key 'a' is private"),
    (public(SHORT, kid="a"), "key 'a' is RSA of 1024 bits"),
    (public(EC, kid="a", alg="RS256"), "key 'a' has an alg that does not go with its kty"),
    (public(EC, kid="a", x=OTHER_EC["x"]), "key 'a' is malformed"),
    (public(EC, kid=5), "key number 1 has a kid"),
    (public(RSA, kid="a", n="AA" + RSA["n"]), "key 'a' "),
]


@pytest.mark.parametrize(("jwk", "message"), FOREIGN_FAULTS)
def test_a_bad_foreign_key_refuses_the_set(jwk: dict[str, Any], message: str) -> None:
    """One that is meant for us and weak, malformed or published with its private part."""
    assert refused([jwk, public(ED, kid="good")], own=False).startswith(message)


@pytest.mark.parametrize(
    "jwk",
    [
        public(RSA, kid="b", use="enc", alg="RSA-OAEP"),
        public(RSA, kid="b", key_ops=["encrypt"]),
        public(RSA, kid="b", alg="RS512"),
        public(RSA, kid="b", alg=5),
        public(ED448, kid="b"),
        public(ED448, kid="b", alg="EdDSA"),
        {**public(ED, kid="b"), "crv": "X25519"},
        {**public(EC, kid="b"), "crv": "secp256k1"},
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "b", "pub": "AAAA"},
        {"kid": "b"},
    ],
)
def test_what_is_for_something_else_is_left_out(jwk: dict[str, Any]) -> None:
    """RFC 7517 section 5: other kinds, uses and algorithms are nobody's business here. Alone they are no set."""
    assert [key.kid for key in foreign(jwk, public(EC, kid="good"))] == ["good"]
    assert "no key for RS256 or ES256 or EdDSA" in refused([jwk], own=False)


def test_a_key_without_an_algorithm_gets_the_first_that_fits() -> None:
    """One key serves one algorithm, which the configuration chooses then."""
    (key,) = foreign(public(RSA), algorithms=("ES256", "PS256", "RS256"))
    assert key.algorithm == "PS256"
    with pytest.raises(ConfigurationError, match="no key for ES256"):
        foreign(public(RSA), algorithms=("ES256",))


@pytest.mark.parametrize("name", ["n", "e", "d", "p", "q", "dp", "dq", "qi"])
def test_every_number_has_one_spelling(name: str) -> None:
    """None with padding, which PyJWT would take."""
    assert parse_own(json.dumps({"keys": [private(RSA, alg="RS256")]}).encode())
    assert refused([private(RSA, alg="RS256", **{name: RSA[name] + "="})]) == "key 'a' is malformed"


def test_a_secret_that_ends_with_any_letter_is_written_whole() -> None:
    """What pads base64 is cut off, and nothing else."""
    for last in range(64):
        secret = secrets.token_bytes(65) + bytes([last])
        (read,) = parse_own(json.dumps({"keys": [private_jwk(Key("HS512", secret, secret, "a"))]}).encode())
        assert read.verifying == secret


@pytest.mark.parametrize("operations", [["sign"], ["verify"], ["sign", "verify"], ["encrypt", "verify"]])
def test_either_half_of_signatures_will_do(operations: list[str]) -> None:
    """Who publishes a key says that it verifies, who keeps it that it signs."""
    (own,) = parse_own(json.dumps({"keys": [private(EC, alg="ES256", key_ops=operations)]}).encode())
    (other,) = foreign(public(EC, key_ops=operations))
    assert own.mark == other.mark


def test_a_hundred_keys_are_taken() -> None:
    """So many, and no more."""
    assert len(foreign(*(public(EC, kid=f"{n}") for n in range(100)))) == 100


def test_the_name_of_a_key_does_not_depend_on_the_order_of_its_members() -> None:
    """RFC 7638 section 3.3: they are sorted."""
    assert _digest({"kty": "OKP", "crv": "Ed25519"}) == _digest({"crv": "Ed25519", "kty": "OKP"})
