"""Hostile tokens: each rule of the verifier, alone, against a token that is good but for that."""

import json
import string
import tracemalloc
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from asyncauth.errors import (
    AlgorithmError,
    AudienceError,
    ClaimError,
    ExpiredTokenError,
    HeaderError,
    ImmatureTokenError,
    IssuerError,
    MalformedTokenError,
    SignatureError,
    SubjectError,
    TokenError,
    TokenTooLongError,
    TokenTypeError,
    UnknownKeyError,
)
from asyncauth.model import Claims
from asyncauth.tokens.claims import parse_user_id
from asyncauth.tokens.gate import MAX_KID_LENGTH, MAX_TOKEN_BYTES, open_token
from asyncauth.tokens.issue import Issuer
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.verify import Verifier
from tests.forge import AUDIENCE, HEADER, ISSUER, NOW, SECRET, claims, encode, forge

HMAC = Key("HS512", SECRET.encode(), SECRET.encode())


def verifier(key: Key = HMAC, **changes: Any) -> Verifier:
    """A verifier of the tokens that `tests.forge` makes."""
    usual: dict[str, Any] = {"issuers": (ISSUER,), "audiences": (AUDIENCE,), "leeway_seconds": 10}
    return Verifier(KeyRing(KeySet([key])), **{**usual, "size": 100, "size_bytes": 1_000_000, **changes})


def refused(token: object, error: type[TokenError] = TokenError, *, now: float = NOW, **changes: Any) -> None:
    """Assert that a token is refused for the reason given, that the reason does not quote it, and that all is 401."""
    with pytest.raises(error) as caught:
        verifier(**changes).verify(token, now)
    assert caught.value.status == 401
    if isinstance(token, str) and token:
        assert token not in str(caught.value)


def test_a_good_token() -> None:
    """All claims of a good token arrive, with their types."""
    found = verifier().verify(forge(claims()), NOW)
    assert (found.user_id, found.jti, found.issuer) == (7, "ab12", ISSUER)
    assert (found.issued_at, found.not_before, found.expires_at) == (NOW, NOW, NOW + 60)
    assert found.token_id == (ISSUER, "ab12")


# ── the text ──


@pytest.mark.parametrize("token", [None, b"bytes", 5, 5.0, [], {}, object(), forge(claims()).encode()])
def test_only_text_is_a_token(token: object) -> None:
    """Whatever a caller hands in that is no `str` is refused as such."""
    refused(token, MalformedTokenError)


