"""Managing roles on the pages."""

import json

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from asyncauth import AuthManager, Permission, admin
from asyncauth.errors import NotFoundError
from asyncauth.pages import role_permissions
from tests.rows import add_permission, add_role, through
from tests.web.api.conftest import ROLES
from tests.web.pages.browser import Browser, Page, Values
from tests.web.pages.conftest import EDIT, PASSWORD, READ, make_user


def boxes(page: Page) -> list[tuple[str, str]]:
    """The permissions that are shown with a box."""
    return [tuple(json.loads(box.attributes["value"])) for box in page.root.all("input", name="held")]


def ticked(page: Page) -> list[tuple[str, str]]:
    """Those that are ticked."""
    return [tuple(json.loads(value)) for value in page.ticked("held")]


def values(*pairs: tuple[str, str]) -> list[str]:
    """Permissions as the form sends them."""
    return [json.dumps(pair) for pair in pairs]


async def save(browser: Browser, page: Page, role: str, sent: Values | None = None) -> Page:
    """Send the boxes."""
    return await browser.fill(page, f"/auth/roles/edit/{role}", sent, method="post")


async def held(auth: AuthManager, role: str) -> set[tuple[str, str]]:
    """What a role permits."""
    return {(pair.action, pair.resource) for pair in (await admin.get_role(auth, role)).permissions}


async def test_a_role_is_added_filled_renamed_and_deleted(admin_browser: Browser, auth: AuthManager) -> None:
    """The whole life, clicked through."""
    browser = admin_browser
    page = await browser.get((await browser.get("/auth/roles/list/")).links()["Add a role"])
    page = await browser.fill(page, "/auth/roles/add", {"name": "Runner"})
    assert (page.heading, page.notice) == ("Edit role Runner", "The role was added. It has no permissions yet.")

    page = await browser.fill(page, "/auth/roles/edit/Runner", {"q": "etl"}, method="get")
    assert (boxes(page), ticked(page), page.value("q")) == ([READ, EDIT], [], "etl")
    page = await save(browser, page, "Runner", {"held": values(READ, EDIT)})
    assert (page.notice, ticked(page), page.value("q")) == ("The role was changed.", [READ, EDIT], "etl")
    assert await held(auth, "Runner") == {READ, EDIT}
    page = await save(browser, page, "Runner", {"held": values(READ)})
    assert await held(auth, "Runner") == {READ}
    page = await save(browser, page, "Runner")
    assert page.notice == "Nothing was changed."

    page = await browser.fill(page, "/auth/roles/rename/Runner", {"name": "Walker"})
    assert (page.heading, page.notice) == ("Edit role Walker", "The role was changed.")
    page = await browser.get("/auth/roles/show/Walker")
    assert [cell.text for cell in page.root.one("tbody").one("tr").children if not isinstance(cell, str)] == [
        "DAG:etl",
        "can_read",
    ]
    page = await browser.get(page.links()["Delete …"])
    assert page.heading == "Delete role Walker?"
    assert await held(auth, "Walker") == {READ}
    page = await browser.fill(page, "/auth/roles/delete/Walker")
    assert (page.heading, page.notice) == ("Roles", "The role was deleted.")
    with pytest.raises(NotFoundError):
        await admin.get_role(auth, "Walker")
    audit = (await admin.list_audit(auth)).items
    assert {(record.actor, record.address) for record in audit} == {("root", "192.0.2.7")}


