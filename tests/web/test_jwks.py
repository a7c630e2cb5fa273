"""`/.well-known/jwks.json`: what others need to verify our tokens, and nothing that could sign one."""

import asyncio
from pathlib import Path

import jwt
import pytest
from starlette.applications import Starlette

from asyncauth import AuthManager, Settings
from asyncauth.tokens.rotation import Pace, create_file, make_key, rotate_file
from asyncauth.web.asgi import JWKS_PATH, jwks_app
from asyncauth.web.starlette import jwks_routes
from tests.conftest import NAME
from tests.managers import quiet
from tests.web.conftest import client

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k", "signs_from"}


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
async def test_others_verify_with_it(settings: Settings, tmp_path: Path, algorithm: str) -> None:
    """Every key is there before it signs; a client that knows nothing else verifies a token with it."""
    path = tmp_path / "keys.json"
    await asyncio.to_thread(create_file, path, make_key(algorithm, 0))
    await asyncio.to_thread(rotate_file, path, make_key(algorithm, 2**40), 1, Pace(60, 60))
    own = quiet(settings, jwt_secret=None, jwt_keys_path=path, jwt_keys_refresh_seconds=61.0)
    async with AuthManager(own) as auth, client(jwks_app(auth)) as http:
        answer = await http.get(JWKS_PATH)
        token = auth.issue_token(7)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jwk-set+json")
    assert answer.headers["cache-control"] == "public, max-age=61"
    assert answer.headers["x-content-type-options"] == "nosniff"
    keys = answer.json()["keys"]
    assert len(keys) == 2
    assert not any(PRIVATE & key.keys() for key in keys)
    assert {key["use"] for key in keys} == {"sig"}
    chosen = jwt.PyJWKSet.from_dict(answer.json())[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, chosen, algorithms=[algorithm], audience=NAME)["sub"] == "7"


async def test_a_secret_is_not_shown(auth: AuthManager) -> None:
    """A set without keys."""
    async with client(jwks_app(auth)) as http:
        assert (await http.get(JWKS_PATH)).json() == {"keys": []}


async def test_other_paths_and_methods(auth: AuthManager, settings: Settings) -> None:
    """404, 405 and, without a running manager, 503."""
    async with client(jwks_app(auth)) as http:
        assert (await http.get("/")).status_code == 404
        answer = await http.post(JWKS_PATH)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert (await http.head(JWKS_PATH)).status_code == 200
    async with client(jwks_app(AuthManager(settings))) as http:
        answer = await http.get(JWKS_PATH)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_as_a_route(auth: AuthManager) -> None:
    """Of Starlette and FastAPI."""
    async with client(Starlette(routes=jwks_routes(auth))) as http:
        assert (await http.get(JWKS_PATH)).json() == {"keys": []}
