"""Lists narrowed by words."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, admin
from tests.database.admin.conftest import EDIT, READ, People
from tests.rows import add_permission, add_role, add_user

WEIRD = ["100%", "a_b", "aXb", "back\\slash", "O'Neil", "Zoë", "[x]"]
WORDS = [
    ("", ["root", "ada", "clerk", *WEIRD]),
    ("  ", ["root", "ada", "clerk", *WEIRD]),
    ("ADA@exam", ["ada"]),
    ("clerk love", ["clerk"]),
    ("love clerk LACE", ["clerk"]),
    ("clerk nowhere", []),
    ("%", ["100%"]),
    ("a_b", ["a_b"]),
    ("back\\", ["back\\slash"]),
    ("o'n", ["O'Neil"]),
    ("zo", ["Zoë"]),
    ("[x]", ["[x]"]),
    ("a\0b", []),
    ("\ud800", []),
    (f"{'love ' * 8}nowhere", ["root", "ada", "clerk", *WEIRD]),
    ("l" * 100_000, []),
]


async def test_users(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """By parts of names and e-mails, in any case; no letter means more than itself."""
    async with engine.begin() as connection:
        for number, name in enumerate(WEIRD):
            await add_user(connection, name, email=f"{number}@example.org")
    for search, names in WORDS:
        page = await admin.list_users(auth, search=search)
        assert ([user.username for user in page.items], page.total) == (names, len(names)), search[:50]
    page = await admin.list_users(auth, search="love", limit=2, offset=1, order_by="username")
    assert (len(page.items), page.total) == (2, 3 + len(WEIRD))
    assert (await admin.list_users(auth, search="ada", email="ada@example.org")).total == 1
    assert (await admin.list_users(auth, search="root", email="ada@example.org")).total == 0


async def test_roles(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """Whole roles, and their names alone."""
    async with engine.begin() as connection:
        await add_role(connection, "Viewer of all", [READ])
        await add_role(connection, "50%")
    for search, names in (
        ("", ["50%", "Admin", "Clerk", "Viewer", "Viewer of all"]),
        ("VIEW", ["Viewer", "Viewer of all"]),
        ("all view", ["Viewer of all"]),
        ("%", ["50%"]),
        ("_", []),
        ("\0", []),
    ):
        whole = await admin.list_roles(auth, search=search)
        assert (sorted(role.name for role in whole.items), whole.total) == (names, len(names))
        alone = await admin.list_role_names(auth, search=search)
        assert (sorted(alone.items), alone.total) == (names, len(names))
    page = await admin.list_role_names(auth, limit=1, offset=1, search="view")
    assert (page.items, page.total) == (("Viewer of all",), 2)


async def test_permissions(auth: AuthManager, people: People, engine: AsyncEngine) -> None:
    """By the action, the resource, or both."""
    async with engine.begin() as connection:
        await add_permission(connection, "menu_access", "List Users")
    for search, found in (
        ("", [EDIT, READ, ("can_edit", "Roles"), ("menu_access", "List Users")]),
        ("etl", [EDIT, READ]),
        ("READ dag", [READ]),
        ("list", [("menu_access", "List Users")]),
        ("can_", [EDIT, READ, ("can_edit", "Roles")]),
        ("%", []),
    ):
        page = await admin.list_permissions(auth, search=search, order_by="resource")
        assert sorted((pair.action, pair.resource) for pair in page.items) == sorted(found)
        assert page.total == len(found)


@pytest.mark.parametrize("search", ["zoe", "ZOË"])
async def test_accents_are_as_the_database_has_them(auth: AuthManager, engine: AsyncEngine, search: str) -> None:
    """Nothing breaks."""
    async with engine.begin() as connection:
        await add_user(connection, "Zoë")
    assert (await admin.list_users(auth, search=search)).total in {0, 1}
