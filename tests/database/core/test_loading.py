"""From rows to a user: the same frozen value on every database, whatever the rows hold."""

from dataclasses import replace

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from asyncauth import AuthManager, Permission, Role, Settings, User
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import FAB_VERSION_TABLE, role_permissions, user_roles, users
from asyncauth.errors import UserInactiveError, UserNotFoundError
from asyncauth.model import permission_key
from tests.databases import Database
from tests.managers import poll, quiet
from tests.rows import add_group, add_many, add_permission, add_role, add_user, grant

READ, EDIT = ("can_read", "DAG:etl"), ("can_edit", "DAG:etl")
ODD_NAMES = [
    *("'", '"', "`", "\\", "\\'", '\\"', "\\u0041", "\\x00", "%", "%s", "%(a)s", ":a", "{a}", "$1", "?", ";--", "/*"),
    *("[", "]", "],[", '"],["', "{}", "null", "1", "1,2", "a,b", "\t", "\n", "\r\n", "\x01", "\x1b", "\x1e", "\x1f"),
    *(
        "\x1f1\x1fcan_read\x1f",
        "\x7f",
        "\x85",
        "\u2028",
        " ",
        " a",
        "a ",
        "a  b",
        "é",
        "e\u0301",
        "ß",
        "İ",
        "Ω",
        "中文",
    ),
    *("\u202e", "\ufeff", "\U0001f600", "x" * 90, "é" * 90),
]


def role(id_: int, name: str, *pairs: tuple[str, str]) -> Role:
    """The role that rows with these values stand for."""
    return Role(id_, name, frozenset(permission_key(*pair) for pair in pairs))


async def test_a_user_is_exactly_what_the_rows_say(auth: AuthManager, engine: AsyncEngine) -> None:
    """Every field, the roles in the order of their ids, and of each role exactly its permissions."""
    async with engine.begin() as connection:
        first = await add_role(connection, "Viewer", [READ])
        second = await add_role(connection, "Editor", [EDIT, READ, ("can_read", "DAGs")])
        await add_role(connection, "Admin", [("can_delete", "DAG:etl")])
        ada = await add_user(connection, "ada", roles=[second, first])
        bob = await add_user(connection, "bob", roles=[first], email="b@example.org")
    viewer = role(first, "Viewer", READ)
    editor = role(second, "Editor", EDIT, READ, ("can_read", "DAGs"))
    user = User(ada, "ada", (viewer, editor), "Ada", "Lovelace", "ada@example.org", active=True)
    assert await auth.get_user(ada) == user
    assert await auth.get_user(ada) is auth.current(user)
    assert await auth.get_user(username="ada") == user
    assert await auth.get_user_from_token(auth.issue_token(ada)) == user
    assert await auth.deserialize_user(auth.serialize_user(user)) == user
    other = await auth.get_user(bob)
    assert other == User(bob, "bob", (viewer,), "Ada", "Lovelace", "b@example.org", active=True)
    assert other.roles[0] is (await auth.get_user(ada)).roles[0]
    assert other.roles[0].permissions == {Permission(*READ)}


async def test_who_is_not_there(auth: AuthManager, engine: AsyncEngine) -> None:
    """No user of this id or name: 401, and not kept, so that a user made later is found."""
    for user_id in (0, -1, 1_000_000, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**19 - 1):
        with pytest.raises(UserNotFoundError) as caught:
            await auth.get_user(user_id)
        assert caught.value.status == 401
        if user_id > 0:
            with pytest.raises(UserNotFoundError):
                await auth.get_user_from_token(auth.issue_token(user_id))
    for name in ("", "ada", "a\0", "\ud800", "x" * 600, "'", "%"):
        with pytest.raises(UserNotFoundError):
            await auth.get_user(username=name)
    async with engine.begin() as connection:
        ada = await add_user(connection, "ada")
    assert (await auth.get_user(ada)).roles == ()
    assert (await auth.get_user(username="ADA")).id == ada


@pytest.mark.parametrize("active", [False, None])
async def test_who_is_inactive(auth: AuthManager, engine: AsyncEngine, active: bool | None) -> None:
    """False and NULL are both not active: another error than that of nobody, 401 as well, and not kept."""
    async with engine.begin() as connection:
        ada = await add_user(connection, roles=[await add_role(connection, "Viewer", [READ])], active=active)
    for _ in range(2):
        with pytest.raises(UserInactiveError) as caught:
            await auth.get_user(ada)
        assert caught.value.status == 401
    with pytest.raises(UserInactiveError):
        await auth.get_user(username="ada")
    async with engine.begin() as connection:
        await connection.execute(update(users).values(active=True))
    assert auth.decide(await auth.get_user(ada), *READ)


