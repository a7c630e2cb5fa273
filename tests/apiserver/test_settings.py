"""What a setting changes on the real server: cookies that slide, the public role, a manager that says what is wrong."""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import httpx
import jwt
import pytest

from tests.airflow.process import SECRET, sync_url
from tests.apiserver.conftest import OPTIONS, Worlds
from tests.apiserver.server import OURS, ApiServer

LIFE_SECONDS, LEEWAY_SECONDS = 3600, 1
PATH = "/api/v2/dags"
PUBLIC = "https://airflow.example"
"""What browsers see: a proxy ends TLS and asks the server under another name."""


@pytest.fixture(scope="module")
def server(worlds: Worlds) -> Iterator[ApiServer]:
    """One worker: tokens live an hour and slide for a day; who has not logged in may what viewers may."""
    more: dict[str, Any] = {
        "AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME": str(LIFE_SECONDS),
        "AIRFLOW__API_AUTH__JWT_LEEWAY": str(LEEWAY_SECONDS),
        "AIRFLOW__ASYNCAUTH__SLIDING_SECONDS": "86400",
        "AIRFLOW__ASYNCAUTH__GC_FREEZE": "True",
        "AIRFLOW__FAB__AUTH_ROLE_PUBLIC": "Viewer",
        "AIRFLOW__API__BASE_URL": PUBLIC,
    }
    with ApiServer(sync_url(worlds.copy("postgresql")), OURS, workers=1, **{**OPTIONS, **more}) as started:
        yield started


def get(server: ApiServer, token: str, path: str = PATH) -> httpx.Response:
    """As a browser does, on a connection of its own."""
    return httpx.get(server.base_url + path, headers={"Cookie": f"_token={token}"}, trust_env=False, timeout=60)


def set_token(answer: httpx.Response) -> str | None:
    """The token that a browser is given; "": it is told to forget it."""
    found = [SimpleCookie(text) for text in answer.headers.get_list("set-cookie")]
    return next((cookie["_token"].value for cookie in found if "_token" in cookie), None)


def aged(token: str, seconds: float) -> str:
    """The same token as if it had been issued so long ago: nobody has to wait."""
    claims = jwt.decode(token, options={"verify_signature": False})
    earlier = {name: claims[name] - int(seconds) for name in ("iat", "nbf", "exp")}
    return jwt.encode(claims | earlier, SECRET, jwt.get_unverified_header(token)["alg"])


def test_a_cookie_slides_and_a_logout_ends_all_of_its_login(server: ApiServer) -> None:
    """Not in the first half of its life; then with every request that shows the old one; a copy dies with the rest."""
    token = server.log_in("vera")
    fresh = get(server, token)
    assert (fresh.status_code, set_token(fresh)) == (200, None)
    slid = get(server, aged(token, LIFE_SECONDS * 0.6))
    renewed = set_token(slid)
    assert slid.status_code == 200
    assert renewed
    assert "HttpOnly" in slid.headers["set-cookie"]
    # Core takes an expired cookie away; the public role is for who shows none.
    late = get(server, aged(token, LIFE_SECONDS + 2 * LEEWAY_SECONDS))
    assert (late.status_code, set_token(late)) == (401, "")
    again = get(server, aged(renewed, LIFE_SECONDS * 0.6))
    newest = set_token(again)
    assert again.status_code == 200
    assert newest
    cookie = {"Cookie": f"_token={renewed}"}
    made = httpx.post(
        f"{server.base_url}/ui/auth/token", headers=cookie, json={"token_type": "api"}, trust_env=False, timeout=60
    ).json()["access_token"]
    left = get(server, newest, "/api/v2/auth/logout")
    assert left.status_code == 307
    assert get(server, made).status_code == 200  # it belongs to no login of a browser
    for copy in (renewed, newest):
        refused = get(server, copy)
        assert (refused.status_code, set_token(refused)) == (403, "")


def test_a_token_for_the_header_does_not_slide(server: ApiServer) -> None:
    """Core asks about cookies only; one made for the command line has a life of its own."""
    body = {"username": "vera", "password": "the password of vera"}
    with server.client() as client:
        token = client.post("/auth/token/cli", json=body).raise_for_status().json()["access_token"]
    with server.client(token) as client:
        answer = client.get(PATH)
    assert (answer.status_code, set_token(answer)) == (200, None)


def test_who_has_not_logged_in_holds_the_public_role(server: ApiServer) -> None:
    """What viewers may, and no more; with a name, not with an error, where core asks who it is."""
    with server.client() as client:
        assert client.get(PATH).status_code == 200
        assert client.get("/api/v2/pools").status_code == 200
        assert client.post("/api/v2/pools", json={"name": "x", "slots": 1}).status_code == 403
        me = client.get("/ui/auth/me").json()
        assert (me["id"], me["username"]) == ("anonymous", "anonymous")
        assert client.post("/ui/auth/token", json={"token_type": "api"}).status_code == 403


def test_an_invalid_token_is_not_nobody(server: ApiServer) -> None:
    """Who shows one is not given the public role."""
    with server.client("not a token") as client:
        assert client.get(PATH).status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"), [(PUBLIC, 303), ("https://evil.example", 403), ("http://airflow.example", 403)]
)
def test_the_login_page_behind_a_proxy(server: ApiServer, origin: str, status: int) -> None:
    """Its own forms come from the public address, which the server does not see itself."""
    with server.client() as client:
        page = client.get("/auth/login/")
        secret = SimpleCookie(page.headers["set-cookie"])["_token-form"]
        assert secret["secure"]
        found = re.search('name="form_token" value="([^"]+)"', page.text)
        assert found
        form = {"form_token": found[1], "username": "vera", "password": "the password of vera"}
        headers = {"Cookie": f"_token-form={secret.value}", "Origin": origin}
        answer = client.post("/auth/login/", data=form, headers=headers)
    assert answer.status_code == status
    assert bool(set_token(answer)) == (status == 303)
