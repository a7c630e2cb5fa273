"""Registering and forgotten passwords: on pages and by REST, off unless the application turns them on."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from anyio import to_thread
from fastapi import FastAPI

from asyncauth import AuthManager, admin
from asyncauth.admin import Message, SelfService
from asyncauth.api import make_app as make_api
from asyncauth.errors import LoginError, NotFoundError
from asyncauth.pages import PageOptions
from tests.web.pages.browser import ORIGIN, Browser
from tests.web.pages.conftest import PASSWORD, make_app, make_user

NEW = {"password": "new horse", "password_again": "new horse"}
ADA = {"username": "ada", "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}


class Mailbox:
    """What was sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        """Keep it."""
        self.messages.append(message)

    def link(self) -> str:
        """The path of the latest link."""
        link = self.messages[-1].link
        assert link is not None
        return urlsplit(link).path


@pytest.fixture
def mailbox() -> Mailbox:
    """Empty."""
    return Mailbox()


@pytest.fixture
def service(mailbox: Mailbox) -> SelfService:
    """Everything is allowed."""
    return SelfService(mailbox.send, f"{ORIGIN}/auth", registration=True, recovery=True, resend_seconds=0)


@pytest.fixture
def options(service: SelfService) -> PageOptions:
    """In place of the usual ones."""
    return PageOptions(title="Example", self_service=service)


async def test_somebody_registers(browser: Browser, auth: AuthManager, mailbox: Mailbox) -> None:
    """From the login page to the first login."""
    page = await browser.get("/auth/login/")
    page = await browser.get(page.links()["Register"])
    page = await browser.fill(page, "/auth/register/form", {**ADA, "password": "x", "password_again": "y"})
    assert (page.status, page.wrong, page.value("username")) == (400, ["password_again"], "ada")
    page = await browser.fill(page, "/auth/register/form", NEW)
    assert (page.status, page.heading) == (200, "Look into your e-mail")
    with pytest.raises(NotFoundError):
        await admin.get_user(auth, "ada")
    page = await browser.get(mailbox.link())
    assert page.heading == "Confirm your e-mail"
    with pytest.raises(NotFoundError):
        await admin.get_user(auth, "ada")
    page = await browser.fill(page, "/auth/register/activation/", {"password": "wrong"})
    assert (page.status, "password is not that" in page.problem) == (400, True)
    page = await browser.fill(page, "/auth/register/activation/", {"password": "new horse"})
    assert (page.heading, page.notice) == ("Log in", "Your e-mail is confirmed. Log in.")
    page = await browser.fill(page, "/auth/login/", {"username": "ada", "password": "new horse"})
    assert page.heading == "Your account"


async def test_a_forgotten_password(browser: Browser, auth: AuthManager, mailbox: Mailbox) -> None:
    """From the login page to a login with the new one; the link is good for one."""
    await make_user(auth, "ada")
    page = await browser.get("/auth/login/")
    page = await browser.get(page.links()["Forgotten your password?"])
    page = await browser.fill(page, "/auth/forgottenpassword/form", {"email": ""})
    assert (page.status, page.wrong) == (400, ["email"])
    page = await browser.fill(page, "/auth/forgottenpassword/form", {"email": "ada@example.org"})
    assert page.heading == "Look into your e-mail"
    form = await browser.get(mailbox.link())
    page = await browser.fill(form, "/auth/resetpassword/link/", {**NEW, "password_again": "other"})
    assert (page.status, page.wrong) == (400, ["password_again"])
    page = await browser.fill(page, "/auth/resetpassword/link/", NEW)
    assert (page.heading, page.notice) == ("Log in", "Your password was changed. Log in with the new one.")
    assert await auth.login("ada", "new horse")
    with pytest.raises(LoginError):
        await auth.login("ada", PASSWORD)
    page = await browser.fill(await browser.get(mailbox.link()), "/auth/resetpassword/link/", NEW)
    assert (page.status, page.problem) == (400, "The link is not valid any more: ask for a new one.")


async def test_nobody_learns_who_has_an_account(browser: Browser, auth: AuthManager, mailbox: Mailbox) -> None:
    """The same answers, letter for letter, but for the form's token; what is sent differs."""
    await make_user(auth, "bob")
    answers = []
    for email in ("bob@example.org", "nobody@example.org"):
        page = await browser.get("/auth/forgottenpassword/form")
        answers.append((await browser.fill(page, "/auth/forgottenpassword/form", {"email": email})).response.text)
    assert answers[0] == answers[1]
    for email in ("bob@example.org", "ada@example.org"):
        page = await browser.get("/auth/register/form")
        page = await browser.fill(page, "/auth/register/form", {**ADA, **NEW, "email": email})
        answers.append(page.response.text)
    assert answers[2] == answers[3]
    assert [(one.kind, one.email) for one in mailbox.messages] == [
        *(("reset", "bob@example.org"), ("known", "bob@example.org")),
        ("confirm", "ada@example.org"),
    ]


