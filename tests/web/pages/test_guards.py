"""What holds for every page: who gets in, from where a form may come, what goes out with each answer."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from anyio import to_thread
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncauth import AuthManager, admin
from asyncauth.errors import ConfigurationError, DatabaseUnavailableError
from asyncauth.pages import PageOptions, forms, page_routes, routes
from asyncauth.web.http import ASGIApp
from asyncauth.web.starlette import install
from tests.rows import Pair
from tests.web.api.conftest import ROLES, USERS
from tests.web.pages.browser import ORIGIN, Browser, Page
from tests.web.pages.conftest import COOKIE, OWN_PASSWORD, PASSWORD, PASSWORDS, make_app, make_user

EVERY: list[Pair] = [*USERS, *ROLES, *OWN_PASSWORD, *PASSWORDS]
POSTS = [page for page in routes.PAGES if page.post is not None]
GETS = [page for page in routes.PAGES if page.get is not None]
NEEDS: dict[tuple[str, str], set[Pair]] = {
    # Which single permissions open a page; none: whoever is logged in.
    ("GET", "/"): set(),
    ("GET", "/resetmypassword/form"): {("can_read", "My Password")},
    ("POST", "/resetmypassword/form"): {("can_edit", "My Password")},
    ("GET", "/users/list/"): {("can_read", "Users")},
    ("GET", "/users/show/"): {("can_read", "Users")},
    ("GET", "/users/add"): {("can_create", "Users")},
    ("POST", "/users/add"): {("can_create", "Users")},
    ("GET", "/users/edit/"): {("can_edit", "Users")},
    ("POST", "/users/edit/"): {("can_edit", "Users")},
    ("GET", "/users/password/"): {("can_edit", "Users"), ("can_edit", "Passwords")},
    ("POST", "/users/password/"): {("can_edit", "Users"), ("can_edit", "Passwords")},
    ("POST", "/users/activate/"): {("can_edit", "Users")},
    ("POST", "/users/deactivate/"): {("can_edit", "Users")},
    ("GET", "/users/delete/"): {("can_delete", "Users")},
    ("POST", "/users/delete/"): {("can_delete", "Users")},
    ("GET", "/roles/list/"): {("can_read", "Roles")},
    ("GET", "/roles/show/"): {("can_read", "Roles")},
    ("GET", "/roles/add"): {("can_create", "Roles")},
    ("POST", "/roles/add"): {("can_create", "Roles")},
    ("GET", "/roles/edit/"): {("can_edit", "Roles")},
    ("POST", "/roles/edit/"): {("can_edit", "Roles")},
    ("POST", "/roles/rename/"): {("can_edit", "Roles")},
    ("GET", "/roles/delete/"): {("can_delete", "Roles")},
    ("POST", "/roles/delete/"): {("can_delete", "Roles")},
}


def address(page: routes.Page) -> str:
    """Of a page about somebody or something that exists."""
    return f"/auth{page.path}" + (("ada" if "/users/" in page.path else "Viewer") if page.named else "")


def closed() -> Iterator[tuple[str, routes.Page]]:
    """Every page that is not open to all, with each of its methods."""
    for page in routes.PAGES:
        if not page.open:
            yield from (("GET", page) for _ in [0] if page.get is not None)
            yield from (("POST", page) for _ in [0] if page.post is not None)


async def visit(browser: Browser, method: str, page: routes.Page) -> Page:
    """Open it, or send it an empty form."""
    if method == "GET":
        return await browser.get(address(page), follow=False)
    return await browser.post(address(page), {}, follow=False)


async def test_each_page_by_each_permission(browser: Browser, auth: AuthManager) -> None:
    """The whole matrix: without the right one 403, and a form without a token does nothing even with it."""
    assert NEEDS.keys() == {(method, page.path) for method, page in closed()}
    await make_user(auth, "ada")
    await admin.create_role(auth, "Viewer")
    for number, pair in enumerate([None, *EVERY]):
        await make_user(auth, f"user{number}", [] if pair is None else [pair])
        await browser.log_in(f"user{number}", PASSWORD)
        for method, page in closed():
            needed = NEEDS[method, page.path]
            answer = await visit(browser, method, page)
            if needed and pair not in needed:
                assert (answer.status, answer.heading) == (403, "You may not do this"), (pair, method, page.path)
                assert f"no role of 'user{number}'" in answer.problem.lower()
            else:
                assert answer.status == (200 if method == "GET" else 403), (pair, method, page.path)
                assert "out of date" in answer.problem or method == "GET"
        browser.cookies.clear()
    assert (await admin.list_audit(auth)).total == 1  # the role


async def test_strangers(browser: Browser) -> None:
    """Who reads is led to the login and back; who sends a form is told."""
    for method, page in closed():
        answer = await visit(browser, method, page)
        if method == "GET":
            assert answer.status == 303
            wanted = httpx.URL(answer.headers["location"])
            assert (wanted.path, wanted.params["next"]) == ("/auth/login/", address(page))
        else:
            assert (answer.status, answer.heading) == (401, "You are not logged in")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    answer = await browser.get("/auth/users/list/?q=a+b&page=2", follow=False)
    assert httpx.URL(answer.headers["location"]).params["next"] == "/auth/users/list/?q=a+b&page=2"


# ── forms ──

FOREIGN: list[dict[str, str]] = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://pages.example"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Referer": f"{ORIGIN}/auth/"},
]


async def test_no_form_from_another_site(admin_browser: Browser, auth: AuthManager) -> None:
    """Of no page, the login and the logout included; not even with the form's own token."""
    await make_user(auth, "ada")
    before = (await admin.list_audit(auth)).total
    for page in POSTS:
        source = await admin_browser.get(address(page)) if page.get is not None else None
        tokens = (
            [] if source is None else [one.attributes["value"] for one in source.root.all("input", name="form_token")]
        )
        for headers in FOREIGN:
            for token in ["", *tokens]:
                answer = await admin_browser.post(address(page), {"form_token": token}, headers=headers, follow=False)
                assert answer.status == 403, (page.path, headers)
                assert answer.problem.startswith("The request did not come from a page of this site")
    assert (await admin.list_audit(auth)).total == before
    assert (await admin_browser.get("/auth/")).heading == "Your account"


