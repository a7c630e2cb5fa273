"""Logging in and out on the pages."""

import httpx
import pytest
from anyio import to_thread

from asyncauth import AuthManager
from asyncauth.errors import BusyError, DatabaseUnavailableError, RevokedTokenError, TooManyAttemptsError
from asyncauth.pages import PageOptions
from asyncauth.web.cookies import CookiePolicy
from tests.web.conftest import bearer
from tests.web.pages.browser import ORIGIN, Browser
from tests.web.pages.conftest import COOKIE, PASSWORD, deactivate, make_app, make_user

STRANGER = f"{COOKIE.name}-form"


async def test_somebody_logs_in_and_out(browser: Browser, auth: AuthManager) -> None:
    """The cookie is that of the policy; the token ends with the logout, and so do the cookies."""
    await make_user(auth, "ada")
    page = await browser.get("/auth/")
    assert browser.path == ["/auth/", "/auth/login/?next=%2Fauth%2F"]
    assert (page.status, page.heading, page.problem) == (200, "Log in", "")
    page = await browser.fill(page, "/auth/login/", {"username": "ADA", "password": PASSWORD})
    assert (page.status, page.path, page.heading) == (200, "/auth/", "Your account")
    token = browser.cookies[COOKIE.name]
    assert browser.cookies == {COOKIE.name: token}
    assert f"{COOKIE.name}={token}; Path=/; HttpOnly; Secure; SameSite=Lax" in browser.set_cookies
    assert (await auth.get_user_from_token(token)).username == "ada"

    page = await browser.fill(page, "/auth/logout/")
    assert (page.heading, page.notice) == ("Log in", "You are logged out.")
    assert COOKIE.name not in browser.cookies
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(token)


async def test_a_logout_ends_the_whole_login(browser: Browser, auth: AuthManager) -> None:
    """A token that names its login takes the login's other tokens along, as those that slid out of it."""
    user_id = await make_user(auth, "ada")
    sliding = auth.settings.model_copy(update={"refresh_tokens": True})
    async with AuthManager(sliding) as other:
        pair = await other.issue_pair(user_id)
        later = await other.refresh(pair.refresh_token)
        browser.cookies[COOKIE.name] = later.access_token
        page = await browser.get("/auth/logout/")
        assert (page.heading, "ada" in page.root.one("main").text) == ("Log out", True)
        # The token is replaced by the login's next between the page and the form.
        browser.cookies[COOKIE.name] = pair.access_token
        page = await browser.fill(await browser.get("/auth/"), "/auth/logout/")
    assert page.notice == "You are logged out."
    for token in (pair.access_token, later.access_token):
        with pytest.raises(RevokedTokenError):
            await auth.get_user_from_token(token)


async def test_a_form_outlives_its_token_in_the_same_login(browser: Browser, auth: AuthManager) -> None:
    """A cookie that slides between a page and its form makes nobody send it twice; another login's cookie does."""
    user_id = await make_user(auth, "ada")
    async with AuthManager(auth.settings.model_copy(update={"refresh_tokens": True})) as other:
        first, another = await other.issue_pair(user_id), await other.issue_pair(user_id)
        second = await other.refresh(first.refresh_token)
        browser.cookies[COOKIE.name] = first.access_token
        page = await browser.get("/auth/")
        browser.cookies[COOKIE.name] = another.access_token
        assert (await browser.fill(page, "/auth/logout/")).status == 403
        browser.cookies[COOKIE.name] = second.access_token
        assert (await browser.fill(page, "/auth/logout/")).notice == "You are logged out."


async def test_nobody_is_logged_in(browser: Browser) -> None:
    """Logging out twice is no error."""
    page = await browser.get("/auth/logout/")
    assert page.heading == "Log in"
    page = await browser.post("/auth/logout/", {})
    assert page.notice == "You are logged out."


REFUSED = [
    ("ada", "wr0ng", 401, "Wrong user name or password."),
    ("nobody", PASSWORD, 401, "Wrong user name or password."),
    ("off", PASSWORD, 401, "Wrong user name or password."),
    ("", PASSWORD, 400, "Type in your user name."),
    ("ada", "", 400, "Type in your password."),
    ("ada", "x" * 5000, 401, "Wrong user name or password."),
    ("<b>&\"'", "x", 401, "Wrong user name or password."),
    ("a\0da", PASSWORD, 401, "Wrong user name or password."),
]


async def test_refused_logins_keep_the_name_and_never_the_password(browser: Browser, auth: AuthManager) -> None:
    """With the right status, and no cookie."""
    await make_user(auth, "ada")
    await make_user(auth, "off")
    await deactivate(auth, "off")
    page = await browser.get("/auth/login/?next=/reports")
    for username, password, status, words in REFUSED:
        page = await browser.fill(page, "/auth/login/", {"username": username, "password": password})
        assert (page.status, page.problem) == (status, words), username
        assert page.value("username") == username
        assert page.value("next") == "/reports"
        assert page.wrong == ["password" if username == "ada" and not password else "username"]
        assert not password or f'"{password}"' not in page.response.text
        assert "value" not in page.root.one("input", name="password").attributes
        assert ("WWW-Authenticate" in page.headers) is (status == 401)
        assert COOKIE.name not in browser.cookies


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TooManyAttemptsError(retry_after_seconds=41), 429, "Too many logins have failed. Try again in 41 seconds."),
        (TooManyAttemptsError(retry_after_seconds=299), 429, "Too many logins have failed. Try again in 5 minutes."),
        (BusyError("secret"), 503, "The answer cannot be known just now. Try again in a second."),
        (DatabaseUnavailableError("secret"), 503, "The answer cannot be known just now. Try again in a second."),
    ],
)
async def test_it_says_when_to_try_again(
    browser: Browser, auth: AuthManager, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: str
) -> None:
    """In the form, and to programs."""

    async def refuse(*_: object, **__: object) -> str:
        raise error

    page = await browser.get("/auth/login/")
    monkeypatch.setattr(auth, "login", refuse)
    page = await browser.fill(page, "/auth/login/", {"username": "ada", "password": PASSWORD})
    assert (page.status, page.problem, page.value("username")) == (status, words, "ada")
    assert page.headers["Retry-After"] == str(getattr(error, "retry_after_seconds"))  # noqa: B009
    assert "secret" not in page.response.text


