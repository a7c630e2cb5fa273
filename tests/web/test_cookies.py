"""Cookies: off unless asked for, and never from another site's pages."""

from itertools import product

import pytest

from asyncauth import AuthManager
from asyncauth.errors import ConfigurationError, CrossOriginError, InvalidValueError, MalformedTokenError
from asyncauth.web.cookies import CookiePolicy, check_same_origin
from asyncauth.web.http import Scope
from tests.web.apps import METHODS, MakeApp
from tests.web.conftest import bearer, client

COOKIE = CookiePolicy()
ORIGINS: dict[str, tuple[dict[str, str], bool]] = {
    # what the browser says → whether that is our own page
    "nothing": ({}, False),
    "our origin": ({"Origin": "http://testserver"}, True),
    "our origin in capitals": ({"Origin": "HTTP://TESTSERVER"}, False),
    "our fetch site": ({"Sec-Fetch-Site": "same-origin"}, True),
    "both": ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, True),
    "another scheme": ({"Origin": "https://testserver"}, False),
    "another port": ({"Origin": "http://testserver:8080"}, False),
    "another host": ({"Origin": "http://evil.example"}, False),
    "a host that starts alike": ({"Origin": "http://testserver.evil.example"}, False),
    "a host that ends alike": ({"Origin": "http://eviltestserver"}, False),
    "our name as a user": ({"Origin": "http://testserver@evil.example"}, False),
    "null": ({"Origin": "null"}, False),
    "null and our fetch site": ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, False),
    "another host and our fetch site": ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, False),
    "our origin, another fetch site": ({"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"}, False),
    "same site": ({"Sec-Fetch-Site": "same-site"}, False),
    "cross site": ({"Sec-Fetch-Site": "cross-site"}, False),
    "typed by the user": ({"Sec-Fetch-Site": "none"}, False),
    "empty": ({"Origin": ""}, False),
    "referer": ({"Referer": "http://testserver/"}, False),
}
SAFE = {"GET", "HEAD", "OPTIONS"}
CREDENTIALS = ("none", "header", "cookie", "header and cookie", "bad header and cookie", "basic and cookie")


def expected(method: str, credential: str, *, ours: bool) -> int:
    """The rule, said once more."""
    if credential in ("none", "bad header and cookie", "basic and cookie"):
        return 401
    if credential == "cookie" and method not in SAFE and not ours:
        return 403
    return 200


async def test_the_whole_matrix(make_app: MakeApp, auth: AuthManager, token: str) -> None:
    """Methods, credentials, origins: a cookie does nothing for other sites, and a header decides alone."""
    cookie = f"theme=dark; {COOKIE.name}={token}; lang=en"
    sent: dict[str, dict[str, str]] = {
        "none": {},
        "header": bearer(token),
        "cookie": {"Cookie": cookie},
        "header and cookie": {**bearer(token), "Cookie": f"{COOKIE.name}=garbage"},
        "bad header and cookie": {**bearer("garbage"), "Cookie": cookie},
        "basic and cookie": {"Authorization": "Basic YWRhOmFkYQ==", "Cookie": cookie},
    }
    wrong = []
    async with client(make_app(auth, COOKIE)) as http:
        for method, credential, origin in product(METHODS, CREDENTIALS, ORIGINS):
            headers, ours = ORIGINS[origin]
            response = await http.request(method, "/dags/etl", headers={**sent[credential], **headers})
            if response.status_code != expected(method, credential, ours=ours):
                wrong.append((method, credential, origin, response.status_code))
            if response.status_code == 403 and method != "HEAD":
                assert response.json() == {"detail": "a cookie is accepted from this server's own pages only"}
    assert not wrong


async def test_a_cookie_may_still_be_forbidden(make_app: MakeApp, auth: AuthManager, token: str) -> None:
    """403 with the reason, as with a header."""
    async with client(make_app(auth, COOKIE)) as http:
        response = await http.get("/dags/billing", headers={"Cookie": f"{COOKIE.name}={token}"})
    assert response.status_code == 403
    assert "no role of `ada`" in response.json()["detail"]


COOKIES: list[tuple[list[str], int]] = [
    ([""], 401),
    (["garbage"], 401),
    (["; ;=;=;;"], 401),
    ([f"{COOKIE.name}="], 401),
    ([f"{COOKIE.name}=garbage"], 401),
    ([f'{COOKIE.name}="%s"'], 401),
    ([f"{COOKIE.name}=\xff"], 401),
    ([f"x{COOKIE.name}=%s"], 401),
    ([f"{COOKIE.name.upper()}=%s"], 401),
    ([f"{COOKIE.name}=%s; {COOKIE.name}=%s"], 401),  # one of them may be planted
    ([f"{COOKIE.name}=%s", f"{COOKIE.name}=garbage"], 401),
    ([f"{COOKIE.name}=" + "a" * 1_000_000], 401),
    (["a=b", f"{COOKIE.name}=%s"], 200),  # HTTP/2 splits the header
    ([f"a=b;{COOKIE.name}=%s"], 200),
    ([f" {COOKIE.name} = %s "], 200),
]


async def test_hostile_cookies(make_app: MakeApp, auth: AuthManager, token: str) -> None:
    """Nothing passes by accident, nothing fails with 500."""
    async with client(make_app(auth, COOKIE)) as http:
        for cookies, status in COOKIES:
            headers = [(b"cookie", cookie.replace("%s", token).encode("latin-1")) for cookie in cookies]
            assert (await http.get("/me", headers=headers)).status_code == status, cookies


