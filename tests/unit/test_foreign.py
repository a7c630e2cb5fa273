"""Tokens of trusted issuers: their keys, audience, type and rule for the subject, and nobody else's."""

import json
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from asyncauth import Settings
from asyncauth.errors import (
    AlgorithmError,
    AudienceError,
    ClaimError,
    ConfigurationError,
    ImmatureTokenError,
    IssuerError,
    KeysUnavailableError,
    SignatureError,
    SubjectError,
    TokenError,
    TokenTypeError,
    UnknownKeyError,
)
from asyncauth.tokens.foreign import load_all
from asyncauth.tokens.jwks import public_jwk
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.rotation import make_key
from asyncauth.tokens.verify import Verifier
from asyncauth.trusted import TrustedIssuer
from tests.forge import AUDIENCE, ISSUER, NOW, SECRET
from tests.forge import claims as own_claims

IDP = "https://idp.example"
THEIRS, OTHERS = make_key("ES256", 0), make_key("EdDSA", 0)
OURS = Key("HS512", SECRET.encode(), SECRET.encode())


def claims(**changes: Any) -> dict[str, Any]:
    """What the issuer says; `...` leaves a member out."""
    said = {"iss": IDP, "aud": "us there", "sub": "ada", "jti": "j", "iat": NOW, "exp": NOW + 60}
    return {name: value for name, value in (said | changes).items() if value is not ...}


def sign(members: dict[str, Any], key: Key = THEIRS, **header: Any) -> str:
    """A token signed with a key."""
    return jwt.encode(members, key.signing, key.algorithm, headers={"kid": key.kid, **header})


def verifier(tmp_path: Path, **changes: Any) -> Verifier:
    """One that trusts the issuer, whose key is in a file, and another issuer beside it."""
    for name, key in (("keys.json", THEIRS), ("others.json", OTHERS)):
        (tmp_path / name).write_text(json.dumps({"keys": [public_jwk(key)]}))
    trusted: dict[str, Any] = {
        "issuer": IDP,
        "audience": "us there",
        "jwks_path": tmp_path / "keys.json",
        "matches": "username",
        **changes,
    }
    other = {"issuer": "other", "audience": "us there", "jwks_path": tmp_path / "others.json", "matches": "email"}
    settings = Settings(
        jwt_secret=SECRET, jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_trusted_issuers=(trusted, other)
    )
    keys = load_all(settings)
    return Verifier(
        keys.ring,
        issuers=(ISSUER,),
        audiences=(AUDIENCE,),
        leeway_seconds=10,
        size=10,
        size_bytes=10_000,
        trusted=keys.trusted,
    )


def test_a_name_and_no_id(tmp_path: Path) -> None:
    """The claims hold the name and how it is meant, and no id of ours."""
    found = verifier(tmp_path).verify(sign(claims()), NOW)
    assert (found.user_id, found.name, found.matches, found.issuer) == (None, "ada", "username", IDP)
    assert (found.jti, found.issued_at, found.not_before, found.expires_at) == ("j", NOW, NOW, NOW + 60)


@pytest.mark.parametrize("subject", ["1", "7"])
def test_their_user_1_is_not_ours(tmp_path: Path, subject: str) -> None:
    """Digits are a name like any other."""
    found = verifier(tmp_path).verify(sign(claims(sub=subject)), NOW)
    assert (found.user_id, found.name) == (None, subject)


def test_a_login_of_theirs_is_none_of_ours(tmp_path: Path) -> None:
    """`sid` names a session there."""
    assert verifier(tmp_path).verify(sign(claims(sid="s" * 500)), NOW).login_id is None


@pytest.mark.parametrize("subject", [..., None, 1, True, "", ["ada"], "a\0", "a\n", "\ud800", "x" * 513])
def test_names_that_are_none(tmp_path: Path, subject: object) -> None:
    """A name is printable text as long as one can be stored."""
    with pytest.raises(SubjectError):
        verifier(tmp_path).verify(sign(claims(sub=subject)), NOW)


def test_the_longest_name(tmp_path: Path) -> None:
    """As long as one in the database can be."""
    assert verifier(tmp_path).verify(sign(claims(sub="x" * 512)), NOW).name == "x" * 512


def test_their_tokens_may_say_from_when_they_count(tmp_path: Path) -> None:
    """`nbf` is asked for nobody's sake, and counts where it stands."""
    gate = verifier(tmp_path)
    token = sign(claims(nbf=NOW + 30))
    assert gate.verify(token, NOW + 30).not_before == NOW + 30
    with pytest.raises(ImmatureTokenError):
        gate.verify(token, NOW)
    with pytest.raises(ClaimError, match="nbf"):
        gate.verify(sign(claims(nbf="soon")), NOW)


