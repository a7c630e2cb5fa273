"""Groups, whether their roles count or not."""

from collections.abc import AsyncIterator

import pytest

from asyncauth import AuthManager, Settings, admin
from asyncauth.errors import (
    ChangedMeanwhileError,
    EscalationError,
    LastAdministratorError,
    NotFoundError,
    TakenError,
    UnknownRoleError,
)
from tests.database.admin.conftest import READ, People
from tests.managers import quiet


@pytest.fixture
async def ignoring(settings: Settings) -> AsyncIterator[AuthManager]:
    """A manager for which roles of groups do not count."""
    async with AuthManager(quiet(settings, group_roles=False)) as manager:
        yield manager


async def test_made_and_read(auth: AuthManager, people: People) -> None:
    made = (await admin.create_group(auth, "staff", label="Staff", roles=["Viewer"], actor=people.root)).value
    assert made == await admin.get_group(auth, "staff")
    assert (made.name, made.label, made.description, made.roles, made.members) == (
        "staff",
        "Staff",
        None,
        ("Viewer",),
        0,
    )
    await admin.create_group(auth, "board")
    page = await admin.list_groups(auth, limit=1, order_by="-name")
    assert ([group.name for group in page.items], page.total) == (["staff"], 2)
    for again, error in (
        (admin.create_group(auth, "staff"), TakenError),
        (admin.create_group(auth, "else", roles=["Nil"]), UnknownRoleError),
        (admin.get_group(auth, "Staff"), NotFoundError),
    ):
        with pytest.raises(error):
            await again


async def test_members(auth: AuthManager, people: People) -> None:
    await admin.create_group(auth, "staff", roles=["Clerk"])
    for _ in range(2):
        await admin.add_member(auth, group="staff", username="Ada", actor=people.root)
    await admin.add_member(auth, group="staff", username="root")
    page = await admin.list_members(auth, "staff", limit=1)
    assert (page.items, page.total) == (("ada",), 2)
    assert (await admin.get_user(auth, "ada")).groups == ("staff",)
    assert auth.decide(await auth.get_user(username="ada"), "can_edit", "DAG:etl")
    for _ in range(2):
        await admin.remove_member(auth, group="staff", username="ada")
    assert not auth.decide(await auth.get_user(username="ada"), "can_edit", "DAG:etl")
    assert (await admin.get_group(auth, "staff")).members == 1
    with pytest.raises(NotFoundError):
        await admin.add_member(auth, group="none", username="ada")
    with pytest.raises(NotFoundError):
        await admin.list_members(auth, "none")
    assert [record.what for record in (await admin.list_audit(auth)).items] == [
        *("remove_member", "add_member", "add_member", "create")
    ]


async def test_roles_that_a_group_carries(auth: AuthManager, people: People) -> None:
    await admin.create_group(auth, "staff")
    await admin.add_member(auth, group="staff", username="ada")
    read = await admin.get_group(auth, "staff")
    for _ in range(2):
        await admin.grant_group_role(auth, group="staff", role="Clerk")
    assert auth.decide(await auth.get_user(username="ada"), "can_edit", "DAG:etl")
    with pytest.raises(ChangedMeanwhileError):
        await admin.delete_group(auth, "staff", if_match=read.etag)
    for _ in range(2):
        await admin.take_group_role(auth, group="staff", role="Clerk")
    assert not auth.decide(await auth.get_user(username="ada"), "can_edit", "DAG:etl")
    with pytest.raises(NotFoundError):
        await admin.grant_group_role(auth, group="staff", role="Nil")
    await admin.delete_group(auth, "staff", if_match=read.etag)
    with pytest.raises(NotFoundError):
        await admin.get_group(auth, "staff")
    record = (await admin.list_audit(auth, subject_kind="group", what="grant_role")).items[0]
    assert (record.before, record.after) == ({"roles": []}, {"roles": ["Clerk"]})