async def test_other_origins_of_ours(make_app: MakeApp, auth: AuthManager, token: str) -> None:
    """Where a proxy hides how the server is reached, its operator names it; nothing that looks alike counts."""
    policy = CookiePolicy(origins=("https://outer.example", "http://[::1]:8080"))
    async with client(make_app(auth, policy)) as http:
        for origin, status in (
            ("https://outer.example", 200),
            ("http://[::1]:8080", 200),
            ("http://testserver", 200),
            ("http://outer.example", 403),
            ("https://outer.example:8443", 403),
            ("https://outer.example.evil.example", 403),
            ("https://OUTER.example", 403),
            ("null", 403),
        ):
            headers = {"Cookie": f"{policy.name}={token}", "Origin": origin}
            assert (await http.post("/dags/etl", headers=headers)).status_code == status, origin
            cross = await http.post("/dags/etl", headers={**headers, "Sec-Fetch-Site": "cross-site"})
            assert cross.status_code == 403


@pytest.mark.parametrize(
    "origin", ["", "null", "*", "example.com", "https://example.com/", "HTTPS://x", "https://x y", "ftp://x"]
)
def test_origins_that_cannot_be(origin: str) -> None:
    """Said at once: it would never match."""
    with pytest.raises(ConfigurationError, match="is no origin"):
        CookiePolicy(origins=(origin,))


def scope(headers: list[tuple[bytes, bytes]], **values: object) -> Scope:
    """A POST."""
    return {"type": "http", "method": "POST", "scheme": "https", "headers": headers, **values}


OURS = (b"origin", b"https://api.example")


@pytest.mark.parametrize(
    ("headers", "values", "same"),
    [
        ([(b"host", b"api.example"), OURS], {}, True),
        ([(b"host", b"API.Example"), OURS], {}, True),
        ([(b"host", b"api.example:443"), OURS], {}, True),
        ([(b"host", b"api.example:80"), OURS], {}, False),
        ([(b"host", b"api.example:80"), (b"origin", b"http://api.example")], {"scheme": "http"}, True),
        ([(b"host", b"api.example:8443"), (b"origin", b"https://api.example:8443")], {}, True),
        ([(b"host", b"[::1]:8443"), (b"origin", b"https://[::1]:8443")], {}, True),
        ([(b"host", b"api.example"), OURS], {"scheme": "wss", "type": "websocket"}, True),
        ([(b"host", b"api.example"), OURS], {"scheme": "ws", "type": "websocket"}, False),
        ([(b"host", b"api.example"), OURS, OURS], {}, False),
        ([(b"host", b"api.example"), (b"host", b"api.example"), OURS], {}, False),
        ([OURS], {}, False),
        ([(b"host", b""), (b"origin", b"https://")], {}, False),
        ([(b"sec-fetch-site", b"same-origin")], {}, True),
        ([(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"same-origin")], {}, False),
        ([(b"sec-fetch-site", b"same-origin, cross-site")], {}, False),
        ([(b"host", b"api.example"), (b"origin", b"https://api.example/")], {}, False),
        ([(b"host", b"api.example"), (b"origin", b"\xff")], {}, False),
    ],
)
def test_same_origin(headers: list[tuple[bytes, bytes]], values: dict[str, object], *, same: bool) -> None:
    """Scheme, host and port; a default port may be left out; nothing may come twice."""
    if same:
        check_same_origin(scope(headers, **values))
    else:
        with pytest.raises(CrossOriginError):
            check_same_origin(scope(headers, **values))


def test_set_and_clear() -> None:
    """HttpOnly, Secure, SameSite, and a name that no neighbouring host can plant."""
    token = "aaa.bbb-_.ccc"
    assert COOKIE.set_cookie(token) == f"__Host-asyncauth={token}; Path=/; HttpOnly; Secure; SameSite=Lax"
    assert COOKIE.set_cookie(token, max_age_seconds=60) == (
        f"__Host-asyncauth={token}; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Lax"
    )
    assert COOKIE.clear_cookie() == "__Host-asyncauth=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax"
    plain = CookiePolicy(name="token", path="/api", secure=False, samesite="Strict")
    assert plain.set_cookie(token) == f"token={token}; Path=/api; HttpOnly; SameSite=Strict"


def test_a_token_that_browsers_would_drop_is_refused() -> None:
    """Name and value together may have 4096 bytes, as RFC 6265bis and ASVS 3.3.5 say."""
    longest = "a" * (4096 - len(COOKIE.name))
    assert len(COOKIE.set_cookie(longest).partition(";")[0]) == 4096 + len("=")
    with pytest.raises(InvalidValueError, match="4096 bytes"):
        COOKIE.set_cookie(longest + "a")


@pytest.mark.parametrize("token", ["", "a b", "a;b", "a\r\nSet-Cookie: x=y", 'a"b', "ä", "a,b"])
def test_a_token_that_breaks_the_header_is_refused(token: str) -> None:
    """No attribute and no second header can be smuggled in."""
    with pytest.raises(InvalidValueError):
        COOKIE.set_cookie(token)


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a=b"},
        {"name": "a;b"},
        {"path": ""},
        {"path": "api"},
        {"path": "/;Domain=evil.example"},
        {"path": "/\n"},
        {"path": "/api"},  # the default name promises the path `/`
        {"secure": False},  # and Secure
        {"name": "__Secure-token", "secure": False},
        {"samesite": "None"},
    ],
)
def test_a_policy_that_cannot_hold_is_refused(values: dict[str, object]) -> None:
    """At once, not at the first request."""
    with pytest.raises(ConfigurationError):
        CookiePolicy(**values)  # type: ignore[arg-type]


def test_a_cookie_sent_twice_is_refused() -> None:
    """Even with the same value."""
    twice = [(b"cookie", b"__Host-asyncauth=a"), (b"cookie", b"__Host-asyncauth=a")]
    with pytest.raises(MalformedTokenError):
        COOKIE.find_token(scope([*twice, (b"sec-fetch-site", b"same-origin")]))