async def test_only_what_was_shown_is_changed(
    admin_browser: Browser, auth: AuthManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every part of a long list, and with each filter: the other permissions stay."""
    monkeypatch.setattr(role_permissions, "PART_SIZE", 4)
    names = [("can_run", f"Thing {number}") for number in range(10)]

    async def work(connection: AsyncConnection) -> None:
        await add_role(connection, "Big", names[:5])
        for pair in names[5:]:
            await add_permission(connection, *pair)

    await through(auth, work)
    page = await admin_browser.get("/auth/roles/edit/Big?q=thing")
    assert (boxes(page), ticked(page)) == (names[:4], names[:4])
    page = await save(admin_browser, page, "Big", {"held": values(names[1])})
    assert await held(auth, "Big") == {names[1], names[4]}
    assert boxes(page) == names[:4]
    page = await admin_browser.get(page.links()["Next page"])
    assert (boxes(page), ticked(page)) == (names[4:8], [names[4]])
    page = await save(admin_browser, page, "Big", {"held": values(*names[5:7])})
    assert (await held(auth, "Big"), boxes(page)) == ({names[1], names[5], names[6]}, names[4:8])

    page = await admin_browser.get("/auth/roles/edit/Big?only=held")
    assert boxes(page) == ticked(page) == [names[1], names[5], names[6]]
    page = await save(admin_browser, page, "Big", {"held": values(names[5])})
    assert (await held(auth, "Big"), boxes(page)) == ({names[5]}, [names[5]])
    assert page.root.one("option", selected="").attributes["value"] == "held"


async def test_nothing_is_granted_that_the_form_did_not_show(admin_browser: Browser, auth: AuthManager) -> None:
    """A box that was added by hand does nothing; and names are not stored on the way."""
    page = await admin_browser.get("/auth/roles/edit/Public?q=etl")
    page = await save(admin_browser, page, "Public", {"held": values(READ, ("can_edit", "Roles"))})
    assert await held(auth, "Public") == {READ}
    made_up = {"held": values(("can_fly", "Sky")), "shown": values(("can_fly", "Sky"))}
    page = await save(admin_browser, page, "Public", made_up)
    assert (page.status, page.problem) == (400, "The specified action: 'can_fly' was not found.")
    for value in ("", "x", "[]", "{}", "1", '["a"]', '["a", 1]', '["a", "b", "c"]', "[" * 50_000, '["a", "\\ud800"]'):
        page = await save(admin_browser, page, "Public", {"shown": value, "held": value})
        assert page.status == 400, value[:20]
        page = await admin_browser.get("/auth/roles/edit/Public?q=etl")
    assert await held(auth, "Public") == {READ}


async def test_two_editors_do_not_undo_each_other(admin_browser: Browser, auth: AuthManager) -> None:
    """The second sees what is stored now, with the boxes as they were ticked."""
    first = await admin_browser.get("/auth/roles/edit/Viewer?q=etl")
    await save(admin_browser, first, "Viewer", {"held": values(EDIT)})
    page = await save(admin_browser, first, "Viewer", {"held": values(READ)})
    assert (page.status, "meanwhile" in page.problem, ticked(page)) == (412, True, [READ])
    assert [one.text for one in page.root.all(class_="now")] == ["stored now: no", "stored now: yes"]
    assert await held(auth, "Viewer") == {EDIT}
    page = await save(admin_browser, page, "Viewer")
    assert (page.status, await held(auth, "Viewer")) == (200, {READ})


@pytest.mark.parametrize("back", [False, True])
async def test_changes_between_reading_and_writing(
    admin_browser: Browser, auth: AuthManager, monkeypatch: pytest.MonkeyPatch, *, back: bool
) -> None:
    """Somebody grants another permission after the handler has read the role; or before, and takes it back after."""
    page = await admin_browser.get("/auth/roles/edit/Viewer?q=etl")
    read, another = admin.get_role, ("can_edit", "Roles")

    async def read_among_others(auth: AuthManager, name: str) -> admin.RoleInfo:
        monkeypatch.setattr(admin, "get_role", read)
        if back:
            await admin.grant_permissions(auth, role=name, permissions=[another])
        found = await admin.get_role(auth, name)
        change = admin.take_permissions if back else admin.grant_permissions
        await change(auth, role=name, permissions=[another])
        return found

    monkeypatch.setattr(admin, "get_role", read_among_others)
    page = await save(admin_browser, page, "Viewer", {"held": values(EDIT)})
    assert page.status == 412
    assert await held(auth, "Viewer") == ({READ} if back else {READ, another})


@pytest.mark.parametrize("what", ["rename", "delete"])
async def test_no_form_changes_what_it_has_not_seen(admin_browser: Browser, auth: AuthManager, what: str) -> None:
    """Every form about a role carries what was seen."""
    page = await admin_browser.get(f"/auth/roles/{'edit' if what == 'rename' else what}/Viewer")
    await admin.take_permission(auth, role="Viewer", action=READ[0], resource=READ[1])
    sent = {"name": "Seer"} if what == "rename" else {}
    page = await admin_browser.fill(page, f"/auth/roles/{what}/Viewer", sent)
    assert (page.status, "meanwhile" in page.problem) == (412, True)
    assert (await admin.get_role(auth, "Viewer")).permissions == ()
    page = await admin_browser.fill(page, f"/auth/roles/{what}/Viewer", sent)
    assert (page.status, page.problem) == (200, "")


REFUSED = [
    ("", 400, "The role name is empty."),
    ("Viewer", 409, "The role name 'Viewer' is taken."),
    ("x" * 65, 400, "The role name is longer than 64 characters."),
    ("a\tb", 400, "The role name holds control or unpaired characters."),
]


async def test_names_that_cannot_be_used(admin_browser: Browser, auth: AuthManager) -> None:
    """Neither for a new role nor for an old one."""
    page = await admin_browser.get("/auth/roles/add")
    for name, status, words in REFUSED:
        page = await admin_browser.fill(page, "/auth/roles/add", {"name": name})
        assert (page.status, page.problem, page.wrong, page.value("name")) == (status, words, ["name"], name)
    page = await admin_browser.get("/auth/roles/edit/Public")
    for name, status, words in REFUSED:
        page = await admin_browser.fill(page, "/auth/roles/rename/Public", {"name": name})
        assert (page.status, page.problem, page.wrong, page.value("name")) == (status, words, ["name"], name)
        assert page.heading == "Edit role Public"
    assert (await admin.list_role_names(auth)).items == ("Admin", "Public", "Viewer")


async def test_the_administrators_keep_their_role(admin_browser: Browser, auth: AuthManager) -> None:
    """It is neither renamed nor deleted."""
    page = await admin_browser.fill(await admin_browser.get("/auth/roles/delete/Admin"), "/auth/roles/delete/Admin")
    assert (page.status, "last active administrator" in page.problem) == (409, True)
    page = await admin_browser.get("/auth/roles/edit/Admin")
    page = await admin_browser.fill(page, "/auth/roles/rename/Admin", {"name": "Boss"})
    assert (page.status, page.value("name")) == (409, "Boss")
    assert await held(auth, "Admin")


async def test_who_may_only_read(browser: Browser, auth: AuthManager, root: int) -> None:
    """Sees what roles permit, and no way to change it."""
    await make_user(auth, "reader", [ROLES[1]])
    await browser.log_in("reader", PASSWORD)
    page = await browser.get("/auth/roles/list/")
    assert "Add a role" not in page.links()
    page = await browser.get(page.links()["Admin"])
    assert page.links().keys().isdisjoint({"Edit", "Delete …"})
    page = await browser.fill(page, "/auth/roles/show/Admin", {"q": "PASS can_edit"})
    rows = [(row.all("td")[0].text, row.one("th").text) for row in page.root.one("tbody").all("tr")]
    assert rows == [("can_edit", "My Password"), ("can_edit", "Passwords")]
    for path in ("edit/Admin", "delete/Admin", "add"):
        assert (await browser.get(f"/auth/roles/{path}")).status == 403


async def test_a_list_in_parts(admin_browser: Browser, auth: AuthManager) -> None:
    """Searched, turned round and over."""

    async def work(connection: AsyncConnection) -> None:
        for number in range(12):
            await add_role(connection, f"role {number:02}", [READ] if number % 2 else [])

    await through(auth, work)
    page = await admin_browser.get("/auth/roles/list/")
    rows = [(row.one("th").text, row.one("td").text) for row in page.root.one("tbody").all("tr")]
    assert (len(rows), rows[2:5]) == (10, [("Viewer", "1"), ("role 00", "0"), ("role 01", "1")])
    page = await admin_browser.get(page.links()["Next page"])
    assert len(page.root.one("tbody").all("tr")) == 5
    page = await admin_browser.fill(page, "/auth/roles/list/", {"q": "role 1"})
    assert [row.one("th").text for row in page.root.one("tbody").all("tr")] == ["role 01", "role 10", "role 11"]
    page = await admin_browser.get(page.links()["Name"])
    assert [row.one("th").text for row in page.root.one("tbody").all("tr")] == ["role 11", "role 10", "role 01"]


ODD_NAMES = ["a/b", ".", "..", "a\\b", "a?b#c", "100%", "é", "<i>&\"'", "//x"]


async def test_odd_names(admin_browser: Browser, auth: AuthManager) -> None:
    """Of roles and of what they permit."""

    async def work(connection: AsyncConnection) -> None:
        for name in ODD_NAMES:
            await add_role(connection, name)
            await add_permission(connection, "can_read", f"DAG:{name}")

    await through(auth, work)
    for name in ODD_NAMES:
        listed = await admin_browser.fill(
            await admin_browser.get("/auth/roles/list/"), "/auth/roles/list/", {"q": name}
        )
        page = await admin_browser.get(listed.links()[name])
        assert page.heading == f"Role {name}"
        page = await admin_browser.get(page.links()["Edit"])
        page = await admin_browser.fill(
            page, page.root.one("form", role="search").attributes["action"], {"q": "dag"}, method="get"
        )
        pair = ("can_read", f"DAG:{name}")
        page = await admin_browser.fill(page, "/auth/roles/edit/", {"held": values(pair)}, method="post")
        assert (page.heading, page.notice) == (f"Edit role {name}", "The role was changed.")
        assert await held(auth, name) == {pair}
        page = await admin_browser.fill(page, "/auth/roles/rename/", {"name": f"{name} new"})
        assert page.heading == f"Edit role {name} new"


async def test_the_permissions_of_the_row_type(auth: AuthManager) -> None:
    """What a box sends is read as what it stands for."""
    pair = Permission("can_\u00e9", 'DAG:"\\\u2028\U0001f600')
    row = role_permissions.Row(pair, held=True, ticked=True)
    assert list(role_permissions._read_pairs([row.value])) == [pair]