async def form_token(browser: Browser, path: str, action: str) -> str:
    """Of a form that goes to an address that begins so."""
    page = await browser.get(path)
    return page.form(action, "post").one("input", name="form_token").attributes["value"]


async def test_a_token_is_of_one_form_and_one_login(admin_browser: Browser, auth: AuthManager) -> None:
    """Another form's, another user's, another login's, a stranger's and a broken one are all refused."""
    await make_user(auth, "ada")
    await make_user(auth, "bob")
    other, second, stranger = admin_browser.copy(), admin_browser.copy(), admin_browser.copy()
    for one in (other, second, stranger):
        one.cookies.clear()
    await make_user(auth, "eve", EVERY)
    await other.log_in("eve", PASSWORD)
    await second.log_in("root", PASSWORD)
    good = await form_token(admin_browser, "/auth/users/delete/ada", "/auth/users/delete/")
    etag = (await admin.get_user(auth, "ada")).etag
    wrong = {
        "none": "",
        "of another form": await form_token(admin_browser, "/auth/users/show/ada", "/auth/users/deactivate/"),
        "about another": await form_token(admin_browser, "/auth/users/delete/bob", "/auth/users/delete/"),
        "of another user": await form_token(other, "/auth/users/delete/ada", "/auth/users/delete/"),
        "of another login": await form_token(second, "/auth/users/delete/ada", "/auth/users/delete/"),
        "of a stranger": await form_token(stranger, "/auth/login/", "/auth/login/"),
        "cut": good[:-1],
        "longer": f"{good}A",
        "changed": ("B" if good[0] == "A" else "A") + good[1:],
        "padding alone": "====",
        "no base64": "\u00e9" * 43,
    }
    for case, token in wrong.items():
        page = await admin_browser.post("/auth/users/delete/ada", {"form_token": token, "etag": etag})
        assert (page.status, page.problem) == (403, "The form is out of date: look it through and send it again."), case
    page = await admin_browser.post("/auth/users/delete/ada", {"form_token": good, "etag": etag})
    assert page.notice == "The user was deleted."


