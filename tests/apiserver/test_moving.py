"""Moving there and back: tokens of either server are good on the other, and ended on either they are ended on both."""

from http.cookies import SimpleCookie
from operator import attrgetter

import httpx
import pytest

from tests.apiserver.conftest import Pair
from tests.apiserver.server import ApiServer
from tests.waiting import poll

PATH = "/api/v2/dags"
WAYS = {"there": ("fab", "ours"), "back": ("ours", "fab")}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, pair: Pair) -> tuple[ApiServer, ApiServer]:
    """The server that issues the token, and the other."""
    one, other = WAYS[request.param]
    return attrgetter(one, other)(pair)


@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
def test_a_token_stays_good(way: tuple[ApiServer, ApiServer], cookie: bool) -> None:
    """By whom it is issued is no matter."""
    one, other = way
    token = one.log_in("vera")
    answers = []
    for server in (one, other):
        with server.client(token, cookie=cookie) as client:
            answers.append(client.get(PATH))
            assert "set-cookie" not in answers[-1].headers
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
def test_logging_out_ends_it_everywhere(way: tuple[ApiServer, ApiServer], cookie: bool) -> None:
    """On whichever server; every worker of ours sees it."""
    one, other = way
    token, untouched = one.log_in("vera"), one.log_in("vera")
    with other.client(token, cookie=cookie) as client:
        assert client.get(PATH).status_code == 200
        left = client.get("/api/v2/auth/logout")
        assert left.status_code == 307
        assert left.headers["location"].endswith("/auth/logout")
    for server in way:
        poll(lambda server=server: _all_refuse(server, token, cookie=cookie))  # type: ignore[misc]
        assert _ask(server, _bearer(untouched)) == 200


def test_both_forget_the_cookie_alike(pair: Pair) -> None:
    """What a browser that logs out is told."""
    told = []
    for server in pair:
        with server.client(server.log_in("vera"), cookie=True) as client:
            answers = [client.get("/api/v2/auth/logout"), client.get("/auth/logout")]
            told.append([(one.status_code, _cookies(one)) for one in answers])
    assert told[0] == told[1]
    assert told[0][1][1] != []


def _cookies(answer: httpx.Response) -> list[str]:
    """Those named `_token`; FAB takes its session's as well."""
    found = []
    for text in answer.headers.get_list("set-cookie"):
        if "_token" in (cookie := SimpleCookie(text)):
            morsel = cookie["_token"]
            told = (morsel["max-age"], morsel["path"], str(morsel["samesite"]).lower(), bool(morsel["httponly"]))
            found.append(f"{morsel.value} {told}")
    return found


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _all_refuse(server: ApiServer, token: str, *, cookie: bool) -> bool:
    """Each request on a connection of its own, so that all workers are met."""
    headers = {"Cookie": f"_token={token}"} if cookie else _bearer(token)
    return all(_ask(server, headers) in {401, 403} for _ in range(8))


def _ask(server: ApiServer, headers: dict[str, str]) -> int:
    return httpx.get(server.base_url + PATH, headers=headers, timeout=60, trust_env=False).status_code