async def test_an_administrator_by_group(auth: AuthManager, ignoring: AuthManager, people: People) -> None:
    """Counts as the last one where roles of groups count, and only there."""
    await admin.create_group(auth, "admins", roles=["Admin"])
    await admin.add_member(auth, group="admins", username="ada")
    with pytest.raises(LastAdministratorError):
        await admin.take_role(ignoring, username="root", role="Admin")
    await admin.take_role(auth, username="root", role="Admin")
    for attempt in (
        admin.remove_member(auth, group="admins", username="ada"),
        admin.take_group_role(auth, group="admins", role="Admin"),
        admin.delete_group(auth, "admins"),
        admin.deactivate_user(auth, "ada"),
        admin.delete_user(auth, "ada"),
        admin.delete_role(auth, "Admin"),
    ):
        with pytest.raises(LastAdministratorError):
            await attempt
    await admin.remove_member(ignoring, group="admins", username="ada")


async def test_nobody_rises_by_a_group(auth: AuthManager, people: People) -> None:
    await admin.create_group(auth, "staff", roles=["Clerk"])
    for attempt in (
        admin.add_member(auth, group="staff", username="ada", actor=people.ada),
        admin.remove_member(auth, group="staff", username="root", actor=people.ada),
        admin.grant_group_role(auth, group="staff", role="Admin", actor=people.clerk),
        admin.create_group(auth, "more", roles=["Admin"], actor=people.clerk),
        admin.delete_group(auth, "staff", actor=people.ada),
    ):
        with pytest.raises(EscalationError):
            await attempt
    await admin.add_member(auth, group="staff", username="ada", actor=people.clerk)


async def test_explained(auth: AuthManager, ignoring: AuthManager, people: People) -> None:
    await admin.create_group(auth, "staff", roles=["Clerk", "Viewer"])
    await admin.add_member(auth, group="staff", username="ada")
    why = await admin.explain(auth, "ADA", "can_edit", "DAG:etl")
    assert (why.username, why.allowed, why.stored) == ("ada", True, True)
    assert [(role.name, role.group) for role in why.deciding] == [("Clerk", "staff")]
    assert why.reason == "role `Clerk` of group `staff` allows `can_edit` on `DAG:etl`"
    assert [(role.name, role.group, role.permits) for role in why.roles] == [
        ("Viewer", None, False),
        ("Viewer", "staff", False),
        ("Clerk", "staff", True),
    ]
    here = await admin.explain(ignoring, "ada", "can_edit", "DAG:etl")
    assert (here.allowed, here.deciding) == (False, ())
    assert "do not count here" in here.reason
    for action, resource, words in (
        ("can_edit", "Roles", "no role of `ada` has permission `can_edit` on `Roles` (looked at: role `Viewer`"),
        ("never", "seen", "there is no permission `never` on `seen`: no role can hold it"),
        ("a\0b", "\ud800", "there is no permission"),
    ):
        no = await admin.explain(auth, "ada", action, resource)
        assert not no.allowed
        assert no.reason.startswith(words)
    await admin.deactivate_user(auth, "ada")
    off = await admin.explain(auth, "ada", *READ)
    assert (off.allowed, off.reason) == (False, "`ada` is inactive, and would be allowed `can_read` on `DAG:etl`")
    with pytest.raises(NotFoundError):
        await admin.explain(auth, "nobody", *READ)
    both = await admin.list_user_permissions(auth, "ada"), await admin.list_user_permissions(ignoring, "ada")
    assert [[pair.action for pair in found] for found in both] == [["can_edit", "can_read"], ["can_read"]]


async def test_an_explanation_says_what_is_decided(auth: AuthManager, people: People) -> None:
    """Of every user and pair here it gives the same answer as the decision itself."""
    await admin.create_group(auth, "staff", roles=["Clerk"])
    await admin.add_member(auth, group="staff", username="ada")
    for name in ("root", "ada", "clerk"):
        user = await auth.get_user(username=name)
        for pair in (*(await admin.list_permissions(auth)).items, *(await admin.list_user_permissions(auth, name))):
            why = await admin.explain(auth, name, pair.action, pair.resource)
            decision = auth.decide(user, pair.action, pair.resource)
            assert why.allowed is bool(decision)
            assert decision.role in {None, *(role.name for role in why.deciding)}