async def test_every_handler_checks_the_token(admin_browser: Browser, auth: AuthManager) -> None:
    """Complete forms without it: nothing is written, whatever page they are for."""
    await make_user(auth, "ada", role="Gone")
    before = (await admin.list_audit(auth)).total
    user, role = await admin.get_user(auth, "ada"), await admin.get_role(auth, "Viewer")
    everything = {
        "username": "x",
        "email": "x@example.org",
        "password": "x",
        "password_again": "x",
        "present": PASSWORD,
    }
    for page in POSTS:
        etag = user.etag if "/users/" in page.path else role.etag
        sent = {**everything, "name": "Other", "etag": etag, "shown": '["can_read", "DAG:etl"]', "form_token": ""}
        answer = await admin_browser.post(address(page), sent, follow=False)
        assert answer.status == 403, page.path
    assert (await admin.list_audit(auth)).total == before
    assert (await admin_browser.get("/auth/")).heading == "Your account"


async def test_a_login_form_belongs_to_one_browser(browser: Browser, auth: AuthManager) -> None:
    """Nobody is logged in as somebody else unawares: another browser's form does not fit, and cookies are needed."""
    await make_user(auth, "ada")
    mine, theirs = browser.copy(), browser.copy()
    page = await theirs.get("/auth/login/")
    token = page.value("form_token")
    sent = {"username": "ada", "password": PASSWORD, "form_token": token}
    answer = await mine.post("/auth/login/", sent)
    assert (answer.status, answer.problem.startswith("Your browser did not send this form's cookie back")) == (
        403,
        True,
    )
    await mine.get("/auth/login/")
    answer = await mine.post("/auth/login/", sent)
    assert (answer.status, answer.value("username"), COOKIE.name in mine.cookies) == (403, "ada", False)
    assert (await mine.fill(answer, "/auth/login/", {"password": PASSWORD})).heading == "Your account"
    assert (await theirs.post("/auth/login/", sent)).heading == "Your account"
    # A second window of the same browser, opened before the login, works as well.
    again = browser.copy()
    first = await again.get("/auth/login/")
    await again.get("/auth/login/")
    assert (
        await again.fill(first, "/auth/login/", {"username": "ada", "password": PASSWORD})
    ).heading == "Your account"


async def test_form_bodies(admin_browser: Browser, http: httpx.AsyncClient) -> None:
    """Too long, of another kind, not text, of too many fields: refused before anything else is done with them."""
    form = "application/x-www-form-urlencoded"
    head = {"Origin": ORIGIN, "Cookie": f"{COOKIE.name}={admin_browser.cookies[COOKIE.name]}"}
    for content, kind, status in (
        (b"a" * (forms.MAX_BODY_BYTES + 1), form, 413),
        (b"{}", "application/json", 415),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415),
        (b"", "", 415),
        (b"username=\xff", form, 400),
        (b"username=%ff", form, 400),
        (b"a=&" * (forms.MAX_FIELDS + 1), form, 400),
        (b"username=ada", f"{form.upper()}; charset=utf-8", 403),
    ):
        for path in ("/auth/users/add", "/auth/login/"):
            http.cookies.clear()
            answer = await http.post(path, content=content, headers={**head, "Content-Type": kind})
            assert answer.status_code == status, (content[:20], kind)
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


# ── what goes out ──


