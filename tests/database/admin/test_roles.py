"""Roles and permissions."""

import asyncio

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Permission, admin
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import actions, group_roles, permissions, resources, role_permissions, user_roles
from asyncauth.errors import (
    ChangedMeanwhileError,
    InUseError,
    InvalidValueError,
    NotFoundError,
    TakenError,
    UnknownPermissionError,
)
from tests.database.admin.conftest import EDIT, READ, People
from tests.rows import add_group, add_permission
from tests.statements import count_statements


def pairs(role: admin.RoleInfo) -> list[tuple[str, str]]:
    return [(pair.action, pair.resource) for pair in role.permissions]


async def count(engine: AsyncEngine, table: object) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]


async def test_made_with_permissions(auth: AuthManager, people: People) -> None:
    role = (await admin.create_role(auth, "Runner", [READ, EDIT, READ], actor=people.root)).value
    assert role.permissions == {Permission(*READ), Permission(*EDIT)}
    assert pairs(await admin.get_role(auth, "Runner")) == sorted([READ, EDIT])
    with pytest.raises(TakenError):
        await admin.create_role(auth, "Runner")
    for pair, message in (
        (("can_fly", "DAG:etl"), "The specified action: 'can_fly' was not found"),
        (("can_read", "DAG:new"), "The specified resource: 'DAG:new' was not found"),
    ):
        with pytest.raises(UnknownPermissionError) as caught:
            await admin.create_role(auth, "Other", [READ, pair])
        assert (str(caught.value), caught.value.status) == (message, 400)
    await admin.create_role(auth, "Other", [("can_read", "DAG:new"), ("can_fly", "Sky")], new_names=True)
    assert pairs(await admin.get_role(auth, "Other")) == [("can_fly", "Sky"), ("can_read", "DAG:new")]
    # Both names are stored, the pair is not: made on the way, as FAB does.
    await admin.create_role(auth, "Third", [("can_fly", "DAG:new")])
    assert pairs(await admin.get_role(auth, "Third")) == [("can_fly", "DAG:new")]


async def test_a_list_in_pages(auth: AuthManager, people: People) -> None:
    page = await admin.list_roles(auth, limit=2)
    assert ([role.name for role in page.items], page.total) == (["Admin", "Clerk"], 3)
    assert pairs(page.items[1]) == sorted([READ, EDIT])
    assert [role.name for role in (await admin.list_roles(auth, order_by="-role_id")).items] == [
        *("Clerk", "Viewer", "Admin")
    ]
    found = await admin.list_permissions(auth, order_by="-resource")
    assert (found.total, found.items[0]) == (3, Permission("can_edit", "Roles"))
    assert len((await admin.list_permissions(auth, limit=1, offset=2)).items) == 1


async def test_names_that_a_collation_takes_for_the_same(
    auth: AuthManager, engine: AsyncEngine, people: People
) -> None:
    """Exactly the one that was asked for, or none; MariaDB cannot store the other one, and says so."""
    for name in ("viewer", "VIEWER", "Viéwer", "Viewer "):
        for question in (
            admin.get_role(auth, name),
            admin.update_role(auth, name, permissions=[]),
            admin.delete_role(auth, name),
            admin.grant_permission(auth, role=name, action="can_read", resource="x"),
        ):
            with pytest.raises(NotFoundError):
                await question
    if engine.dialect.name == "mysql":
        with pytest.raises(TakenError):
            await admin.create_role(auth, "VIEWER")
    else:
        await admin.create_role(auth, "VIEWER")
    assert pairs(await admin.get_role(auth, "Viewer")) == [READ]


async def test_renamed(auth: AuthManager, people: People) -> None:
    """Onto its own name in another case, yes; onto another role's, a 409 that changes nothing."""
    with pytest.raises(TakenError) as caught:
        await admin.update_role(auth, "Viewer", new_name="Clerk", permissions=[])
    assert caught.value.status == 409
    assert pairs(await admin.get_role(auth, "Viewer")) == [READ]
    for name in ("VIEWER", "Viewer"):
        role = (await admin.update_role(auth, "Viewer" if name == "VIEWER" else "VIEWER", new_name=name)).value
        assert (role.name, pairs(role)) == (name, [READ])
    same = await admin.update_role(auth, "Viewer", new_name="Viewer")
    assert same.value == await admin.get_role(auth, "Viewer")
    assert (await auth.get_user(username="ada")).roles[0].name == "Viewer"
    with pytest.raises(InvalidValueError):
        await admin.update_role(auth, "Viewer", new_name="x" * 65)