async def test_without_roles_and_without_permissions(auth: AuthManager, engine: AsyncEngine) -> None:
    """A user of no role, and a role of no permission, are nothing special."""
    async with engine.begin() as connection:
        empty = await add_role(connection, "Empty")
        nobody = await add_user(connection, "nobody")
        somebody = await add_user(connection, "somebody", roles=[empty])
    assert (await auth.get_user(nobody)).roles == ()
    assert (await auth.get_user(somebody)).roles == (role(empty, "Empty"),)


async def test_names_are_read_as_they_are(auth: AuthManager, engine: AsyncEngine) -> None:
    """Quotes, control characters, JSON, all of Unicode: in actions, resources, role and user names."""
    # The numbers keep apart what a collation of MariaDB takes for the same.
    pairs = [(f"can_{number}{name}", f"DAG:{number}{name}") for number, name in enumerate(ODD_NAMES)]
    async with engine.begin() as connection:
        held = await add_role(connection, "".join(ODD_NAMES[:30])[:60], pairs)
        ada = await add_user(connection, "".join(ODD_NAMES), roles=[held])
    user = await auth.get_user(ada)
    assert user.username == "".join(ODD_NAMES)
    assert user.roles == (role(held, "".join(ODD_NAMES[:30])[:60], *pairs),)
    assert all(auth.decide(user, *pair) for pair in pairs)


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_a_name_with_nul_grants_nothing(auth: AuthManager, engine: AsyncEngine) -> None:
    """SQLite stores NUL in a name: such a permission is none, and is not mistaken for the part before the NUL."""
    async with engine.begin() as connection:
        held = await add_role(connection, "Viewer", [("can_read\0", "DAG:etl"), ("can_edit", "DAG:etl\0x"), EDIT])
        ada = await add_user(connection, roles=[held])
    assert (await auth.get_user(ada)).roles == (role(held, "Viewer", EDIT),)


async def test_many_permissions(auth: AuthManager, engine: AsyncEngine) -> None:
    """A role of 5,000 permissions is read whole, with those it shares with another role."""
    names = [f"DAG:{number}" for number in range(5000)]
    async with engine.begin() as connection:
        large = await add_role(connection, "Large")
        await add_many(connection, large, "can_read", names)
        small = await add_role(connection, "Small", [("can_read", "DAG:0"), ("can_edit", "DAG:4999")])
        ada = await add_user(connection, roles=[large, small])
    await poll(auth)  # on SQLite each row is a record
    user = await auth.get_user(ada)
    assert user.roles == (
        role(large, "Large", *(("can_read", name) for name in names)),
        role(small, "Small", ("can_read", "DAG:0"), ("can_edit", "DAG:4999")),
    )
    assert auth.allowed_resources(user, "can_read", "DAG:") == frozenset(names)


async def test_links_that_lead_nowhere_grant_nothing(auth: AuthManager, engine: AsyncEngine) -> None:
    """Links of NULL, which the tables allow, are passed over."""
    async with engine.begin() as connection:
        held = await add_role(connection, "Viewer", [READ])
        ada = await add_user(connection, roles=[held])
        await insert_row(connection, role_permissions, permission_view_id=None, role_id=held)
        await insert_row(connection, role_permissions, permission_view_id=None, role_id=None)
        await insert_row(connection, user_roles, user_id=ada, role_id=None)
        await insert_row(connection, user_roles, user_id=None, role_id=held)
    assert (await auth.get_user(ada)).roles == (role(held, "Viewer", READ),)


NO_CHECKS = {
    "sqlite": "PRAGMA foreign_keys = OFF",
    "postgresql": "SET session_replication_role = replica",
    "mysql": "SET foreign_key_checks = 0",
}


