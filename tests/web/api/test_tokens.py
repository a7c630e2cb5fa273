"""Getting a token and leaving."""

from typing import Any

import httpx
import jwt
import pytest

from asyncauth import AuthManager, Settings, admin
from asyncauth.api import make_app
from asyncauth.web.cookies import CookiePolicy
from tests.managers import quiet
from tests.web.api.conftest import FAB, user_body
from tests.web.conftest import bearer


@pytest.fixture(autouse=True)
async def _ada(auth: AuthManager, root: dict[str, str]) -> None:
    body = user_body()
    await admin.create_user(auth, **body, roles=["Admin"])


@pytest.mark.parametrize("path", ["/auth/token", "/auth/token/cli"])
async def test_a_token(http: httpx.AsyncClient, auth: AuthManager, path: str) -> None:
    """By name in any case or e-mail; other keys are ignored; the command line's lives for an hour."""
    for name in ("ada", "ADA", "ada@example.org"):
        answer = await http.post(path, json={"username": name, "password": "correct horse", "provider": "db"})
        assert answer.status_code == 201, answer.text
        assert set(answer.json()) == {"access_token"}
        assert answer.headers["Cache-Control"] == "no-store"
        token = answer.json()["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == (3600 if path.endswith("cli") else 86400)
        assert (await http.get(f"{FAB}/users", headers=bearer(token))).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "ada", "password": "wrong"}, 401),
        ({"username": "nobody", "password": "wrong"}, 401),
        ({"username": "ada\0", "password": "wrong"}, 401),
        ({"username": "ada"}, 400),
        ({"username": "", "password": "x"}, 400),
        ({"username": "ada", "password": None}, 400),
        ({"username": "ada", "password": 7}, 400),
        ({"username": ["ada"], "password": "x"}, 400),
        ({}, 400),
        ([], 422),
        ("ada", 422),
        (None, 422),
    ],
)
async def test_no_token(http: httpx.AsyncClient, body: Any, status: int) -> None:
    """FAB's statuses; what is no text is a 400 where FAB gives 500."""
    for path in ("/auth/token", "/auth/token/cli"):
        answer = await http.post(path, json=body)
        assert answer.status_code == status, answer.text
        assert "access_token" not in answer.text


async def test_leaving(http: httpx.AsyncClient, auth: AuthManager) -> None:
    """To the login page, without the cookie; the token stays valid, since any page can link here."""
    answer = await http.get("/auth/logout")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/login/")
    assert "Set-Cookie" not in answer.headers
    token = await auth.login("ada", "correct horse")
    app = make_app(auth, cookie=CookiePolicy())
    transport = httpx.ASGITransport(app)
    cookies = {"__Host-asyncauth": token}
    async with httpx.AsyncClient(transport=transport, base_url="https://testserver", cookies=cookies) as browser:
        assert (await browser.get(f"{FAB}/users")).status_code == 200
        left = await browser.get("/auth/logout")
        assert (left.status_code, left.headers["Location"]) == (307, "/")
        assert left.headers["Set-Cookie"].startswith("__Host-asyncauth=; Max-Age=0; Path=/")
    assert (await http.get(f"{FAB}/users", headers=bearer(token))).status_code == 200


async def test_too_many_failures(settings: Settings, root: object) -> None:
    """429 and when to come again, in FAB's form; counted by the peer's address, whatever a client writes."""
    limits = {"login_failures_per_address": 2, "login_failures_per_user": None}
    async with AuthManager(quiet(settings, **limits)) as limited:
        app = make_app(limited)
        for peer, expected in (("192.0.2.1", 429), ("192.0.2.2", 201)):
            transport = httpx.ASGITransport(app, client=(peer, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
                for number in range(2 if expected == 429 else 0):
                    headers = {"X-Forwarded-For": f"198.51.100.{number}"}
                    wrong = {"username": f"u{number}", "password": "wrong"}
                    assert (await http.post("/auth/token", json=wrong, headers=headers)).status_code == 401
                right = {"username": "ada", "password": "correct horse"}
                answer = await http.post("/auth/token/cli", json=right)
                assert answer.status_code == expected, answer.text
                assert ("Retry-After" in answer.headers) is (expected == 429)
                assert set(answer.json()) == ({"detail"} if expected == 429 else {"access_token"})