@pytest.mark.parametrize("verified", [..., None, False, "true", 1, "yes"])
def test_an_email_is_verified(tmp_path: Path, verified: object) -> None:
    """By the issuer, and it says so: else anybody could claim anybody's."""
    gate = verifier(tmp_path, matches="email", claim="email")
    said = claims(email="ada@example.org", email_verified=True)
    found = gate.verify(sign(said), NOW)
    assert (found.name, found.matches, found.user_id) == ("ada@example.org", "email", None)
    with pytest.raises(SubjectError, match="verified"):
        gate.verify(sign(claims(email="ada@example.org", email_verified=verified)), NOW)


def test_keys_count_for_one_issuer_only(tmp_path: Path) -> None:
    """Ours do not sign for them, nor theirs for us, nor another's for them, whatever the token says."""
    gate = verifier(tmp_path)
    for token, error in (
        (sign(own_claims(), THEIRS), UnknownKeyError),
        (sign(own_claims(sub="1"), THEIRS, kid="not-used"), AlgorithmError),
        (sign(claims(), OTHERS), UnknownKeyError),
        (sign(claims(), OTHERS, kid=THEIRS.kid), AlgorithmError),
        (sign(claims(), make_key("ES256", 0), kid=THEIRS.kid), SignatureError),
        (sign(claims(), OURS, kid="not-used"), UnknownKeyError),
        (sign(claims(), OURS, kid=THEIRS.kid), AlgorithmError),
        (sign(claims(iss="other"), THEIRS), UnknownKeyError),
    ):
        with pytest.raises(error):
            gate.verify(token, NOW)


@pytest.mark.parametrize(
    "issuer", [..., None, "", f"{IDP}/", IDP.upper(), [IDP], {IDP: 1}, 5, "https://idp.example.org"]
)
def test_the_issuer_is_exact(tmp_path: Path, issuer: object) -> None:
    """To the letter."""
    with pytest.raises((IssuerError, TypeError)):
        verifier(tmp_path).verify(_signed_raw(claims(iss=issuer)), NOW)


def _signed_raw(members: dict[str, Any]) -> str:
    """PyJWT refuses to write some of these."""
    return jwt.PyJWS().encode(json.dumps(members).encode(), THEIRS.signing, "ES256", headers={"kid": THEIRS.kid})


@pytest.mark.parametrize("audience", [..., None, AUDIENCE, "us", ["us", "there"], "us there "])
def test_the_audience_is_theirs(tmp_path: Path, audience: object) -> None:
    """What our own tokens carry does not count."""
    with pytest.raises(AudienceError):
        verifier(tmp_path).verify(sign(claims(aud=audience)), NOW)


@pytest.mark.parametrize("name", ["jti", "iat", "exp"])
def test_claims_that_have_to_be_there(tmp_path: Path, name: str) -> None:
    """Without them nothing could be revoked or cut off."""
    with pytest.raises(ClaimError):
        verifier(tmp_path).verify(sign(claims(**{name: ...})), NOW)


@pytest.mark.parametrize("value", [None, "1", 1.5, True, -1])
def test_nbf_may_be_left_out_but_not_be_bad(tmp_path: Path, value: object) -> None:
    """RFC 9068 knows none."""
    with pytest.raises(ClaimError):
        verifier(tmp_path).verify(_signed_raw(claims(nbf=value)), NOW)


def test_the_type_is_as_configured(tmp_path: Path) -> None:
    """RFC 9068 section 4: an access token says so, and nothing else is one."""
    gate = verifier(tmp_path, token_type="at+jwt")
    for right in ("at+jwt", "application/at+jwt"):
        assert gate.verify(sign(claims(), typ=right), NOW).name == "ada"
    for typ in ("JWT", "AT+JWT", None):
        with pytest.raises(TokenTypeError):
            gate.verify(sign(claims(), typ=typ), NOW)
    with pytest.raises(TokenTypeError):
        verifier(tmp_path).verify(sign(claims(), typ="at+jwt"), NOW)


def test_a_pem_file(tmp_path: Path) -> None:
    """One public key without a name; a token may name it by its thumbprint, or not at all."""
    private = rsa.generate_private_key(65537, 2048)
    path = tmp_path / "key.pem"
    path.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    gate = verifier(tmp_path, jwks_path=None, public_key_path=path)
    token = jwt.encode(claims(), private, "RS256")
    assert gate.verify(token, NOW).name == "ada"
    with pytest.raises(AlgorithmError):
        gate.verify(jwt.encode(claims(), private, "PS256"), NOW)
    for data, message in (
        (b"canary", "is not a PEM file with a public key"),
        (_pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),  # noqa: S505
    ):
        path.write_bytes(data)
        with pytest.raises(ConfigurationError, match=message):
            verifier(tmp_path, jwks_path=None, public_key_path=path)
    with pytest.raises(ConfigurationError, match="missing cannot be read: No such file"):
        verifier(tmp_path, jwks_path=None, public_key_path=tmp_path / "missing")
    with pytest.raises(ConfigurationError, match=r"^jwks_path .*missing cannot be read: No such file"):
        verifier(tmp_path, jwks_path=tmp_path / "missing")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"^jwks_path .*bad\.json: a key set has the member keys"):
        verifier(tmp_path, jwks_path=tmp_path / "bad.json")


