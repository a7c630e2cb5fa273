"""Managing users on the pages."""

from typing import Any

import pytest

from asyncauth import AuthManager, admin
from asyncauth.errors import BusyError, DatabaseUnavailableError, LoginError, NotFoundError, RevokedTokenError
from asyncauth.pages import user_forms
from tests.rows import add_group, add_role, add_user, through
from tests.web.api.conftest import USERS
from tests.web.pages.browser import Browser, Page
from tests.web.pages.conftest import EDIT, OWN_PASSWORD, PASSWORD, PASSWORDS, READ, make_user

ADA = {"username": "ada", "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
NEW = {"password": "new horse", "password_again": "new horse"}


async def test_a_user_is_added_changed_switched_and_deleted(admin_browser: Browser, auth: AuthManager) -> None:
    """The whole life, clicked through."""
    browser = admin_browser
    page = await browser.get((await browser.get("/auth/users/list/")).links()["Add a user"])
    page = await browser.fill(page, "/auth/users/add", {**ADA, **NEW, "roles": ["Viewer"]})
    assert (page.heading, page.notice) == ("User ada", "The user was added.")
    assert await auth.login("ada", "new horse")
    assert (await admin.get_user(auth, "ada")).roles == ("Viewer",)

    page = await browser.get(page.links()["Edit"])
    assert {name: page.value(name) for name in ADA} == ADA
    assert page.ticked("roles") == ["Viewer"]
    changes = {"username": "lady", "first_name": "", "email": "lady@example.org", "roles": ["Public"]}
    page = await browser.fill(page, "/auth/users/edit/ada", changes)
    assert (page.heading, page.notice) == ("User lady", "The user was changed.")
    lady = await admin.get_user(auth, "lady")
    assert (lady.first_name, lady.last_name, lady.email, lady.roles) == (
        *("", "Lovelace", "lady@example.org"),
        ("Public",),
    )

    token = await auth.login("lady", "new horse")
    page = await browser.fill(page, "/auth/users/deactivate/lady")
    assert page.notice == "The user was deactivated and logged out everywhere."
    assert page.root.one("span", class_="tag off").text == "inactive"
    with pytest.raises(LoginError):
        await auth.login("lady", "new horse")
    page = await browser.fill(page, "/auth/users/activate/lady")
    assert page.notice == "The user can log in again."
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(token)

    form = await browser.get(page.links()["Set a password"])
    page = await browser.fill(form, "/auth/users/password/lady", {"password": "third", "password_again": "third"})
    assert page.notice == "The password was changed. The user was logged out everywhere."
    assert await auth.login("lady", "third")

    page = await browser.get(page.links()["Delete …"])
    assert page.heading == "Delete user lady?"
    assert (await admin.get_user(auth, "lady")).username == "lady"
    page = await browser.fill(page, "/auth/users/delete/lady")
    assert (page.heading, page.notice) == ("Users", "The user was deleted.")
    with pytest.raises(NotFoundError):
        await admin.get_user(auth, "lady")
    done = [(record.what, record.actor, record.address) for record in (await admin.list_audit(auth)).items]
    assert done[0] == ("delete", "root", "192.0.2.7")
    assert {(actor, address) for _, actor, address in done} == {("root", "192.0.2.7")}


REFUSED: list[tuple[dict[str, str | list[str]], int, str | None, list[str]]] = [
    ({"username": ""}, 400, "The user name is empty.", ["username"]),
    ({"username": "  "}, 400, "The user name is empty.", ["username"]),
    ({"username": "a\tb"}, 400, "The user name holds control or unpaired characters.", ["username"]),
    ({"username": "x" * 513}, 400, "The user name is longer than 512 characters.", ["username"]),
    ({"username": "ROOT"}, 409, "The user name 'ROOT' is taken.", ["username"]),
    ({"email": ""}, 400, "The e-mail is empty.", ["email"]),
    ({"email": "root@example.org"}, 409, "The e-mail 'root@example.org' is taken.", ["email"]),
    ({"first_name": "x" * 257}, 400, "The first name is longer than 256 characters.", ["first_name"]),
    ({"last_name": "x\x7f"}, 400, "The last name holds control or unpaired characters.", ["last_name"]),
]
OF_ADDING: list[tuple[dict[str, str | list[str]], int, str | None, list[str]]] = [
    ({"password": "", "password_again": ""}, 400, "Type in the new password.", ["password"]),
    ({"password_again": "other"}, 400, "The two new passwords differ.", ["password_again"]),
    ({"password": "x" * 5000, "password_again": "x" * 5000}, 400, None, ["password"]),
    ({"roles": ["Gone", "Viewer"]}, 400, "Unknown roles: 'Gone'.", []),
]


async def test_what_cannot_be_added_stays_in_the_form(admin_browser: Browser, auth: AuthManager) -> None:
    """With the right field marked; but passwords are typed again."""
    page = await admin_browser.get("/auth/users/add")
    for changes, status, words, wrong in [*REFUSED, *OF_ADDING]:
        sent: dict[str, Any] = {**ADA, **NEW, "roles": ["Viewer"], **changes}
        page = await admin_browser.fill(page, "/auth/users/add", sent)
        assert (page.status, page.wrong) == (status, wrong), changes
        assert words is None or page.problem == words
        for name in ADA:
            assert page.value(name) == str(sent[name]).strip()
        assert page.ticked("roles") == sorted(sent["roles"])
        assert sent["password"] not in page.response.text or not sent["password"]
        for name in wrong:
            box = page.root.one("input", name=name)
            assert page.root.one(id=box.attributes["aria-describedby"]).text == page.problem
            assert "autofocus" in box.attributes
    with pytest.raises(NotFoundError):
        await admin.get_user(auth, "ada")


async def test_what_cannot_be_changed_stays_in_the_form(admin_browser: Browser, auth: AuthManager) -> None:
    """The same for editing."""
    await make_user(auth, "ada", role="Viewers")
    page = await admin_browser.get("/auth/users/edit/ada")
    for changes, status, words, wrong in [*REFUSED, OF_ADDING[-1]]:
        sent: dict[str, Any] = {**ADA, "roles": ["Viewers"], **changes}
        page = await admin_browser.fill(page, "/auth/users/edit/ada", sent)
        assert (page.status, page.problem, page.wrong, page.heading) == (status, words, wrong, "Edit user ada")
        for name in ADA:
            assert page.value(name) == str(sent[name]).strip()
        assert page.ticked("roles") == sent["roles"]
    assert (await admin.get_user(auth, "ada")).roles == ("Viewers",)


async def test_two_editors_do_not_undo_each_other(admin_browser: Browser, auth: AuthManager) -> None:
    """The second is told what is stored now, and may then insist."""
    await make_user(auth, "ada", role="Viewers")
    first = await admin_browser.get("/auth/users/edit/ada")
    second = await admin_browser.get("/auth/users/edit/ada")
    await admin_browser.fill(first, "/auth/users/edit/ada", {"last_name": "Byron", "roles": ["Public"]})
    page = await admin_browser.fill(second, "/auth/users/edit/ada", {"email": "new@example.org"})
    assert (page.status, page.problem) == (
        412,
        "Somebody else changed this meanwhile: look it through and send it again.",
    )
    assert (page.value("email"), page.value("last_name"), page.ticked("roles")) == (
        *("new@example.org", "Lovelace"),
        ["Viewers"],
    )
    told = [one.text for one in page.root.all("p", class_="now")]
    assert told == ["Stored now: Byron", "Stored now: ada@example.org", "Stored now: Public"]
    ada = await admin.get_user(auth, "ada")
    assert (ada.last_name, ada.email, ada.roles) == ("Byron", "ada@example.org", ("Public",))
    page = await admin_browser.fill(page, "/auth/users/edit/ada", {"last_name": "Byron"})
    assert page.notice == "The user was changed."
    assert (await admin.get_user(auth, "ada")).roles == ("Viewers",)


@pytest.mark.parametrize("what", ["deactivate", "delete", "password", "edit"])
async def test_no_form_changes_what_it_has_not_seen(admin_browser: Browser, auth: AuthManager, what: str) -> None:
    """Every form about a user carries what was seen."""
    await make_user(auth, "ada")
    page = await admin_browser.get(f"/auth/users/{'show' if what == 'deactivate' else what}/ada")
    await admin.update_user(auth, "ada", last_name="Byron")
    before = await admin.get_user(auth, "ada")
    values = NEW if what == "password" else {}
    page = await admin_browser.fill(page, f"/auth/users/{what}/ada", values)
    assert (page.status, "meanwhile" in page.problem) == (412, True)
    assert await admin.get_user(auth, "ada") == before
    assert await auth.login("ada", PASSWORD)
    page = await admin_browser.fill(page, f"/auth/users/{what}/ada", values)
    assert (page.status, page.problem) == (200, "")


async def test_the_last_administrator_stays(admin_browser: Browser, auth: AuthManager) -> None:
    """However it is tried, with the form kept."""
    words = "Nobody would be left who can manage the others: this is the last active administrator."
    page = await admin_browser.get("/auth/users/show/root")
    page = await admin_browser.fill(page, "/auth/users/deactivate/root")
    assert (page.status, page.problem, page.heading) == (409, words, "User root")
    page = await admin_browser.fill(await admin_browser.get("/auth/users/delete/root"), "/auth/users/delete/root")
    assert (page.status, page.problem) == (409, words)
    page = await admin_browser.get("/auth/users/edit/root")
    page = await admin_browser.fill(page, "/auth/users/edit/root", {"roles": [], "last_name": "New"})
    assert (page.status, page.problem, page.value("last_name"), page.ticked("roles")) == (409, words, "New", [])
    assert (await admin.get_user(auth, "root")).roles == ("Admin",)


async def test_nobody_gives_more_than_they_hold(browser: Browser, auth: AuthManager, root: int) -> None:
    """Who may edit users and not roles: 403 in the form."""
    await make_user(auth, "clerk", USERS)
    await browser.log_in("clerk", PASSWORD)
    page = await browser.get("/auth/users/add")
    page = await browser.fill(page, "/auth/users/add", {**ADA, **NEW, "roles": ["Admin"]})
    assert (page.status, page.value("username"), page.ticked("roles")) == (403, "ada", ["Admin"])
    page = await browser.get("/auth/users/password/root")
    page = await browser.fill(page, "/auth/users/password/root", NEW)
    assert (page.status, page.heading) == (403, "Set a password for root")
    assert await auth.login("root", PASSWORD)


async def test_a_list_in_parts(admin_browser: Browser, auth: AuthManager) -> None:
    """Searched, ordered, turned over; hostile numbers and orders are passed over."""

    async def work(connection: object) -> None:
        for number in range(1, 24):
            await add_user(connection, f"user{number:02}")  # type: ignore[arg-type]

    await through(auth, work)

    def names(page: Page) -> list[str]:
        return [row.text for row in page.root.all("th", scope="row")]

    page = await admin_browser.get("/auth/users/list/")
    assert names(page) == ["root", *(f"user{number:02}" for number in range(1, 10))]
    assert "Page 1 of 3, 24 users" in page.root.one("main").text
    assert "Previous page" not in page.links()
    page = await admin_browser.get(page.links()["Next page"])
    page = await admin_browser.get(page.links()["Next page"])
    assert names(page) == ["user20", "user21", "user22", "user23"]
    assert "Next page" not in page.links()
    assert names(await admin_browser.get(page.links()["Previous page"]))[0] == "user10"

    page = await admin_browser.fill(page, "/auth/users/list/", {"q": "USER1"})
    assert (names(page), page.value("q")) == ([f"user{number}" for number in range(10, 20)], "USER1")
    assert "10 users" in page.root.one("main").text
    page = await admin_browser.get(page.links()["User name"])
    assert names(page)[0] == "user19"
    assert page.root.one("th", aria_sort="descending").text.startswith("User name")
    page = await admin_browser.fill(page, "/auth/users/list/", {"q": "<nobody>"})
    assert (names(page), "Nobody has “<nobody>”" in page.root.one("main").text) == ([], True)
    for query in ("page=99", "page=-1", "page=x", "page=٣", "page=" + "9" * 5000, "order=password", "order=--email"):
        assert (await admin_browser.get(f"/auth/users/list/?{query}")).status == 200, query
    page = await admin_browser.get("/auth/users/list/?page=99")
    assert names(await admin_browser.get(page.links()["Previous page"])) == ["user20", "user21", "user22", "user23"]


async def test_many_roles(admin_browser: Browser, auth: AuthManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter leads to those that are not shown, keeps what was typed and ticked, and changes nothing."""
    monkeypatch.setattr(user_forms, "MAX_ROLES", 3)

    async def work(connection: object) -> None:
        for number in range(9):
            await add_role(connection, f"role {number}")  # type: ignore[arg-type]

    await through(auth, work)
    page = await admin_browser.get("/auth/users/add")
    boxes = [box.attributes["value"] for box in page.root.all("input", name="roles")]
    assert boxes == ["Admin", "Public", "Viewer"]
    page = await admin_browser.fill(
        page, "/auth/users/add", {**ADA, "roles": ["Public"], "role_filter": "ROLE 7"}, press="filter"
    )
    boxes = [box.attributes["value"] for box in page.root.all("input", name="roles")]
    assert (page.status, boxes, page.ticked("roles")) == (200, ["Public", "role 7"], ["Public"])
    assert (page.value("username"), page.problem) == ("ada", "")
    page = await admin_browser.fill(page, "/auth/users/add", {**NEW, "roles": ["Public", "role 7"]})
    assert page.notice == "The user was added."
    page = await admin_browser.get("/auth/users/edit/ada")
    assert page.ticked("roles") == ["Public", "role 7"]
    page = await admin_browser.fill(page, "/auth/users/edit/ada", {"role_filter": "7", "roles": []}, press="filter")
    assert set((await admin.get_user(auth, "ada")).roles) == {"Public", "role 7"}
    assert page.ticked("roles") == []


ODD_NAMES = ["a/b", ".", "..", "a\\b", "a?b#c", "100%", "%2e%2e", "a b", "é", "<i>&\"'", "a//b", "/", "a+b", "name=x"]


async def test_odd_names(admin_browser: Browser, auth: AuthManager) -> None:
    """Every name that can be stored has a page, a form and a way out."""

    async def work(connection: object) -> None:
        for number, name in enumerate(ODD_NAMES):
            user_id = await add_user(connection, name, email=f"{number}@example.org")  # type: ignore[arg-type]
            await add_group(connection, f"group {number}", members=[user_id])  # type: ignore[arg-type]

    await through(auth, work)
    listed = (await admin_browser.get("/auth/users/list/")).links()
    listed |= (await admin_browser.get("/auth/users/list/?page=2")).links()
    for name in ODD_NAMES:
        page = await admin_browser.get(listed[name])
        assert page.heading == f"User {name}"
        page = await admin_browser.get(page.links()["Edit"])
        page = await admin_browser.fill(page, "/auth/users/edit/", {"last_name": "Odd"})
        assert (page.heading, page.notice) == (f"User {name}", "The user was changed.")
        page = await admin_browser.fill(page, "/auth/users/deactivate/")
        page = await admin_browser.get(page.links()["Delete …"])
        page = await admin_browser.fill(page, "/auth/users/delete/")
        assert page.notice == "The user was deleted."


async def test_who_is_not_there(admin_browser: Browser) -> None:
    """404, as a page."""
    for path in ("show/nobody", "edit/nobody", "delete/nobody", "password/nobody", "show/", "show/a%00b"):
        page = await admin_browser.get(f"/auth/users/{path}")
        assert (page.status, page.heading) == (404, "Not found"), path


@pytest.mark.parametrize("error", [BusyError(), DatabaseUnavailableError(retry_after_seconds=3)])
async def test_busy_servers_keep_what_was_typed(
    admin_browser: Browser, monkeypatch: pytest.MonkeyPatch, error: BusyError
) -> None:
    """503, and when to come back."""

    async def refuse(*_: object, **__: object) -> None:
        raise error

    page = await admin_browser.get("/auth/users/add")
    monkeypatch.setattr(admin, "create_user", refuse)
    page = await admin_browser.fill(page, "/auth/users/add", {**ADA, **NEW, "roles": ["Viewer"]})
    assert (page.status, page.headers["Retry-After"]) == (503, str(error.retry_after_seconds))
    assert (page.value("username"), page.ticked("roles")) == ("ada", ["Viewer"])


# ── one's own password ──


async def test_my_password(browser: Browser, auth: AuthManager) -> None:
    """The present one is asked for; here one stays logged in, and nowhere else."""
    await make_user(auth, "ada", OWN_PASSWORD)
    elsewhere = browser.copy()
    await elsewhere.log_in("ada", PASSWORD)
    await browser.log_in("ada", PASSWORD)
    page = await browser.get("/auth/resetmypassword/form")
    for values, words, wrong in (
        ({"present": ""}, "Type in your present password.", "present"),
        ({"present": "wr0ng"}, "This is not your present password.", "present"),
        ({"password": ""}, "Type in the new password.", "password"),
        ({"password_again": "0ther"}, "The two new passwords differ.", "password_again"),
        ({"password": "\0", "password_again": "\0"}, None, "password"),
    ):
        sent = {"present": PASSWORD, **NEW, **values}
        page = await browser.fill(page, "/auth/resetmypassword/form", sent)
        assert (page.status, page.wrong) == (400, [wrong])
        assert words is None or page.problem == words
        assert all(f'"{text}"' not in page.response.text for text in sent.values() if text)
    before = dict(browser.cookies)
    page = await browser.fill(page, "/auth/resetmypassword/form", {"present": PASSWORD, **NEW})
    assert (page.heading, page.notice) == (
        "Your account",
        "Your password was changed. You were logged out everywhere else.",
    )
    assert browser.cookies != before
    assert (await elsewhere.get("/auth/")).heading == "Log in"
    with pytest.raises(LoginError):
        await auth.login("ada", PASSWORD)
    assert await auth.login("ada", "new horse")


async def test_my_password_when_the_new_login_fails(
    browser: Browser, auth: AuthManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is changed all the same, and that is said."""
    await make_user(auth, "ada", OWN_PASSWORD)
    await browser.log_in("ada", PASSWORD)
    page = await browser.get("/auth/resetmypassword/form")
    log_in = auth.login

    async def refuse_the_new(username: str, password: str, address: str | None) -> str:
        if password == "new horse":
            raise BusyError
        return await log_in(username, password, address)

    with monkeypatch.context() as patch:
        patch.setattr(auth, "login", refuse_the_new)
        page = await browser.fill(page, "/auth/resetmypassword/form", {"present": PASSWORD, **NEW})
    assert (page.heading, page.notice) == ("Log in", "Your password was changed. Log in with the new one.")
    assert await auth.login("ada", "new horse")


async def test_who_may_set_passwords_needs_no_other_right(browser: Browser, auth: AuthManager) -> None:
    """As FAB's `Passwords`; what they may not see is not shown in the end."""
    await make_user(auth, "ada")
    await make_user(auth, "clerk", PASSWORDS)
    await browser.log_in("clerk", PASSWORD)
    page = await browser.get("/auth/users/password/ada")
    page = await browser.fill(page, "/auth/users/password/ada", NEW)
    assert (page.heading, page.notice) == (
        "Your account",
        "The password was changed. The user was logged out everywhere.",
    )
    assert (await browser.get("/auth/users/show/ada")).status == 403


def test_rights_are_those_of_the_tests() -> None:
    """READ and EDIT are not among those that the pages ask for."""
    assert not {READ, EDIT} & {*USERS, *PASSWORDS, *OWN_PASSWORD}
