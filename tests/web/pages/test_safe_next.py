"""Where a login may lead. Open redirects: CVE-2021-32805 and CVE-2025-32962 of Flask-AppBuilder, and their kin."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncauth import AuthManager
from asyncauth.pages.safe_next import MAX_LENGTH, find_safe_path
from asyncauth.web.http import Scope
from tests.web.pages.browser import Browser
from tests.web.pages.conftest import PASSWORD, make_user

SCOPE: Scope = {"type": "http", "scheme": "https", "headers": [(b"host", b"pages.example")]}
NEVER = ("/auth/login", "/auth/logout")
GOOD = {
    "/": "/",
    "/dags?x=1&y=%2F%2F#top": "/dags?x=1&y=%2F%2F#top",
    "/dags?url=https://evil.example//x": "/dags?url=https://evil.example//x",
    "/auth/users/list/": "/auth/users/list/",
    "/auth/loginx": "/auth/loginx",
    "/é": "/é",
    "https://pages.example/dags?x=1": "/dags?x=1",
    "HTTPS://PAGES.example/dags": "/dags",
    "http://pages.example/": "/",
}
BAD = [
    *(
        "",
        "dags",
        "?x",
        "#x",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
    ),
    *("/\t/evil.example", "\t//evil.example", " //evil.example", "/\n/evil.example", "/\r\nLocation: x", "/a b", "/\0"),
    *(
        "https://evil.example",
        "https://evil.example/",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
    ),
    *(
        "https://pages.example.evil.example/",
        "https://pages.example@evil.example/",
        "https://evil.example/https://pages.example/",
    ),
    *(
        "https://pages.example",
        "https://pages.example//evil.example",
        "https://pages.example:444/x",
        "https://x@pages.example/",
    ),
    *(
        "javascript:alert(1)",
        "JavaScript://pages.example/%0aalert(1)",
        "data:text/html,x",
        "ftp://pages.example/x",
        "//pages.example/",
    ),
    *(
        "/x//evil.example",
        "/./",
        "/..//evil.example",
        "/../x",
        "/a/../../x",
        "/%2e%2e/x",
        "/.%2e//x",
        "/x\u2028",
        "/x\u00a0",
    ),
    *(
        "/auth/login",
        "/auth/login/",
        "/auth/login/?next=/x",
        "/auth/login?next=/x",
        "/auth/logout/",
        "/auth/%6cogin/",
        "/auth/login#x",
    ),
    *("https://pages.example/auth/login/", f"/{'x' * MAX_LENGTH}", "/\ud800"),
]


@pytest.mark.parametrize(("text", "path"), GOOD.items())
def test_paths_of_this_site(text: str, path: str) -> None:
    """As they are."""
    assert find_safe_path(SCOPE, text, NEVER) == path


@pytest.mark.parametrize("text", BAD)
def test_everything_else(text: str) -> None:
    """Is passed over."""
    assert find_safe_path(SCOPE, text, NEVER) is None


def test_nothing_is_of_this_site_without_one_host() -> None:
    """A whole URL cannot be compared then."""
    for hosts in ([], [b"pages.example", b"evil.example"]):
        scope: Scope = {**SCOPE, "headers": [(b"host", host) for host in hosts]}
        assert find_safe_path(scope, "https://pages.example/x") is None
        assert find_safe_path(scope, "/x") == "/x"


def test_other_origins_of_this_site() -> None:
    """Which an operator names, as they stand."""
    origins = ("https://outer.example",)
    assert find_safe_path(SCOPE, "https://outer.example/x?y", NEVER, origins) == "/x?y"
    bad = (
        "https://outer.example",
        "http://outer.example/x",
        "https://outer.example.evil.example/",
        "https://outer.example//x",
    )
    for text in bad:
        assert find_safe_path(SCOPE, text, NEVER, origins) is None


PIECES = st.sampled_from(
    [*"/\\:?#@%.\t\n a", "//", "..", "https:", "http://", "pages.example", "evil.example", "%2f", "%5c"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_whatever_is_let_through_stays_here(text: str) -> None:
    """As a browser would follow it: tabs and line ends dropped, `\\` taken for `/`."""
    path = find_safe_path(SCOPE, text, NEVER)
    if path is not None:
        seen = path.replace("\t", "").replace("\n", "").replace("\r", "").replace("\\", "/")
        target = urlsplit(urljoin("https://pages.example/auth/login/", seen))
        assert (target.scheme, target.netloc) == ("https", "pages.example")


async def test_a_login_goes_where_it_may(browser: Browser, auth: AuthManager) -> None:
    """By the address, by the form, and for somebody who is logged in already."""
    await make_user(auth, "ada")
    page = await browser.get("/auth/login/?next=https://pages.example/dags%3Fx=1")
    page = await browser.fill(page, "/auth/login/", {"username": "ada", "password": PASSWORD}, follow=False)
    assert page.headers["location"] == "/dags?x=1"
    page = await browser.get("/auth/login/?next=//evil.example", follow=False)
    assert page.headers["location"] == "/auth/"
    browser.cookies.clear()
    page = await browser.get("/auth/login/?next=/x")
    values = {"username": "ada", "password": PASSWORD, "next": "https://evil.example/"}
    page = await browser.fill(page, "/auth/login/", values, follow=False)
    assert page.headers["location"] == "/auth/"