async def test_permissions_are_replaced(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    written = await admin.update_role(auth, "Clerk", permissions=[EDIT, ("can_read", "Roles")], actor=people.root)
    assert pairs(written.value) == [EDIT, ("can_read", "Roles")]
    assert written.value == await admin.get_role(auth, "Clerk")
    user = await auth.get_user(username="clerk")
    assert not auth.decide(user, *READ)
    assert auth.decide(user, *EDIT)
    record = (await admin.list_audit(auth)).items[0]
    assert (record.what, record.subject, record.actor) == ("update", "Clerk", "root")
    assert (record.before, record.after) == ({"permissions": [[*READ]]}, {"permissions": [["can_read", "Roles"]]})
    with pytest.raises(UnknownPermissionError):
        await admin.update_role(auth, "Clerk", permissions=[("can_fly", "DAG:etl")])
    assert pairs((await admin.update_role(auth, "Clerk", permissions=[])).value) == []
    assert await admin.update_role(auth, "Clerk", permissions=[])
    assert (await admin.list_audit(auth)).total == 2


async def test_etags(auth: AuthManager, people: People) -> None:
    read = await admin.get_role(auth, "Clerk")
    assert read.etag == (await admin.list_roles(auth)).items[1].etag
    await admin.grant_permission(auth, role="Clerk", action="can_run", resource="DAG:etl")
    for late in (
        admin.update_role(auth, "Clerk", permissions=[], if_match=read.etag),
        admin.update_role(auth, "Clerk", new_name="x", if_match=read.etag),
        admin.delete_role(auth, "Clerk", if_match=read.etag),
    ):
        with pytest.raises(ChangedMeanwhileError):
            await late
    now = await admin.get_role(auth, "Clerk")
    assert now.etag != read.etag
    written = await admin.update_role(auth, "Clerk", permissions=[READ, EDIT], if_match=now.etag)
    assert written.value.etag == read.etag
    await admin.delete_role(auth, "Clerk", if_match=read.etag)


async def test_deleted_with_its_links(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    async with engine.begin() as connection:
        await add_group(connection, roles=[(await admin.get_role(auth, "Viewer")).id])
    await admin.delete_role(auth, "Viewer", actor=people.root)
    for table, left in ((user_roles, 2), (group_roles, 0), (role_permissions, 3)):
        assert await count(engine, table) == left
    assert (await auth.get_user(username="ada")).roles == ()
    record = (await admin.list_audit(auth)).items[0]
    assert record.before == {"name": "Viewer", "permissions": [[*READ]]}


async def test_granted_and_taken(auth: AuthManager, people: People) -> None:
    for _ in range(2):
        await admin.grant_permissions(auth, role="Viewer", permissions=[READ, EDIT], actor=people.root)
        assert pairs(await admin.get_role(auth, "Viewer")) == sorted([READ, EDIT])
    with pytest.raises(UnknownPermissionError):
        await admin.grant_permissions(auth, role="Viewer", permissions=[("can_read", "Roles"), ("can_fly", "x")])
    for _ in range(2):
        await admin.take_permissions(auth, role="Viewer", permissions=[READ, ("never", "seen"), ("a\0", "b")])
        assert pairs(await admin.get_role(auth, "Viewer")) == [EDIT]
    records = (await admin.list_audit(auth)).items
    assert [(record.what, record.before, record.after) for record in records] == [
        ("take_permission", {"permissions": [[*READ]]}, {"permissions": []}),
        ("grant_permission", {"permissions": []}, {"permissions": [[*EDIT]]}),
    ]


async def test_permissions_of_their_own(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    asked = [READ, ("can_run", "DAG:etl"), ("can_run", "DAG:new")]
    assert (await admin.create_permissions(auth, asked)).value == 2
    assert (await admin.create_permissions(auth, asked)).value == 0
    assert (await admin.list_permissions(auth)).total == 5
    await admin.delete_permission(auth, action="can_run", resource="DAG:new", actor=people.root)
    with pytest.raises(InUseError) as caught:
        await admin.delete_permission(auth, action=READ[0], resource=READ[1])
    assert caught.value.status == 409
    for unknown in (("can_run", "DAG:new"), ("never", "seen"), ("a\0", "b"), ("CAN_READ", "DAG:etl")):
        with pytest.raises(NotFoundError):
            await admin.delete_permission(auth, action=unknown[0], resource=unknown[1])
    assert (await admin.list_permissions(auth)).total == 4
    with pytest.raises(InvalidValueError):
        await admin.create_permissions(auth, [("", "x")])


@pytest.mark.parametrize("backend", ["postgresql+asyncpg", "mysql+aiomysql"], indirect=True)
async def test_another_program_grants_what_is_deleted(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """Its link, not committed yet, is not taken away by a cascade."""
    async with engine.begin() as connection:
        permission_id = await add_permission(connection, "can_run", "DAG:etl")
    role_id = (await admin.get_role(auth, "Viewer")).id
    async with engine.connect() as connection:
        await insert_row(connection, role_permissions, role_id=role_id, permission_view_id=permission_id)
        attempt = asyncio.create_task(
            admin.delete_permission(auth, action="can_run", resource="DAG:etl", actor=people.root)
        )
        done, _ = await asyncio.wait([attempt], timeout=0.5)
        assert not done
        await connection.commit()
    with pytest.raises(InUseError):
        await attempt


async def test_many_permissions_take_few_statements(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """As many for 400 as for 4."""
    sent = []
    await admin.create_role(auth, "First", [READ])  # a connection looks once who numbers the rows
    for size, role in ((4, "Viewer"), (400, "Clerk")):
        many = [("can_read", f"DAG:{role}{number}") for number in range(size)]
        with count_statements() as statements:
            await admin.update_role(auth, role, permissions=many, new_names=True)
        sent.append(len(statements))
        assert len((await admin.get_role(auth, role)).permissions) == size
    assert sent[0] == sent[1] <= 25
    assert await count(engine, resources) == 406
    assert await count(engine, actions) == 2
    assert await count(engine, permissions) == 407