async def test_headers_of_every_answer(admin_browser: Browser, auth: AuthManager) -> None:
    """Nothing is kept, framed, sniffed, scripted or given to other sites, errors and redirects included."""
    await make_user(auth, "ada")
    answers = [await admin_browser.get(address(page), follow=False) for page in GETS]
    answers += [await admin_browser.post(address(page), {}, follow=False) for page in POSTS]
    answers.append(await admin_browser.get("/auth/users/show/nobody"))
    stranger = admin_browser.copy()
    stranger.cookies.clear()
    answers += [await visit(stranger, method, page) for method, page in closed()]
    assert {answer.status for answer in answers} == {200, 303, 401, 403, 404}
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policies = [f"Cross-Origin-{what}-Policy" for what in ("Opener", "Resource")]
        assert [answer.headers[name] for name in ("Referrer-Policy", *policies)] == ["same-origin"] * 3
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
        assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3
        assert policy["form-action"] == policy["style-src"] == "'self'"
        assert "script-src" not in policy
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


async def test_frames(auth: AuthManager) -> None:
    """Airflow's UI, which is of the same origin, may show the pages in one, if the application says so."""
    for framed, ancestors, old in ((False, "'none'", "DENY"), (True, "'self'", "SAMEORIGIN")):
        app = await to_thread.run_sync(make_app, auth, PageOptions(framed=framed))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as http:
            for path in ("/auth/login/", "/auth/"):
                answer = await http.get(path)
                assert answer.headers["Content-Security-Policy"].endswith(f"; frame-ancestors {ancestors}")
                assert answer.headers["X-Frame-Options"] == old
            page = await Browser(http).post("/auth/users/add", {})
            (link,) = [one for one in page.root.one("main").all("a") if one.attributes["href"] == "/auth/login/"]
            assert ("target" in link.attributes) is not framed


async def test_no_page_holds_a_script_or_a_style(admin_browser: Browser, auth: AuthManager) -> None:
    """They work without; and the policy would refuse them."""
    await make_user(auth, "ada")
    for page in GETS:
        answer = await admin_browser.get(address(page))
        assert not answer.root.all("script")
        assert not answer.root.all("style")
        for element in answer.root.all():
            assert not [name for name in element.attributes if name.startswith("on") or name == "style"]


async def test_static_files(admin_browser: Browser, http: httpx.AsyncClient) -> None:
    """Kept by browsers until they change; open to all."""
    page = await admin_browser.get("/auth/")
    for rel, path, kind in (
        ("stylesheet", r"/auth/static/pages\.css", "text/css; charset=utf-8"),
        ("icon", r"/auth/static/icon\.svg", "image/svg+xml; charset=utf-8"),
    ):
        link = page.root.one("link", rel=rel).attributes["href"]
        assert re.fullmatch(rf"{path}\?v=[0-9a-f]{{12}}", link)
        answer = await http.get(link)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