class Text(str):
    """A str that is not quite one."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def test_a_subclass_of_str_is_refused() -> None:
    """Something that may answer differently to every question is not looked up among the tokens remembered."""
    refused(Text(forge(claims())), MalformedTokenError)


GOOD = forge(claims())
HEAD, BODY, SIGNATURE = GOOD.split(".")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "....",
        HEAD,
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.",
        f"{HEAD}..{SIGNATURE}",
        f".{BODY}.{SIGNATURE}",
        f"{GOOD}.",
        f"{GOOD}.{SIGNATURE}",
        f"{HEAD}.{BODY}.{BODY}.{BODY}.{SIGNATURE}",
        f"{GOOD}=",
        f"{GOOD}==",
        f"{HEAD}=.{BODY}.{SIGNATURE}",
        f" {GOOD}",
        f"{GOOD} ",
        f"{GOOD}\n",
        f"{GOOD}\0",
        f"{HEAD}.\n{BODY}.{SIGNATURE}",
        f"Bearer {GOOD}",
        f"{GOOD}!!!!",
        f"{GOOD}é",
        f"{GOOD}\ud800",
        "\ud800",
        "\0",
        "é" * 1000,
        "\U0001f600.\U0001f600.\U0001f600",
        json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    ],
)
def test_texts_that_are_no_token(token: str) -> None:
    """Three parts of base64url, joined by dots, are a token; nothing before, after or between."""
    refused(token, MalformedTokenError)


def test_a_signature_has_one_spelling() -> None:
    """The last character of a part holds spare bits: other values of them are refused."""
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = alphabet.index(SIGNATURE[-1])
    for spare in range(1, 4):
        other = alphabet[last & ~3 | (last + spare) & 3]
        refused(f"{HEAD}.{BODY}.{SIGNATURE[:-1]}{other}")


def test_a_token_is_at_most_8_kib() -> None:
    """A token of the limit is read; one character more, or 8 MB, are refused before anything is decoded."""
    room = MAX_TOKEN_BYTES - len(forge(claims(pad="")))
    token = next(
        token
        for extra in range(room)
        if len(token := forge(claims(pad="x" * (room * 3 // 4 - 4 + extra)))) >= MAX_TOKEN_BYTES - 1
    )
    assert len(token) <= MAX_TOKEN_BYTES
    assert verifier().verify(token, NOW).user_id == 7
    refused(forge(claims(pad="x" * room)), TokenTooLongError)
    huge = forge(claims(pad="x" * 6_000_000))
    gate = verifier()
    tracemalloc.start()
    with pytest.raises(TokenTooLongError):
        gate.verify(huge, NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000  # bytes: it was not even copied


def test_limits_to_the_character() -> None:
    """What is as long as it may be is judged by what it holds; and the refusal says which part is wrong."""
    with pytest.raises(MalformedTokenError, match="not three parts"):
        open_token("A" * MAX_TOKEN_BYTES)
    with pytest.raises(TokenTooLongError):
        open_token("A" * (MAX_TOKEN_BYTES + 1))
    kid = "k" * MAX_KID_LENGTH
    assert open_token(forge(claims(), {**HEADER, "kid": kid})).kid == kid
    with pytest.raises(MalformedTokenError, match=r"^the header is not a JSON object$"):
        open_token(forge(claims(), []))
    with pytest.raises(MalformedTokenError, match=r"^the payload is not a JSON object$"):
        open_token(forge([]))


# ── the signature ──


def test_every_changed_bit_is_noticed() -> None:
    """A token with one character of any part changed is refused."""
    for position, character in enumerate(GOOD):
        if character != ".":
            other = "A" if character != "A" else "B"
            refused(f"{GOOD[:position]}{other}{GOOD[position + 1 :]}")


@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "NONE", "nOnE", "", "hs512", "HS256", "HS384", "RS512", "ES512", "EdDSA", None, 1, True],
)
def test_other_algorithms_are_refused(algorithm: object) -> None:
    """The header does not choose: whatever it names but the one algorithm is refused, signed rightly or not at all."""
    header = {**HEADER, "alg": algorithm}
    refused(forge(claims(), header), AlgorithmError)
    refused(forge(claims(), header, digest="sha256"), AlgorithmError)
    refused(f"{encode(header)}.{encode(claims())}.")


@pytest.mark.parametrize("header", [{"typ": "JWT"}, [], "HS512", 5, None, b"", b"{", b"\xff", {"alg": ["HS512"]}])
def test_headers_that_are_none(header: object) -> None:
    """A header is a JSON object that names the algorithm."""
    refused(forge(claims(), header))


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"crit": []},
        {"kid": 5},
        {"kid": ["a"]},
        {"kid": {}},
    ],
)
def test_headers_that_ask_for_more(extra: dict[str, object]) -> None:
    """Extensions that change how a token is read are refused, and so is a key id that is no text."""
    refused(forge(claims(), {**HEADER, **extra}))


@pytest.mark.parametrize("kid", ["", "../../etc/passwd", "' OR 1=1", "x" * 3000, "\0", "http://127.0.0.1/keys"])
def test_an_unknown_key_id_is_refused(kid: str) -> None:
    """The id is looked up, exactly, among the keys at hand; whatever else it might mean to somebody, it is unknown."""
    error = UnknownKeyError if len(kid) <= MAX_KID_LENGTH else HeaderError
    refused(forge(claims(), {**HEADER, "kid": kid}), error)
    refused(forge(claims(), {**HEADER, "kid": kid}, secret="another"), error)


def test_a_key_without_a_name_answers_to_airflows() -> None:
    """Airflow writes `not-used` where no id is configured; a key that has an id answers to nothing else, but for tokens
    without any as long as it is the only one."""
    token = forge(claims(), {**HEADER, "kid": "not-used"})
    assert verifier().verify(token, NOW).user_id == 7
    named = Key("HS512", SECRET.encode(), SECRET.encode(), "one")
    refused(token, UnknownKeyError, key=named)
    refused(forge(claims(), {**HEADER, "kid": "One"}), UnknownKeyError, key=named)
    assert verifier(named).verify(forge(claims(), {**HEADER, "kid": "one"}), NOW).user_id == 7
    assert verifier(named).verify(forge(claims()), NOW).user_id == 7


@pytest.mark.parametrize("secret", ["", "another", SECRET[:-1], f"{SECRET} ", SECRET.upper()])
def test_another_secret_is_refused(secret: str) -> None:
    """Only the configured secret signs, and a key inside the header counts for nothing."""
    refused(forge(claims(), secret=secret), SignatureError)


@pytest.mark.parametrize(
    "extra",
    [
        {"jwk": {"kty": "oct", "k": encode(SECRET.encode())}},
        {"jku": "http://127.0.0.1/keys"},
        {"x5u": "http://127.0.0.1/keys"},
        {"x5c": ["MIIB"]},
        {"x5t": "aa"},
        {"x5t#S256": "aa"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A256GCM"},
        {"b64": True},
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": None},
        {"exp": NOW},
        {"": 1},
        {"Alg": "none"},
    ],
)
def test_a_header_brings_nothing_of_its_own(extra: dict[str, object]) -> None:
    """Keys, places of keys, compression, extensions, anything but the three known members: refused, rightly signed as
    the token is."""
    refused(forge(claims(), {**HEADER, **extra}), HeaderError)


@pytest.mark.parametrize("typ", ["jwt", "JWT ", "at+jwt", "JOSE", "dpop+jwt", ""])
def test_another_type_is_another_kind_of_token(typ: str) -> None:
    """Ours say JWT or nothing."""
    refused(forge(claims(), {**HEADER, "typ": typ}), TokenTypeError)


@pytest.mark.parametrize("typ", [None, 5, ["JWT"], "x" * 129])
def test_a_type_is_short_text(typ: object) -> None:
    """Or there is none."""
    refused(forge(claims(), {**HEADER, "typ": typ}), HeaderError)
    assert verifier().verify(forge(claims(), {"alg": "HS512"}), NOW).user_id == 7


@pytest.mark.parametrize("kid", [None, 5, ["a"], {}, True, "x" * 129])
def test_a_key_id_is_short_text(kid: object) -> None:
    """Or there is none."""
    refused(forge(claims(), {**HEADER, "kid": kid}), HeaderError)


def test_a_public_key_is_no_secret() -> None:
    """HMAC made with the text of the public key, in any form, does not pass where RSA or ECDSA is expected."""
    for private, algorithm in (
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
    ):
        key = Key(algorithm, private, private.public_key())
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for secret in (pem, pem.strip(), b"\xef\xbb\xbf" + pem, b" " + pem, der):
            for named in ("HS256", algorithm):
                refused(forge(claims(), {**HEADER, "alg": named}, secret=secret, digest="sha256"), key=key)


def test_a_second_signature_of_the_same_token_is_the_same_token() -> None:
    """ECDSA signatures have two forms: both verify, and give the id under which the token is revoked."""
    private = ec.generate_private_key(ec.SECP256R1())
    key = Key("ES256", private, private.public_key())
    head, body, signature = jwt.encode(claims(), private, "ES256").split(".")
    raw = jwt.utils.base64url_decode(signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
    twin = f"{head}.{body}.{encode(raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32))}"
    gate = verifier(key)
    assert twin != f"{head}.{body}.{signature}"
    assert gate.verify(twin, NOW).token_id == gate.verify(f"{head}.{body}.{signature}", NOW).token_id


# ── the payload ──


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "text",
        5,
        None,
        True,
        [claims()],
        b"",
        b"{",
        b"\xff",
        b"{} {}",
        json.dumps(claims()).encode("utf-16"),
        json.dumps(claims()).encode("utf-16-le"),
        json.dumps(claims()).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
        json.dumps(claims()).encode()[:-1] + b', "x": ' + b"9" * 5000 + b"}",
    ],
)
def test_payloads_that_are_none(payload: object) -> None:
    """A payload is one JSON object in UTF-8, without numbers too long to read."""
    refused(forge(payload), MalformedTokenError)


@pytest.mark.parametrize("payload", [b"[" * 2900 + b"]" * 2900, b'{"a":' * 1000 + b"1" + b"}" * 1000, b"[" * 6000])
def test_deep_payloads(payload: bytes) -> None:
    """Nesting that is too deep for the parser is a refusal and no RecursionError, in the header as well."""
    refused(forge(payload), MalformedTokenError)
    refused(forge(claims(), payload), MalformedTokenError)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"]]]":', "}]")])
def test_nesting_to_the_level(opening: str, closing: str) -> None:
    """32 levels, the payload counted, are read, and not 33; brackets in texts and side by side are no levels."""
    marks = opening.count("[") + opening.count("{")
    wide = json.dumps(["[" * 500, '\\"[{', *[[]] * 100])
    for levels, taken in ((31, True), (32, False)):
        text = f"{opening * (levels // marks)}{'[]' if levels % marks else '1'}{closing * (levels // marks)}"
        token = forge(f'{json.dumps(claims())[:-1]}, "wide": {wide}, "deep": {text}}}'.encode())
        if taken:
            assert verifier().verify(token, NOW).user_id == 7
        else:
            refused(token, MalformedTokenError)


@pytest.mark.parametrize("name", ["sub", "exp", "jti", "iss", "aud", "iat", "nbf", "other"])
def test_a_member_appears_once(name: str) -> None:
    """Two members of one name are refused, even if they are equal: parsers differ in which one they keep."""
    text = json.dumps(claims(other=1))
    value = json.dumps(claims(other=1)[name])
    refused(forge(f'{text[:-1]}, "{name}": {value}}}'.encode()), MalformedTokenError)
    escaped = "".join(f"\\u{ord(character):04x}" for character in name)
    refused(forge(f'{text[:-1]}, "{escaped}": {value}}}'.encode()), MalformedTokenError)
    refused(forge(f'{text[:-1]}, "deep": {{"a": 1, "a": 2}}}}'.encode()), MalformedTokenError)


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        ...,
        None,
        True,
        False,
        float(NOW + 5),
        NOW + 0.5,
        str(NOW),
        f" {NOW} ",
        "".join(chr(0x660 + int(digit)) for digit in str(NOW)),  # Arabic digits
        "1_700_000_000",
        "",
        [NOW],
        {"a": NOW},
        -1,
        2**53,
        10**400,
    ],
)
def test_times_are_plain_integers(name: str, value: object) -> None:
    """Seconds since the epoch as an integer of JSON from 0 to 2^53 - 1, always there; nothing else is a time."""
    refused(forge(claims(**{name: value})), ClaimError)


@pytest.mark.parametrize("name", ["exp", "iat", "nbf", "other"])
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_know(name: str, text: str) -> None:
    """Python's parser reads them; RFC 8259 section 6 has no such thing."""
    payload = json.dumps(claims(**{name: ...}))[:-1] + f', "{name}": {text}}}'
    refused(forge(payload.encode()), MalformedTokenError)