async def test_the_address_counts(browser: Browser, auth: AuthManager) -> None:
    """Failed logins are limited by the address that the server sees."""
    await make_user(auth, "ada")
    limited = auth.settings.model_copy(update={"login_failures_per_address": 2})
    async with AuthManager(limited) as manager:
        app = await to_thread.run_sync(make_app, manager)
        transport = httpx.ASGITransport(app, client=("192.0.2.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            one = Browser(http)
            statuses = [(await one.log_in("ada", "wrong")).status for _ in range(3)]
            assert (await one.log_in("ada", PASSWORD)).status == 429
        assert statuses == [401, 401, 429]
        transport = httpx.ASGITransport(app, client=("192.0.2.10", 1))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            assert (await Browser(http).log_in("ada", PASSWORD)).status == 200


async def test_who_is_logged_in_goes_on(browser: Browser, auth: AuthManager) -> None:
    """And a cookie that is worth nothing any more does not lead round in a circle."""
    await make_user(auth, "ada")
    await browser.log_in("ada", PASSWORD)
    page = await browser.get("/auth/login/?next=/auth/logout/")
    assert browser.path == ["/auth/login/?next=/auth/logout/", "/auth/"]
    page = await browser.get("/auth/login/?next=/reports", follow=False)
    assert (page.status, page.headers["location"]) == (303, "/reports")
    await deactivate(auth, "ada")
    await auth._running.follower.catch_up()  # type: ignore[union-attr]
    page = await browser.get("/auth/")
    assert (page.heading, page.value("next")) == ("Log in", "/auth/")


async def test_another_path_and_plain_http(auth: AuthManager) -> None:
    """Airflow's cookie: its path, a neighbour of the same name at the root is taken away, Secure only with https."""
    await make_user(auth, "ada")
    app = await to_thread.run_sync(make_app, auth, None, CookiePolicy("_token", path="/base", secure=False))
    for origin, secure in (("http://pages.example", ""), ("https://pages.example", " Secure;")):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=origin) as http:
            answer = await http.get("/auth/login/")
            sent = answer.headers["set-cookie"].partition(";")[0]
            token = answer.text.split('name="form_token" value="')[1].split('"')[0]
            form = {"username": "ada", "password": PASSWORD, "form_token": token}
            answer = await http.post("/auth/login/", data=form, headers={"Cookie": sent, "Origin": origin})
            assert answer.status_code == 303
            cookies = answer.headers.get_list("set-cookie")
            assert cookies[0] == f"_token=; Max-Age=0; Path=/; HttpOnly;{secure} SameSite=Lax"
            assert cookies[1].startswith("_token=ey")
            assert cookies[1].endswith(f"; Path=/base; HttpOnly;{secure} SameSite=Lax")


async def test_an_api_key_is_no_login(browser: Browser, auth: AuthManager) -> None:
    """Machines have the REST API."""
    from asyncauth import admin

    await make_user(auth, "ada")
    key = (await admin.create_api_key(auth, username="ada", name="export")).value.text
    browser.cookies[COOKIE.name] = key
    assert (await browser.get("/auth/")).heading == "Log in"


async def test_a_header_is_no_login(browser: Browser, auth: AuthManager, http: httpx.AsyncClient) -> None:
    """The pages are for browsers; what a program sends in a header leads to the login as nothing does."""
    token = auth.issue_token(await make_user(auth, "ada"))
    answer = await http.get("/auth/", headers=bearer(token))
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login/?next=%2Fauth%2F")


async def test_home_and_after_logout(auth: AuthManager) -> None:
    """As the application wants them."""
    await make_user(auth, "ada")
    options = PageOptions(title="Mine & yours", home_url="/app/", after_logout_url="https://example.org/bye")
    app = await to_thread.run_sync(make_app, auth, options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as http:
        browser = Browser(http)
        page = await browser.get("/auth/login/")
        assert page.root.one("title").text == "Log in · Mine & yours"
        assert page.root.one("a", class_="brand").attributes["href"] == "/app/"
        page = await browser.fill(page, "/auth/login/", {"username": "ada", "password": PASSWORD}, follow=False)
        assert (page.status, page.headers["location"]) == (303, "/app/")
        page = await browser.fill(await browser.get("/auth/"), "/auth/logout/", follow=False)
        assert (page.status, page.headers["location"]) == (303, "https://example.org/bye")


async def test_a_logout_that_cannot_be_stored_says_so(
    browser: Browser, auth: AuthManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cookie stays, so that it can be tried again: else a copy of the token would live on."""
    await make_user(auth, "ada")
    page = await browser.log_in("ada", PASSWORD)

    async def refuse(*_: object) -> str:
        raise DatabaseUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(auth, "revoke_token", refuse)
        refused = await browser.fill(page, "/auth/logout/")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert COOKIE.name in browser.cookies
    assert (await browser.fill(page, "/auth/logout/")).notice == "You are logged out."