def test_an_issuer_is_asked_with_httpx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is an extra; without it the manager does not start, and says what to install."""
    asked = {"jwks_path": None, "jwks_url": "https://idp.example/keys"}
    with pytest.raises(KeysUnavailableError):
        verifier(tmp_path, **asked).verify(sign(claims()), NOW)
    monkeypatch.setitem(sys.modules, "asyncauth.tokens.remote", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'asyncauth\[jwks\]'"):
        verifier(tmp_path, **asked)


def test_a_pem_file_for_another_algorithm(tmp_path: Path) -> None:
    """A key that its issuer may not use is refused at the start, not at the first token."""
    private, path = rsa.generate_private_key(65537, 2048), tmp_path / "key.pem"
    path.write_bytes(_pem(private))
    with pytest.raises(ConfigurationError, match="none of which its issuer may use"):
        verifier(tmp_path, jwks_path=None, public_key_path=path, algorithms=("ES256",))


def _pem(private: rsa.RSAPrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_keys_that_were_never_fetched(tmp_path: Path) -> None:
    """503 for that issuer, while all others' tokens are judged."""
    gate = verifier(tmp_path, jwks_path=None, jwks_url="https://127.0.0.1:1/keys")
    with pytest.raises(KeysUnavailableError):
        gate.verify(sign(claims()), NOW)
    assert gate.verify(jwt.encode(own_claims(), SECRET, "HS512"), NOW).user_id == 7


def test_any_issuer_of_ours_is_not_theirs(tmp_path: Path) -> None:
    """Where our own tokens may carry any `iss`, that of a trusted issuer is still judged by its rule."""
    keys = verifier(tmp_path)._trusted
    gate = Verifier(
        KeyRing(KeySet([OURS])), issuers=(), audiences=(), leeway_seconds=10, size=1, size_bytes=9, trusted=keys
    )
    with pytest.raises(TokenError):
        gate.verify(sign(claims(sub="1"), OURS, kid="not-used"), NOW)
    assert gate.verify(sign(claims()), NOW).user_id is None


BASE = {"issuer": IDP, "audience": "us", "matches": "username", "jwks_url": "https://idp.example/keys"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jwks_url": "http://idp.example/keys"}, "https://"),
        ({"jwks_url": "file:///etc/passwd"}, "https://"),
        ({"jwks_url": "file:///etc/passwd", "allow_http": True}, "https://"),
        ({"jwks_url": "https://"}, "https://"),
        ({"jwks_url": None}, "one of jwks_url, jwks_path and public_key_path"),
        ({"jwks_path": "/keys"}, "one of jwks_url, jwks_path and public_key_path"),
        ({"audience": ""}, "audience"),
        ({"audience": ()}, "audience"),
        ({"issuer": ""}, "issuer"),
        ({"matches": "id"}, "matches"),
        ({"matches": ...}, "matches"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("HS256",)}, "algorithms"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"claim": ""}, "claim"),
        ({"refresh_seconds": 0}, "refresh_seconds"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], message: str) -> None:
    """Each by its name, in one sentence."""
    described = {name: value for name, value in (BASE | changes).items() if value is not ...}
    with pytest.raises(ConfigurationError, match=message):
        Settings(jwt_secret=SECRET, jwt_issuer="here", jwt_audience="us", jwt_trusted_issuers=(described,))


def test_an_issuer_is_configured_once() -> None:
    """Neither twice among the trusted, nor as our own name."""
    one = TrustedIssuer(**BASE)  # type: ignore[arg-type]
    for issuers, own in (((one, one), "here"), ((one,), IDP)):
        with pytest.raises(ConfigurationError, match="an issuer is configured twice"):
            Settings(jwt_secret=SECRET, jwt_issuer=own, jwt_audience="us", jwt_trusted_issuers=issuers)


def test_the_environment_holds_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of objects."""
    monkeypatch.setenv("ASYNCAUTH_JWT_TRUSTED_ISSUERS", json.dumps([BASE]))
    (read,) = Settings(jwt_secret=SECRET, jwt_issuer="here", jwt_audience="us").jwt_trusted_issuers
    assert read == TrustedIssuer(**BASE)  # type: ignore[arg-type]
    monkeypatch.setenv("ASYNCAUTH_JWT_TRUSTED_ISSUERS", "canary")
    with pytest.raises(ConfigurationError) as caught:
        Settings(jwt_secret=SECRET, jwt_issuer="here", jwt_audience="us")
    assert "canary" not in str(caught.value)
