"""Users: made, read, changed and ended, with rows as FAB writes them."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, admin
from asyncauth.db.tables import audit, cutoffs, group_users, user_roles, users
from asyncauth.errors import (
    ChangedMeanwhileError,
    InvalidValueError,
    LastAdministratorError,
    LoginError,
    NotFoundError,
    RevokedTokenError,
    TakenError,
    UnknownRoleError,
)
from tests.database.admin.conftest import People
from tests.managers import poll
from tests.rows import add_group


async def rows(engine: AsyncEngine, *columns: object) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(select(*columns))]  # type: ignore[call-overload]


async def test_a_user_is_made_as_fab_makes_one(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    await admin.create_user(
        auth, username="Eve", password="secret", email="eve@example.org", first_name="Eve", roles=["Viewer"],
        actor=people.root,
    )  # fmt: skip
    eve = await admin.get_user(auth, "eve")
    assert (eve.username, eve.email, eve.first_name, eve.last_name) == ("Eve", "eve@example.org", "Eve", "")
    assert (eve.active, eve.roles, eve.groups) == (True, ("Viewer",), ())
    assert (eve.last_login, eve.login_count, eve.fail_login_count) == (None, None, None)
    assert eve.created_on == eve.changed_on
    assert eve.created_on is not None
    assert abs(eve.created_on - datetime.now()) < timedelta(minutes=1)  # noqa: DTZ005
    who = users.c.created_by_fk, users.c.changed_by_fk, users.c.username
    assert (people.root.user_id, people.root.user_id, "Eve") in await rows(engine, *who)
    assert await auth.login("eve", "secret")


async def test_a_user_that_somebody_deletes_at_once(
    auth: AuthManager, engine: AsyncEngine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made is told all the same: it was true in the transaction that made it."""
    write = auth.write

    async def write_and_delete(work: Any) -> Any:
        written = await write(work)
        async with engine.begin() as connection:
            await connection.execute(delete(users).where(users.c.username == "eve"))
        return written

    monkeypatch.setattr(auth, "write", write_and_delete)
    made = (await admin.create_user(auth, username="eve", password=None, email="e@example.org")).value
    assert (made.username, made.roles, made.active) == ("eve", (), True)
    with pytest.raises(NotFoundError):
        await admin.get_user(auth, "eve")


async def test_what_is_refused_makes_nothing(auth: AuthManager, people: People) -> None:
    values = {"username": "eve", "password": "x", "email": "eve@example.org"}
    for wrong, error in (
        ({"username": "ADA"}, TakenError),
        ({"email": "ada@example.org"}, TakenError),
        ({"roles": ["Viewer", "None", "Nil"]}, UnknownRoleError),
        ({"password": ""}, InvalidValueError),
        ({"username": "e\0ve"}, InvalidValueError),
    ):
        with pytest.raises(error) as caught:
            await admin.create_user(auth, **{**values, **wrong})  # type: ignore[arg-type]
        if error is UnknownRoleError:
            assert (str(caught.value), caught.value.status) == ("Unknown roles: 'Nil', 'None'", 400)
    assert (await admin.list_users(auth)).total == 3
    assert (await admin.list_audit(auth)).total == 0


async def test_without_a_password(auth: AuthManager, people: People) -> None:
    """Somebody whom another way of login will know, or who gets one later."""
    await admin.create_user(auth, username="eve", password=None, email="e@example.org", actor=people.root)
    for password in ("", "None", "x"):
        with pytest.raises(LoginError):
            await auth.login("eve", password)
    await admin.set_password(auth, "eve", "x")
    assert await auth.login("eve", "x")


async def test_a_list_in_pages(auth: AuthManager, people: People) -> None:
    page = await admin.list_users(auth, limit=2)
    assert ([user.username for user in page.items], page.total) == (["root", "ada"], 3)
    assert [user.username for user in (await admin.list_users(auth, limit=2, offset=2)).items] == ["clerk"]
    for order, names in (
        ("username", ["ada", "clerk", "root"]),
        ("-username", ["root", "clerk", "ada"]),
        ("-user_id", ["clerk", "ada", "root"]),
        ("last_name", ["root", "ada", "clerk"]),
        ("-active", ["root", "ada", "clerk"]),
    ):
        assert [user.username for user in (await admin.list_users(auth, order_by=order)).items] == names, order
    assert [user.roles for user in page.items] == [("Admin",), ("Viewer",)]
    assert (await admin.list_users(auth, limit=0)).items == ()
    assert (await admin.list_users(auth, offset=10**30)).items == ()
    assert [user.username for user in (await admin.list_users(auth, email="ada@example.org")).items] == ["ada"]
    assert (await admin.list_users(auth, email="ADA@example.org")).total == 0