async def test_dangling_links_grant_nothing(auth: AuthManager, engine: AsyncEngine) -> None:
    """Links to rows that are gone, as databases without enforced foreign keys have them, grant nothing, and the rest of
    the role is right."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql(NO_CHECKS[connection.dialect.name])
        held = await add_role(connection, "Viewer", [READ])
        without_action = await grant(connection, held, "can_run", "DAG:gone")
        without_row = await grant(connection, held, "can_stop", "DAG:gone")
        ada = await add_user(connection, roles=[held])
        await insert_row(connection, user_roles, user_id=ada, role_id=1_000_000)
        await connection.execute(text("DELETE FROM ab_permission WHERE name = 'can_run'"))
        await connection.execute(text(f"DELETE FROM ab_permission_view WHERE id = {without_row}"))
        assert without_action != without_row
        await connection.commit()
        await connection.invalidate()
    for _ in range(2):
        assert (await auth.get_user(ada)).roles == (role(held, "Viewer", READ),)


# ── groups ──


async def people(engine: AsyncEngine) -> tuple[int, Role, Role]:
    """A user with one role of her own, which a group gives her too, and one that only a group gives her."""
    async with engine.begin() as connection:
        own = await add_role(connection, "Own", [READ])
        groups = await add_role(connection, "Groups", [EDIT])
        ada = await add_user(connection, roles=[own])
        bob = await add_user(connection, "bob")
        await add_group(connection, "staff", members=[ada, bob], roles=[own, groups])
        await add_group(connection, "others", members=[ada], roles=[groups])
        await add_group(connection, "strangers", members=[bob], roles=[await add_role(connection, "Strangers")])
        await add_group(connection, "empty", members=[ada])
    return ada, role(own, "Own", READ), role(groups, "Groups", EDIT)


@pytest.mark.parametrize("managed_by_fab", [False, True])
@pytest.mark.parametrize("group_roles", [None, True, False])
async def test_roles_of_groups(
    settings: Settings, engine: AsyncEngine, group_roles: bool | None, managed_by_fab: bool
) -> None:
    """They count if asked for, and if nothing is said wherever FAB, which ignores them, does not manage the tables."""
    ada, own, groups = await people(engine)
    if managed_by_fab:
        async with engine.begin() as connection:
            await connection.execute(text(f"CREATE TABLE {FAB_VERSION_TABLE} (version_num VARCHAR(32))"))
    counted = group_roles if group_roles is not None else not managed_by_fab
    async with AuthManager(quiet(settings, group_roles=group_roles)) as auth:
        user = await auth.get_user(ada)
    assert user.roles == ((own, groups) if counted else (own,))


# ── lists that the database cuts ──


@pytest.mark.parametrize("backend", ["mysql+aiomysql"], indirect=True)
async def test_lists_that_mariadb_cuts_are_noticed(settings: Settings, database: Database, engine: AsyncEngine) -> None:
    """`group_concat_max_len` cuts aggregates with a warning only, at any character: whatever it is on the connections
    of an application's own engine, the user is the same."""
    async with engine.begin() as connection:
        pairs = [("can_read", f"DAG:{number}") for number in range(12)]
        for number in range(90):  # ids of one, two and three digits or more
            await add_permission(connection, "filler", f"filler {number}")
        held = await add_role(connection, "Viewer", pairs)
        ada = await add_user(connection, roles=[held])
    expected = (role(held, "Viewer", *pairs),)
    for size in (*range(4, 60), 100, 500, 1000, 1024):
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"SET GLOBAL group_concat_max_len = {size}")
        plain = create_async_engine(database.url)
        try:
            async with AuthManager(quiet(settings), engine=plain) as auth:
                assert (size, (await auth.get_user(ada)).roles) == (size, expected)
        finally:
            await plain.dispose()
            async with engine.connect() as connection:
                await connection.exec_driver_sql("SET GLOBAL group_concat_max_len = DEFAULT")


async def test_an_application_may_bring_its_engine(settings: Settings, database: Database, engine: AsyncEngine) -> None:
    """It is used as it is and stays open when the manager closes."""
    async with engine.begin() as connection:
        held = await add_role(connection, "Viewer", [READ])
        ada = await add_user(connection, roles=[held])
    plain = create_async_engine(database.url)
    try:
        async with AuthManager(quiet(settings, database_url=None), engine=plain) as auth:
            assert (await auth.get_user(ada)).roles == (role(held, "Viewer", READ),)
        async with plain.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        await plain.dispose()


async def test_a_user_keeps_what_was_true(auth: AuthManager, engine: AsyncEngine) -> None:
    """A user in the hand stays what it was when the rows change: it is a value."""
    async with engine.begin() as connection:
        held = await add_role(connection, "Viewer", [READ])
        ada = await add_user(connection, roles=[held])
    user = await auth.get_user(ada)
    copy = replace(user)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM ab_user_role"))
    assert user == copy