async def test_links_do_not_follow_the_host(http: httpx.AsyncClient, auth: AuthManager, mailbox: Mailbox) -> None:
    """Whoever asks with another host gets no link to it sent to anybody."""
    await make_user(auth, "ada")
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = await http.get("/auth/forgottenpassword/form", headers=evil)
    token = answer.text.split('name="form_token" value="')[1].split('"')[0]
    cookie = answer.headers["set-cookie"].partition(";")[0]
    http.cookies.clear()
    headers = {**evil, "Cookie": cookie, "Origin": "https://evil.example"}
    answer = await http.post(
        "/auth/forgottenpassword/form", data={"email": "ada@example.org", "form_token": token}, headers=headers
    )
    assert answer.status_code == 200
    assert str(mailbox.messages[-1].link).startswith(f"{ORIGIN}/auth/resetpassword/link/")


FORMS = [
    "/auth/register/form",
    "/auth/register/activation/x",
    "/auth/forgottenpassword/form",
    "/auth/resetpassword/link/x",
]


async def test_forms_need_their_tokens(browser: Browser, auth: AuthManager, mailbox: Mailbox) -> None:
    """And come from this site's pages."""
    await make_user(auth, "bob")
    sent = {**ADA, **NEW, "email": "bob@example.org"}
    for path in FORMS:
        page = await browser.get(path)
        assert page.status == 200
        assert (await browser.post(path, {**sent, "form_token": "x"})).status == 403
        token = page.value("form_token")
        evil = {"Origin": "https://evil.example"}
        assert (await browser.post(path, {**sent, "form_token": token}, headers=evil)).status == 403
    assert mailbox.messages == []


@pytest.mark.parametrize("on", ["nothing", "registration", "recovery"])
async def test_only_what_is_turned_on(service: SelfService, on: str, auth: AuthManager) -> None:
    """Has pages, routes, and links on the login page."""
    one = SelfService(service.send, service.url, registration=on == "registration", recovery=on == "recovery")
    for made in ([None] if on == "nothing" else []) + [one]:
        app = await to_thread.run_sync(make_app, auth, PageOptions(self_service=made))
        mounted = next(route for route in app.routes if getattr(route, "path", "") == "/auth")
        paths = {route.path for route in mounted.routes}  # type: ignore[attr-defined]
        assert ("/register/form" in paths, "/register/activation/{name:path}" in paths) == (on == "registration",) * 2
        assert ("/forgottenpassword/form" in paths, "/resetpassword/link/{name:path}" in paths) == (
            on == "recovery",
        ) * 2
        routes = make_api(auth, self_service=made).openapi()["paths"]
        assert ("/auth/v1/register" in routes, "/auth/v1/register/confirm" in routes) == (on == "registration",) * 2
        assert ("/auth/v1/password/forgotten" in routes, "/auth/v1/password/reset" in routes) == (on == "recovery",) * 2


# ── REST ──


@pytest.fixture
def api_app(auth: AuthManager, service: SelfService) -> FastAPI:
    """The API with everything turned on."""
    return make_api(auth, self_service=service)


@pytest.fixture
async def api(api_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, without a token."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api_app), base_url=f"{ORIGIN}/auth/v1/") as client:
        yield client


async def test_registering_by_rest(api: httpx.AsyncClient, auth: AuthManager, mailbox: Mailbox) -> None:
    """202 whoever it is, 409 for a name, 400 for a link."""
    await make_user(auth, "bob")
    body = {**ADA, "password": "new horse"}
    answer = await api.post("register", json={**body, "email": "bob@example.org"})
    same = await api.post("register", json=body)
    assert (answer.status_code, answer.content) == (same.status_code, same.content) == (202, b"null")
    assert [one.kind for one in mailbox.messages] == ["known", "confirm"]
    taken = await api.post("register", json={**body, "username": "BOB", "email": "x@example.org"})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:asyncauth:problem:taken")
    refused = await api.post("register/confirm", json={"token": mailbox.messages[-1].token, "password": "wrong"})
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:asyncauth:problem:link")
    done = await api.post("register/confirm", json={"token": mailbox.messages[-1].token, "password": "new horse"})
    assert (done.status_code, "X-Consistency-Token" in done.headers) == (204, True)
    assert await auth.login("ada", "new horse")
    for wrong in ({}, {**body, "roles": ["Admin"]}, {**body, "active": True}, {**body, "username": ""}):
        answer = await api.post("register", json=wrong)
        assert answer.status_code == 422
        assert "new horse" not in answer.text


async def test_a_forgotten_password_by_rest(api: httpx.AsyncClient, auth: AuthManager, mailbox: Mailbox) -> None:
    """The same."""
    await make_user(auth, "bob")
    answers = [await api.post("password/forgotten", json={"email": f"{name}@example.org"}) for name in ("bob", "eve")]
    assert [(one.status_code, one.content) for one in answers] == [(202, b"null")] * 2
    (message,) = mailbox.messages
    done = await api.post("password/reset", json={"token": message.token, "password": "new horse"})
    assert (done.status_code, "X-Consistency-Token" in done.headers) == (204, True)
    assert await auth.login("bob", "new horse")
    again = await api.post("password/reset", json={"token": message.token, "password": "third"})
    assert (again.status_code, again.json()["type"]) == (400, "urn:asyncauth:problem:link")
