"""What is written down of every change, and how it is read."""

import pytest
from sqlalchemy import event, insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, admin
from asyncauth.admin import Actor
from asyncauth.db.tables import audit
from asyncauth.errors import DatabaseUnavailableError
from tests.database.admin.conftest import People
from tests.managers import running


async def test_who_did_what_to_whom(auth: AuthManager, people: People) -> None:
    now = int(auth.now())
    await admin.update_user(auth, "ada", first_name="Augusta", roles=["Clerk"], actor=people.root)
    record = (await admin.list_audit(auth)).items[0]
    assert (record.actor_id, record.actor, record.address) == (people.root.user_id, "root", "192.0.2.1")
    assert (record.what, record.subject_kind) == ("update", "user")
    assert (record.subject_id, record.subject) == (people.ada.user_id, "ada")
    assert record.before == {"first_name": "Ada", "roles": ["Viewer"]}
    assert record.after == {"first_name": "Augusta", "roles": ["Clerk"]}
    assert now <= record.at <= now + 60
    await admin.update_user(auth, "ada", first_name="Augusta", roles=["Clerk"], actor=people.root)
    assert (await admin.list_audit(auth)).total == 1, "what changed nothing is no change"


async def test_filters_and_pages(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    for name in ("one", "two", "three"):
        await admin.create_role(auth, name, actor=people.root)
    await admin.grant_role(auth, username="ada", role="one", actor=Actor(None, "operator", "tty\n1" + "x" * 99))
    await admin.grant_role(auth, username="ada", role="two")

    async def found(**filters: object) -> list[str]:
        return [record.subject for record in (await admin.list_audit(auth, **filters)).items]  # type: ignore[arg-type]

    assert await found() == ["ada", "ada", "three", "two", "one"]
    assert await found(actor="root", order_by="id") == ["one", "two", "three"]
    assert await found(what="grant_role", subject_kind="user", subject="ada", actor="operator") == ["ada"]
    assert await found(actor_id=people.root.user_id) == ["three", "two", "one"]
    assert await found(subject_id=people.ada.user_id, subject_kind="user") == ["ada", "ada"]
    assert await found(limit=2, offset=2) == ["three", "two"]
    assert (await admin.list_audit(auth, limit=1, actor="root")).total == 3
    for nothing in ({"actor": "a\0"}, {"subject": "\ud800"}, {"subject_id": 2**70}, {"actor_id": -(2**70)}):
        assert await found(**nothing) == []
    async with engine.begin() as connection:
        await connection.execute(update(audit).where(audit.c.subject == "one").values(at=100))
    assert await found(until=101) == ["one"]
    assert await found(since=100, until=100) == []
    assert await found(since=2**70) == []
    assert len(await found(since=-(2**70), until=2**70)) == 5
    system, operator = (await admin.list_audit(auth, limit=2)).items
    assert (system.actor_id, system.actor, system.address) == (None, None, None)
    assert (operator.actor_id, operator.actor, operator.address) == (None, "operator", "tty1" + "x" * 60)


async def test_large_and_odd_content(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """More than 64 KiB, characters outside the first plane, and what somebody else has written."""
    many = [("can_read", f"DAG:{number}{'x' * 200}") for number in range(400)]
    await admin.create_role(auth, "Big", many, new_names=True)
    record = (await admin.list_audit(auth)).items[0]
    assert record.after is not None
    assert len(record.after["permissions"]) == 400
    values = {"at": 1, "what": "x", "subject_kind": "x", "subject": "x", "before": "no json", "after": "[1]"}
    async with engine.begin() as connection:
        await connection.execute(insert(audit).values(values))
    odd = (await admin.list_audit(auth)).items[0]
    assert (odd.before, odd.after) == ({"text": "no json"}, {"value": [1]})


async def test_nothing_is_changed_that_is_not_written_down(auth: AuthManager, people: People) -> None:
    """They stand and fall together: when the record cannot be written, the change is not made."""
    before = (await admin.list_users(auth)).items, (await admin.list_roles(auth)).items

    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "asyncauth_audit" in statement:
            raise OSError("the disk is full")

    engine = running(auth).database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", fail)
    try:
        for change in (
            admin.create_user(auth, username="eve", password="x", email="e@example.org"),
            admin.update_user(auth, "ada", active=False, roles=[]),
            admin.delete_user(auth, "ada"),
            admin.create_role(auth, "New"),
            admin.update_role(auth, "Viewer", permissions=[]),
            admin.delete_role(auth, "Viewer"),
            admin.grant_permission(auth, role="Viewer", action="can_edit", resource="DAG:etl"),
            admin.grant_role(auth, username="ada", role="Clerk"),
        ):
            with pytest.raises(DatabaseUnavailableError):
                await change
    finally:
        event.remove(engine, "before_cursor_execute", fail)
    assert ((await admin.list_users(auth)).items, (await admin.list_roles(auth)).items) == before