@pytest.mark.parametrize("text", ["1.7e9", "1700000000.0", "17e8", "1E9", "1e400", "-0.0"])
def test_numbers_with_a_fraction_or_an_exponent_are_no_times(text: str) -> None:
    """However whole their value."""
    payload = json.dumps(claims(nbf=...))[:-1] + f', "nbf": {text}}}'
    refused(forge(payload.encode()), ClaimError)


def test_the_largest_time_is_taken() -> None:
    """2^53 - 1 is the last second that every JSON parser reads exactly."""
    assert verifier().verify(forge(claims(exp=2**53 - 1)), NOW).expires_at == 2**53 - 1


SUBJECTS = [
    ...,
    None,
    7,
    7.0,
    True,
    ["7"],
    "",
    "0",
    "-7",
    "+7",
    "07",
    " 7",
    "7 ",
    "7\n",
    "7\0",
    "7.0",
    "7e0",
    "1_0",
    "0x7",
    "seven",
    "\uff17",  # full-width 7
    "\u0667",  # Arabic 7
    "²",
    "\ud800",
    "1" * 20,
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_has_one_spelling(subject: object) -> None:
    """The decimal digits of a positive integer: two texts never name one user."""
    refused(forge(claims(sub=subject)), SubjectError)
    if subject is not ...:
        with pytest.raises(ClaimError):
            parse_user_id(subject)


@pytest.mark.parametrize("user_id", [1, 7, 10, 2**31 - 1, 2**63 - 1, 10**19 - 1])
def test_user_ids_are_read(user_id: int) -> None:
    """Any id of up to 19 digits."""
    assert verifier().verify(forge(claims(sub=str(user_id))), NOW).user_id == user_id


@pytest.mark.parametrize(
    "jti", [..., None, "", 5, True, ["a"], "a b", "a\n", "a\0", "é", "\ud800", "\x7f", "x" * 129, " "]
)
def test_token_ids_that_are_refused(jti: object) -> None:
    """A token that cannot be named in a revocation is no token."""
    refused(forge(claims(jti=jti)), ClaimError)


@pytest.mark.parametrize("jti", ["a", "0", "x" * 128, "6f1c-9!~/+=:'\"", "AB"])
def test_token_ids_that_are_taken(jti: str) -> None:
    """Printable ASCII, as it is: case counts."""
    assert verifier().verify(forge(claims(jti=jti)), NOW).jti == jti


ISSUERS: list[object] = [
    ...,
    None,
    "",
    "test",
    "tests ",
    "Tests",
    "tests/",
    "here",
    ["tests"],
    {"a": 1},
    5,
    True,
    "\ud800",
    "tests\0",
]


@pytest.mark.parametrize("issuer", ISSUERS)
def test_the_issuer_is_exact(issuer: object) -> None:
    """Only the very text of a configured issuer is one: no prefix, no list, no other case."""
    refused(forge(claims(iss=issuer)), IssuerError)


def test_several_issuers() -> None:
    """Each of the configured ones is accepted, and nothing that joins them."""
    for issuer in ("a", "b"):
        assert verifier(issuers=("a", "b")).verify(forge(claims(iss=issuer)), NOW).issuer == issuer
    refused(forge(claims(iss="a,b")), ClaimError, issuers=("a", "b"))


def test_any_issuer() -> None:
    """Where any issuer is accepted it may be missing; one that the database cannot store is refused all the same."""
    anyone = verifier(issuers=())
    assert anyone.verify(forge(claims(iss=...)), NOW).issuer is None
    assert anyone.verify(forge(claims(iss="x" * 255)), NOW).issuer == "x" * 255
    assert anyone.verify(forge(claims(iss="é" * 127)), NOW).issuer == "é" * 127
    for issuer in ("x" * 256, "é" * 128, "a\0", "a\n", "\ud800", 5, ["tests"], True, None):
        refused(forge(claims(iss=issuer)), ClaimError, issuers=())


AUDIENCES: list[object] = [
    ...,
    None,
    "",
    "ap",
    "apis",
    "API",
    5,
    True,
    {"api": 1},
    [],
    [[]],
    ["other"],
    ["api", 5],
    ["api", ["api"]],
]


@pytest.mark.parametrize("audience", AUDIENCES)
def test_audiences_that_are_refused(audience: object) -> None:
    """Neither one of the configured texts nor a list of texts that holds one."""
    refused(forge(claims(aud=audience)), AudienceError)


@pytest.mark.parametrize("audience", ["api", ["api"], ["other", "api"], ["api", "api"]])
def test_audiences_that_are_accepted(audience: object) -> None:
    """One text, or a list of which one is ours."""
    assert verifier(audiences=("else", "api")).verify(forge(claims(aud=audience)), NOW).user_id == 7


@pytest.mark.parametrize("audience", [..., None, "whoever", 5, ["a"]])
def test_any_audience(audience: object) -> None:
    """Where any audience is accepted it is not looked at."""
    assert verifier(audiences=()).verify(forge(claims(aud=audience)), NOW).user_id == 7


# ── the time ──


@pytest.mark.parametrize("leeway", [0, 10])
@pytest.mark.parametrize("remembered", [False, True])
def test_expiry_to_the_second(leeway: int, remembered: bool) -> None:
    """A token lives up to, and not at, `exp` plus the leeway, whether it was seen before or not."""
    token = forge(claims())
    gate = verifier(leeway_seconds=leeway)
    if remembered:
        gate.verify(token, NOW)
    end = NOW + 60 + leeway
    assert gate.verify(token, end - 0.001).user_id == 7
    for now in (end, end + 0.001, end + 10**9):
        with pytest.raises(ExpiredTokenError, match="exp has passed"):
            gate.verify(token, now)


@pytest.mark.parametrize("leeway", [0, 10])
@pytest.mark.parametrize("remembered", [False, True])
def test_age_to_the_second(leeway: int, remembered: bool) -> None:
    """A token is accepted up to, and not at, its greatest age plus the leeway, however late it says it expires."""
    token = forge(claims(exp=NOW + 10**6))
    gate = verifier(leeway_seconds=leeway, max_age_seconds=1000)
    if remembered:
        gate.verify(token, NOW)
    end = NOW + 1000 + leeway
    assert gate.verify(token, end - 0.001).user_id == 7
    for now in (end, end + 1, end + 1000):
        with pytest.raises(ExpiredTokenError):
            gate.verify(token, now)


@pytest.mark.parametrize("leeway", [0, 10])
@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("remembered", [False, True])
def test_beginning_to_the_second(leeway: int, name: str, remembered: bool) -> None:
    """A token lives from `nbf` and `iat` on, less the leeway, whether it was seen before or not: clocks go back.
    An `iat` may be 6 s ahead even without leeway: that of a token issued in a second of five cut-offs is."""
    token = forge(claims(**{name: NOW + 20}))
    gate = verifier(leeway_seconds=leeway)
    if remembered:
        gate.verify(token, NOW + 20)
    start = NOW + 20 - max(leeway, 6 if name == "iat" else 0)
    assert gate.verify(token, start).user_id == 7
    for now in (start - 0.001, start - 1):
        with pytest.raises(ImmatureTokenError, match=f"{name} lies in the future"):
            gate.verify(token, now)
    with pytest.raises(ImmatureTokenError):
        gate.verify(token, NOW - 10**9)


def test_a_token_that_expires_before_it_begins() -> None:
    """Until then it has not begun, by the leeway that counts for its end as well."""
    gate = verifier(leeway_seconds=10)
    token = forge(claims(nbf=NOW + 30, exp=NOW + 5))
    with pytest.raises(ImmatureTokenError):
        gate.verify(token, NOW)
    with pytest.raises(ExpiredTokenError):
        gate.verify(token, NOW + 15)


def test_a_token_that_may_not_be_old_at_all() -> None:
    """With a greatest age of nothing, one of this very moment is too old, and not too new."""
    gate = verifier(leeway_seconds=0, max_age_seconds=0)
    with pytest.raises(ExpiredTokenError):
        gate.verify(GOOD, NOW)


# ── without the time: to end a token ──


@pytest.mark.parametrize("changes", [{"exp": 1}, {"nbf": NOW + 10**6}, {"iat": NOW + 10**6}, {"iat": 0}])
def test_a_token_that_is_not_valid_now_can_be_read_to_end_it(changes: dict[str, int]) -> None:
    """Who logs out must not be told to come again when the token may be used."""
    assert verifier(max_age_seconds=1000).read(forge(claims(**changes))).jti == "ab12"


def test_a_token_is_read_by_the_same_rules_but_for_time(reads: list[str]) -> None:
    """A forged one ends nothing; what is no text is refused as such, even what pretends to be a token seen before; and
    what is remembered is not decoded again."""
    gate = verifier()
    for token in (None, b"bytes", Text(GOOD)):
        with pytest.raises(MalformedTokenError):
            gate.read(token)
    assert reads == []
    with pytest.raises(SignatureError):
        gate.read(forge(claims(), secret=SECRET[::-1]))
    assert gate.read(GOOD) == gate.verify(GOOD, NOW)
    assert gate.read(GOOD) is gate.verify(GOOD, NOW)
    assert len(reads) == 3


@pytest.mark.parametrize("leeway", [0, 10])
def test_when_nobody_has_to_end_a_token_any_more(leeway: int) -> None:
    """From the moment on from which it is refused for its expiry or for its age, to the second."""
    gate = verifier(leeway_seconds=leeway, max_age_seconds=1000)
    for expires_at, end in ((NOW + 60, NOW + 60), (NOW + 10**6, NOW + 1000)):
        found = gate.read(forge(claims(exp=expires_at)))
        assert not gate.is_over(found, end + leeway - 0.001)
        assert gate.is_over(found, end + leeway)


# ── the memory ──


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens decoded so far."""
    tokens: list[str] = []
    read = Verifier._read

    def note(gate: Verifier, token: str) -> Claims:
        tokens.append(token)
        return read(gate, token)

    monkeypatch.setattr(Verifier, "_read", note)
    return tokens


def test_a_token_is_decoded_once(reads: list[str]) -> None:
    """The second time its claims are remembered."""
    gate = verifier()
    assert gate.verify(GOOD, NOW) is gate.verify("".join(list(GOOD)), NOW + 1)
    assert len(reads) == 1


def test_memory_is_bounded_in_entries(reads: list[str]) -> None:
    """Above `size` the token used least recently goes first."""
    gate = verifier(size=2)
    first, second, third = (forge(claims(jti=jti)) for jti in "abc")
    for token in (first, second, first, third, first):
        gate.verify(token, NOW)
    assert len(reads) == 3
    gate.verify(second, NOW)
    assert len(reads) == 4


def test_memory_is_bounded_in_bytes(reads: list[str]) -> None:
    """Above `size_bytes` of text the tokens used least recently go; one longer than that is not kept at all."""
    long = [forge(claims(jti=f"{number}", pad="x" * 3000)) for number in range(3)]
    gate = verifier(size_bytes=len(long[0]) * 2)
    for token in (*long, long[1], long[2]):
        gate.verify(token, NOW)
    assert len(reads) == 3
    gate.verify(long[0], NOW)
    assert len(reads) == 4
    tiny = verifier(size_bytes=10)
    for _ in range(3):
        assert tiny.verify(GOOD, NOW).user_id == 7
    assert len(reads) == 7


def test_what_is_forgotten_leaves_room(reads: list[str]) -> None:
    """When a key has gone, the memory is as it was in the beginning: it holds again as much as it may, to the byte."""
    gate = verifier(size_bytes=len(GOOD))
    for _ in range(2):
        gate.verify(GOOD, NOW)
        gate.verify(GOOD, NOW)
        gate.forget()
    assert len(reads) == 2


def test_refused_tokens_are_not_remembered() -> None:
    """A flood of bad tokens takes no memory and pushes no good one out."""
    gate = verifier(size=1)
    gate.verify(GOOD, NOW)
    for bad in (forge(claims(sub="x")), forge(claims(exp=1)), forge(claims(nbf=NOW + 99)), forge({}), "x"):
        with pytest.raises(TokenError):
            gate.verify(bad, NOW)
    assert list(gate.seen) == [GOOD]


def test_another_verifier_remembers_nothing() -> None:
    """What was verified with one key, issuer or audience is unknown to a verifier with others."""
    verifier().verify(GOOD, NOW)
    other = SECRET[::-1].encode()
    refused(GOOD, SignatureError, key=Key("HS512", other, other))
    refused(GOOD, ClaimError, issuers=("else",))
    refused(GOOD, ClaimError, audiences=("else",))


# ── others' tokens ──


def test_tokens_of_pyjwt() -> None:
    """What plain PyJWT signs with the same secret is read, whatever other claims it brings."""
    token = jwt.encode(claims(roles=["Admin"], pad={"a": [1.5, None]}), SECRET, "HS512")
    assert verifier().verify(token, NOW).user_id == 7


def test_pyjwt_reads_ours() -> None:
    """What we issue passes PyJWT's own checks, and holds no more than it should."""
    named = Key("HS512", SECRET.encode(), SECRET.encode(), "one")
    token = Issuer(KeyRing(KeySet([named])), ISSUER, AUDIENCE, 60).issue(7, now=NOW + 0.9)
    members = jwt.decode(
        token, SECRET, ["HS512"], audience=AUDIENCE, issuer=ISSUER, options={"verify_exp": False, "require": ["jti"]}
    )
    jti = members.pop("jti")
    assert members == {"sub": "7", "iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "nbf": NOW, "exp": NOW + 60}
    assert len(jti) == 32
    assert jwt.get_unverified_header(token) == {"alg": "HS512", "typ": "JWT", "kid": "one"}
    assert verifier(named).verify(token, NOW).user_id == 7


def test_tokens_differ() -> None:
    """Two tokens for one user in one second have different ids: each can be revoked alone."""
    issuer = Issuer(KeyRing(KeySet([HMAC])), None, None, 60)
    gate = verifier(issuers=(), audiences=())
    first, second = (gate.verify(issuer.issue(7, NOW), NOW) for _ in range(2))
    assert first.token_id != second.token_id
    assert first.issuer is None