@pytest.mark.parametrize("order", ["password", "", "-", "id;", "created_by_fk", "login_count", "username desc", "ID"])
async def test_nothing_else_orders_a_list(auth: AuthManager, order: str) -> None:
    for question in (admin.list_users, admin.list_roles, admin.list_permissions, admin.list_groups, admin.list_audit):
        with pytest.raises(InvalidValueError, match="ordered by"):
            await question(auth, order_by=order)
    with pytest.raises(InvalidValueError):
        await admin.list_users(auth, limit=-1)


@pytest.mark.parametrize("name", ["nobody", "", "a\0b", "\ud800", "x" * 10_000, "adà"])
async def test_nobody_of_that_name(auth: AuthManager, people: People, name: str) -> None:
    for question in (
        admin.get_user(auth, name),
        admin.update_user(auth, name, first_name="x"),
        admin.delete_user(auth, name),
        admin.grant_role(auth, username=name, role="Viewer"),
        admin.end_tokens(auth, name),
        admin.get_role(auth, name),
        admin.get_group(auth, name),
    ):
        with pytest.raises(NotFoundError):
            await question


async def test_an_update_touches_what_it_is_given(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    before = await admin.get_user(auth, "ada")
    written = await admin.update_user(auth, "ADA", first_name="Augusta", actor=people.root)
    after = await admin.get_user(auth, "ada")
    assert written.value == after
    assert (after.first_name, after.last_name, after.email) == ("Augusta", before.last_name, before.email)
    assert after.changed_on is not None
    assert (await auth.get_user(username="ada")).first_name == "Augusta"
    assert ("ada", people.root.user_id) in await rows(engine, users.c.username, users.c.changed_by_fk)
    await admin.update_user(auth, "ada", roles=[], email="new@example.org", new_username="Ada", last_name="")
    last = await admin.get_user(auth, "ada")
    assert (last.username, last.roles, last.email, last.last_name) == ("Ada", (), "new@example.org", "")
    assert (await auth.get_user(username="ada")).roles == ()
    for change, error in (
        ({"new_username": "ROOT"}, TakenError),
        ({"email": "root@example.org"}, TakenError),
        ({"roles": ["Nil"]}, UnknownRoleError),
        ({"new_username": ""}, InvalidValueError),
        ({"email": " "}, InvalidValueError),
        ({"password": ""}, InvalidValueError),
    ):
        with pytest.raises(error):
            await admin.update_user(auth, "ada", **change)
    assert await admin.get_user(auth, "ada") == last


async def test_two_editors(auth: AuthManager, people: People) -> None:
    read = await admin.get_user(auth, "ada")
    await admin.update_user(auth, "ada", first_name="Augusta", if_match=read.etag)
    for late in (
        admin.update_user(auth, "ada", roles=["Admin"], if_match=read.etag),
        admin.delete_user(auth, "ada", if_match=read.etag),
        admin.deactivate_user(auth, "ada", if_match=read.etag),
        admin.set_password(auth, "ada", "x", if_match=read.etag),
    ):
        with pytest.raises(ChangedMeanwhileError) as caught:
            await late
        assert caught.value.status == 412
    now = await admin.get_user(auth, "ada")
    assert (now.first_name, now.roles, now.active) == ("Augusta", ("Viewer",), True)
    await admin.update_user(auth, "ada", roles=["Admin"], if_match=now.etag)


async def test_a_login_changes_no_etag(auth: AuthManager, people: People) -> None:
    await admin.set_password(auth, "ada", "secret")
    before = await admin.get_user(auth, "ada")
    await auth.login("ada", "secret")
    after = await admin.get_user(auth, "ada")
    assert (before.login_count, after.login_count) == (None, 1)
    assert before.etag == after.etag


async def _ends(auth: AuthManager, user_id: int | None, token: str) -> bool:
    assert user_id is not None
    await poll(auth)
    try:
        await auth.get_user_from_token(token)
    except RevokedTokenError:
        return True
    return False


@pytest.mark.parametrize("triggers", [True, False])
async def test_a_password_ends_tokens_with_and_without_triggers(
    auth: AuthManager, engine: AsyncEngine, people: People, triggers: bool
) -> None:
    """One cut-off either way, not two."""
    token = auth.issue_token(people.ada.user_id or 0)
    names = ["update", "update_latest"] if engine.dialect.name == "mysql" else ["update"]
    if not triggers:
        async with engine.begin() as connection:
            for name in names:
                on = " ON ab_user" if engine.dialect.name == "postgresql" else ""
                await connection.execute(text(f"DROP TRIGGER asyncauth_ab_user_cutoff_{name}{on}"))
    try:
        await admin.set_password(auth, "ada", "another")
        assert await _ends(auth, people.ada.user_id, token)
        assert await rows(engine, cutoffs.c.user_id, cutoffs.c.reason) == [(people.ada.user_id, "password")]
        assert await auth.login("ada", "another")
        with pytest.raises(LoginError):
            await auth.login("ada", "x")
        await admin.deactivate_user(auth, "ada")
        with pytest.raises(LoginError):
            await auth.login("ada", "another")
        reasons = [reason for _, reason in await rows(engine, cutoffs.c.user_id, cutoffs.c.reason)]
        assert sorted(map(str, reasons)) == ["inactive", "password"]
        await admin.activate_user(auth, "ada")
        assert await auth.login("ada", "another")
    finally:
        if not triggers:
            from asyncauth.db.migrate import upgrade

            await upgrade(engine)


async def test_log_out_everywhere(auth: AuthManager, people: People) -> None:
    token = auth.issue_token(people.ada.user_id or 0)
    await admin.end_tokens(auth, "ada", actor=people.root)
    assert await _ends(auth, people.ada.user_id, token)
    assert (await admin.list_audit(auth, what="end_tokens")).items[0].subject == "ada"


async def test_a_deleted_user_leaves_nothing(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """Neither links nor references of those whom the user made, which would refuse it."""
    await admin.create_user(auth, username="eve", password="x", email="e@example.org", actor=people.clerk)
    async with engine.begin() as connection:
        await add_group(connection, members=[people.clerk.user_id or 0])
    token = auth.issue_token(people.clerk.user_id or 0)
    await admin.delete_user(auth, "Clerk", actor=people.root)
    assert await _ends(auth, people.clerk.user_id, token)
    with pytest.raises(NotFoundError):
        await admin.get_user(auth, "clerk")
    assert people.clerk.user_id not in {one for (one,) in await rows(engine, user_roles.c.user_id)}
    assert await rows(engine, group_users.c.user_id) == []
    assert (None, None, "eve") in await rows(engine, users.c.created_by_fk, users.c.changed_by_fk, users.c.username)
    assert await rows(engine, cutoffs.c.user_id, cutoffs.c.reason) == [(people.clerk.user_id, "deleted")]


async def test_roles_of_a_user(auth: AuthManager, people: People) -> None:
    for _ in range(2):
        await admin.grant_role(auth, username="Ada", role="Clerk", actor=people.root)
        assert (await admin.get_user(auth, "ada")).roles == ("Viewer", "Clerk")
    for _ in range(2):
        await admin.take_role(auth, username="ada", role="Viewer", actor=people.root)
        assert (await admin.get_user(auth, "ada")).roles == ("Clerk",)
    for name in ("grant_role", "take_role"):
        with pytest.raises(NotFoundError):
            await getattr(admin, name)(auth, username="ada", role="clerk")
    assert [record.what for record in (await admin.list_audit(auth)).items] == ["take_role", "grant_role"]


async def test_the_last_administrator(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """Cannot be removed, demoted or switched off, and the role keeps its name."""
    before = await admin.get_user(auth, "root")
    for attempt in (
        admin.delete_user(auth, "root"),
        admin.deactivate_user(auth, "root"),
        admin.update_user(auth, "root", roles=["Viewer"], first_name="x"),
        admin.update_user(auth, "root", active=False, first_name="x"),
        admin.take_role(auth, username="root", role="Admin"),
        admin.delete_role(auth, "Admin"),
        admin.update_role(auth, "Admin", new_name="Boss"),
    ):
        with pytest.raises(LastAdministratorError) as caught:
            await attempt
        assert (caught.value.status, caught.value.code) == (409, "last_administrator")
    assert await admin.get_user(auth, "root") == before
    assert await rows(engine, audit.c.id) == []
    await admin.update_user(auth, "root", roles=["Admin", "Viewer"])
    await admin.grant_role(auth, username="ada", role="Admin")
    await admin.deactivate_user(auth, "ada")
    with pytest.raises(LastAdministratorError):
        await admin.take_role(auth, username="root", role="Admin")
    await admin.activate_user(auth, "ada")
    await admin.take_role(auth, username="root", role="Admin")
    await admin.delete_user(auth, "root")


async def test_where_there_is_none_everything_goes(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(user_roles))
    for name in ("root", "ada"):
        await admin.deactivate_user(auth, name)
        await admin.delete_user(auth, name)


async def test_no_secret_in_what_is_written_down(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    canary = "canary-4711"
    await admin.create_user(auth, username="eve", password=canary, email="e@example.org", actor=people.root)
    await admin.set_password(auth, "eve", canary + "2", actor=people.root)
    hashes = [str(one) for (one,) in await rows(engine, users.c.password) if one]
    written = json.dumps([list(map(str, row)) for row in await rows(engine, *audit.columns)])
    assert canary not in written
    assert "scrypt" not in written
    assert hashes
    assert not any(one.split("$")[-1] in written for one in hashes)
    record = (await admin.list_audit(auth, what="update")).items[0]
    assert (record.before, record.after) == ({}, {"password": "changed"})
