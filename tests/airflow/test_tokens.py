"""Tokens go both ways, and a token revoked on one side is refused on the other."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt import decode

from asyncauth import AuthManager, Settings
from asyncauth.errors import RevokedTokenError
from tests.airflow.process import AUDIENCE, ISSUER, SECRET, Airflow
from tests.waiting import until

ALGORITHMS = ("HS512", "RS256", "EdDSA")


@pytest.fixture(params=ALGORITHMS)
def key(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """A key as `provider.py` takes it."""
    if request.param == "HS512":
        return {"secret": SECRET}
    private = (
        rsa.generate_private_key(65537, 2048) if request.param == "RS256" else ed25519.Ed25519PrivateKey.generate()
    )
    path = tmp_path / "key.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"path": str(path)}


def with_key(settings: Settings, key: dict[str, str], kid: str | None = None) -> Settings:
    changed: dict[str, Any] = {"jwt_kid": kid}
    if "path" in key:
        changed |= {"jwt_secret": None, "jwt_private_key_path": Path(key["path"])}
    return settings.model_copy(update=changed)


def is_revoked(auth: AuthManager, token: str) -> bool:
    """As known in memory now."""
    try:
        auth.find_user_from_token(token)
    except RevokedTokenError:
        return True
    return False


async def test_tokens_signed_by_airflow_verify(settings: Settings, airflow: Airflow, key: dict[str, str]) -> None:
    async with AuthManager(with_key(settings, key)) as auth:
        user = await auth.get_user(username="ada")
        token = await airflow.ask("sign", user_id=user.id, issuer=ISSUER, audience=AUDIENCE, key=key)
        assert await auth.get_user_from_token(token) == user


async def test_tokens_signed_here_validate_in_airflow(
    settings: Settings, airflow: Airflow, key: dict[str, str]
) -> None:
    kid = await airflow.ask("read_kid", key=key)
    async with AuthManager(with_key(settings, key, kid)) as auth:
        user = await auth.get_user(username="ada")
        token = auth.issue_token(user.id)
    claims = await airflow.ask("validate", token=token, issuer=ISSUER, audience=AUDIENCE, key=key)
    assert claims.keys() == {"jti", "sub", "iss", "aud", "nbf", "iat", "exp"}
    assert claims["sub"] == str(user.id)


async def test_airflow_knows_the_bearer_of_our_token(auth: AuthManager, airflow: Airflow) -> None:
    token = await auth.login("vera", "the password of vera")
    assert await airflow.ask("find_username", token=token) == "vera"


async def test_a_token_revoked_in_airflow_is_refused_here(auth: AuthManager, airflow: Airflow) -> None:
    token = await auth.login("vera", "the password of vera")
    assert (await auth.get_user_from_token(token)).username == "vera"
    await airflow.ask("revoke", token=token)
    await until(lambda: is_revoked(auth, token))


async def test_a_token_revoked_here_is_refused_in_airflow(auth: AuthManager, airflow: Airflow) -> None:
    token, other = [await auth.login("vera", "the password of vera") for _ in range(2)]
    await auth.revoke_token(token)
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(token)
    assert await airflow.ask("find_username", token=token) is None
    assert await airflow.ask("find_username", token=other) == "vera"


async def test_both_sides_store_a_revocation_alike(auth: AuthManager, airflow: Airflow) -> None:
    expected = set()
    for side in ("here", "airflow"):
        token = await auth.login("vera", "the password of vera")
        if side == "here":
            await auth.revoke_token(token)
        else:
            await airflow.ask("revoke", token=token)
        claims = decode(token, options={"verify_signature": False})
        expected.add((claims["jti"], claims["exp"]))
    assert expected <= {(jti, exp) for jti, exp in await airflow.ask("read_revocations")}