async def test_an_outage_is_503(admin_browser: Browser, auth: AuthManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """For reading as for writing; nothing of the error's text comes out."""

    async def refuse(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError("password of the database", retry_after_seconds=7)

    form = await admin_browser.get("/auth/roles/add")
    for name in ("list_users", "get_user", "list_roles", "get_role", "create_role"):
        monkeypatch.setattr(admin, name, refuse)
    for path in ("users/list/", "users/show/ada", "roles/list/", "roles/show/Viewer"):
        answer = await admin_browser.get(f"/auth/{path}")
        assert (answer.status, answer.headers["Retry-After"], answer.heading) == (503, "7", "Not just now")
        assert "password of" not in answer.response.text
    answer = await admin_browser.fill(form, "/auth/roles/add", {"name": "Runner"})
    assert (answer.status, answer.value("name"), answer.heading) == (503, "Runner", "Add a role")
    monkeypatch.setattr(auth, "find_user_from_token", lambda _: None)
    monkeypatch.setattr(auth, "get_user_from_token", refuse)
    answer = await admin_browser.get("/auth/")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")


async def test_methods(admin_browser: Browser, http: httpx.AsyncClient) -> None:
    """HEAD is answered as GET is; what changes something has no GET."""
    cookie = {"Cookie": f"{COOKIE.name}={admin_browser.cookies[COOKIE.name]}"}
    assert (await http.head("/auth/users/list/", headers=cookie)).status_code == 200
    for page in POSTS:
        if page.get is None:
            assert (await http.get(address(page), headers=cookie)).status_code == 405


# ── in apps ──


def mounted_in_starlette(auth: AuthManager) -> Starlette:
    """Behind Starlette's own middleware."""
    app = Starlette(routes=[Mount("/auth", routes=page_routes())])
    install(app, auth, cookie=COOKIE, public=["/auth/"])
    return app


def with_a_prefix(auth: AuthManager) -> FastAPI:
    """Not mounted."""
    app = make_app(auth)
    app.router.routes = [*page_routes(PageOptions(prefix="/auth"))]
    return app


def twice_mounted(auth: AuthManager) -> Starlette:
    """Below two paths."""
    return Starlette(routes=[Mount("/base", make_app(auth))])


@pytest.mark.parametrize(
    ("make", "base"),
    [(mounted_in_starlette, ""), (with_a_prefix, ""), (twice_mounted, "/base")],
    ids=lambda one: str(one),
)
async def test_wherever_they_are_mounted(auth: AuthManager, make: Callable[[AuthManager], ASGIApp], base: str) -> None:
    """Links, redirects and forms lead to where the pages are."""
    await make_user(auth, "root", EVERY)
    app = await to_thread.run_sync(make, auth)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as http:
        browser = Browser(http)
        page = await browser.get(f"{base}/auth/roles/list/?q=x")
        assert page.path == f"{base}/auth/login/?next={base.replace('/', '%2F')}%2Fauth%2Froles%2Flist%2F%3Fq%3Dx"
        page = await browser.fill(page, f"{base}/auth/login/", {"username": "root", "password": PASSWORD})
        assert page.path == f"{base}/auth/roles/list/?q=x"
        for link in page.root.all("a"):
            href = link.attributes["href"]
            assert href == "#main" or href.startswith(f"{base}/auth/")
            assert href == "#main" or (await browser.get(href)).status == 200
        css = page.root.one("link", rel="stylesheet").attributes["href"]
        assert (await http.get(css)).status_code == 200
        page = await browser.fill(
            await browser.get(f"{base}/auth/roles/add"), f"{base}/auth/roles/add", {"name": "New"}
        )
        assert page.path == f"{base}/auth/roles/edit/New?done=role-made"
        page = await browser.fill(page, f"{base}/auth/logout/")
        assert page.notice == "You are logged out."


async def test_an_app_without_cookies_or_without_us(auth: AuthManager) -> None:
    """Is told what to do."""
    app = await to_thread.run_sync(make_app, auth, None, None)
    bare = Starlette(routes=await to_thread.run_sync(page_routes))
    for one, path in ((app, "/auth/login/"), (bare, "/login/")):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(one), base_url=ORIGIN) as http:
            with pytest.raises(ConfigurationError, match="install"):
                await http.get(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"home_url": "javascript:alert(1)"},
        {"home_url": "//evil.example"},
        {"home_url": "/\\evil.example"},
        {"home_url": "home"},
        {"home_url": ""},
        {"after_logout_url": "data:text/html,x"},
        {"after_logout_url": "https://a b/"},
        {"prefix": "auth"},
        {"prefix": "/auth/"},
        {"prefix": "/{x}"},
        {"page_size": 0},
        {"page_size": 1000},
    ],
)
def test_options_that_cannot_be(wrong: dict[str, object]) -> None:
    """Said at once."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        PageOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["/", "/app", "/app/?x=1", "https://example.org", "https://example.org/a", "http://[::1]:80/"]
)
def test_options_that_can_be(url: str) -> None:
    """Paths and URLs."""
    assert PageOptions(home_url=url, after_logout_url=url, prefix="/a/b").home_url == url
