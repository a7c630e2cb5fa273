"""Tokens changed at random, in their bytes, their JSON or their claims: nothing comes out but claims or our own errors,
and claims only where the specification allows them."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncauth.errors import TokenError
from asyncauth.model import Claims
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.verify import Verifier
from tests.forge import AUDIENCE, HEADER, ISSUER, NOW, SECRET, claims, forge

KEY = Key("HS512", SECRET.encode(), SECRET.encode())
GOOD = forge(claims())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["7", NOW, ISSUER, AUDIENCE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["sub", "jti", "iss", "aud", "iat", "nbf", "exp", "sid", "x"]) | st.text(max_size=4)
HEADERS = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip"]) | st.text(max_size=4)


def verify(token: object) -> Claims:
    """By a verifier that has seen nothing yet."""
    gate = Verifier(
        KeyRing(KeySet([KEY])), issuers=(ISSUER,), audiences=(AUDIENCE,), leeway_seconds=10, size=1, size_bytes=9999
    )
    return gate.verify(token, NOW)


def judge(token: object) -> Claims | None:
    """Claims, or one of our refusals; anything else is raised."""
    try:
        return verify(token)
    except TokenError:
        return None


@given(st.integers(0, len(GOOD) - 1), st.characters(), st.sampled_from(["replace", "insert", "delete", "cut"]))
def test_changed_characters(at: int, character: str, how: str) -> None:
    """Any single change of the text but none at all is noticed."""
    end = {"replace": character + GOOD[at + 1 :], "insert": character + GOOD[at:], "delete": GOOD[at + 1 :], "cut": ""}
    changed = GOOD[:at] + end[how]
    assert judge(changed) is None or changed == GOOD


@given(st.binary(max_size=300) | st.text(max_size=300) | st.none() | st.integers())
def test_anything(token: object) -> None:
    """Whatever it is."""
    assert judge(token) is None


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_rightly_signed(header: bytes, payload: bytes) -> None:
    """A signature over rubbish does not make it a token."""
    assert judge(forge(payload, header)) is None
    assert judge(forge(payload)) is None


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_changed_claims(changes: dict[str, Any]) -> None:
    """What is accepted has every claim by type and range, read with no code of ours."""
    said = claims() | changes
    with contextlib.suppress(UnicodeEncodeError):
        found = judge(forge(said))
        if found is not None:
            _check(said, found)


def _check(said: dict[str, Any], found: Claims) -> None:
    for name in ("iat", "nbf", "exp"):
        assert type(said[name]) is int
        assert 0 <= said[name] < 2**53
    assert said["sub"] == str(found.user_id)
    assert said["iss"] == ISSUER
    assert said["aud"] == AUDIENCE or AUDIENCE in said["aud"]
    assert isinstance(said["jti"], str)
    assert 0 < len(said["jti"]) <= 128
    assert isinstance(said.get("sid", ""), str)


@given(st.dictionaries(HEADERS, JSON, min_size=1, max_size=3))
def test_changed_headers(changes: dict[str, Any]) -> None:
    """Nothing but the three members, with the values that are configured."""
    header = HEADER | changes
    if judge(forge(claims(), header)) is not None:
        assert header.keys() <= {"alg", "kid", "typ"}
        assert (header["alg"], header.get("typ"), header.get("kid", "not-used")) == ("HS512", "JWT", "not-used")


@given(NAMES, st.integers(0, 6), JSON)
def test_a_second_member(name: str, at: int, value: Any) -> None:
    """Of any name that is there already, in any place."""
    said = claims()
    parts = [f"{json.dumps(key)}:{json.dumps(one)}" for key, one in said.items()]
    parts.insert(at, f"{json.dumps(name)}:{json.dumps(value)}")
    if name in said:
        assert judge(forge(f"{{{','.join(parts)}}}".encode())) is None


@pytest.mark.parametrize("part", [0, 1, 2])
@given(spare=st.integers(1, 15))
def test_other_spellings(part: int, spare: int) -> None:
    """The same bytes, written with other spare bits, are another text and no token."""
    parts = GOOD.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(parts[part][-1])
    bits = {2: 4, 3: 2}.get(len(parts[part]) % 4, 0)
    if not bits:
        return
    other = parts[part][:-1] + alphabet[last ^ (spare % (1 << bits) or 1)]
    assert base64.urlsafe_b64decode(other + "==") == base64.urlsafe_b64decode(parts[part] + "==")
    assert judge(".".join([*parts[:part], other, *parts[part + 1 :]])) is None
