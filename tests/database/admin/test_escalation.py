"""Nobody gives, takes or acts on more than they hold, as it is in the transaction of the change."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, admin
from asyncauth.admin import Actor
from asyncauth.db.tables import user_roles, users
from asyncauth.errors import EscalationError, ForbiddenError, RevokedTokenError
from asyncauth.model import permission_key
from tests.database.admin.conftest import EDIT, MANAGE, READ, People
from tests.managers import quiet

Attempt = Callable[[AuthManager, Actor], Any]
GIVING: dict[str, Attempt] = {
    "create user": lambda auth, actor: admin.create_user(
        auth, username="eve", password="x", email="e@example.org", roles=["Clerk"], actor=actor
    ),
    "update user": lambda auth, actor: admin.update_user(auth, "ada", roles=["Viewer", "Clerk"], actor=actor),
    "grant role": lambda auth, actor: admin.grant_role(auth, username="ada", role="Clerk", actor=actor),
    "take role": lambda auth, actor: admin.take_role(auth, username="clerk", role="Clerk", actor=actor),
    "create role": lambda auth, actor: admin.create_role(auth, "Mine", [EDIT], actor=actor),
    "update role": lambda auth, actor: admin.update_role(auth, "Viewer", permissions=[READ, EDIT], actor=actor),
    "lessen role": lambda auth, actor: admin.update_role(auth, "Clerk", permissions=[READ], actor=actor),
    "delete role": lambda auth, actor: admin.delete_role(auth, "Clerk", actor=actor),
    "grant permission": lambda auth, actor: admin.grant_permission(
        auth, role="Viewer", action=EDIT[0], resource=EDIT[1], actor=actor
    ),
    "take permission": lambda auth, actor: admin.take_permission(
        auth, role="Clerk", action=EDIT[0], resource=EDIT[1], actor=actor
    ),
}
"""What takes `EDIT`, which clerk and root may give, and ada may not."""
ACTING: dict[str, Attempt] = {
    "password": lambda auth, actor: admin.set_password(auth, "clerk", "mine", actor=actor),
    "e-mail": lambda auth, actor: admin.update_user(auth, "clerk", email="mine@example.org", actor=actor),
    "name": lambda auth, actor: admin.update_user(auth, "clerk", new_username="mine", actor=actor),
    "deactivate": lambda auth, actor: admin.deactivate_user(auth, "clerk", actor=actor),
    "delete": lambda auth, actor: admin.delete_user(auth, "clerk", actor=actor),
    "key": lambda auth, actor: admin.create_api_key(auth, username="clerk", name="x", actor=actor),
    "log out": lambda auth, actor: admin.end_tokens(auth, "clerk", actor=actor),
}
"""What is done to clerk, who holds more than ada."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With API keys."""
    return settings.model_copy(update={"api_key_secret": "k" * 32})


@pytest.mark.parametrize("attempt", [*GIVING, *ACTING])
async def test_who_may(auth: AuthManager, people: People, attempt: str) -> None:
    """Ada holds too little; clerk holds enough; root may manage roles, whatever else root holds. Refused, nothing is
    changed nor written down."""
    work = {**GIVING, **ACTING}[attempt]
    before = (await admin.list_users(auth)).items, (await admin.list_roles(auth)).items
    with pytest.raises(EscalationError) as caught:
        await work(auth, people.ada)
    assert (caught.value.status, caught.value.code) == (403, "escalation")
    assert ((await admin.list_users(auth)).items, (await admin.list_roles(auth)).items) == before
    assert (await admin.list_audit(auth)).total == 0
    await work(auth, people.clerk)
    assert (await admin.list_audit(auth)).total == 1


@pytest.mark.parametrize("attempt", [*GIVING, *ACTING])
async def test_who_may_manage_roles_may(auth: AuthManager, people: People, attempt: str) -> None:
    await {**GIVING, **ACTING}[attempt](auth, people.root)


@pytest.mark.parametrize("attempt", [*GIVING, *ACTING])
async def test_a_key_narrows_its_owner(auth: AuthManager, people: People, attempt: str) -> None:
    """Root with a key that leaves the managing out may no more than what the key says; with it, everything."""
    work = {**GIVING, **ACTING}[attempt]
    for scope in ([READ], [EDIT], []):
        narrow = Actor(people.root.user_id, "root", scope=frozenset(permission_key(*pair) for pair in scope))
        with pytest.raises(EscalationError):
            await work(auth, narrow)
    await work(auth, Actor(people.root.user_id, "root", scope=frozenset({permission_key(*MANAGE)})))


async def test_ending_a_key(auth: AuthManager, people: People) -> None:
    """Of somebody who holds more: refused, and the key lives."""
    key = (await admin.create_api_key(auth, username="clerk", name="nightly")).value
    narrow = Actor(people.clerk.user_id, "clerk", scope=frozenset({permission_key(*READ)}))
    for actor in (people.ada, narrow):
        with pytest.raises(EscalationError):
            await admin.revoke_api_key(auth, key_id=key.id, actor=actor)
        assert (await auth.get_user_from_token(key.text)).username == "clerk"
    await admin.revoke_api_key(auth, key_id=key.id, actor=people.clerk)
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(key.text)


async def test_oneself(settings: Settings, engine: AsyncEngine, people: People) -> None:
    """Nobody holds more than themselves, though roles of groups count for whom something is done in any case."""
    async with AuthManager(quiet(settings, group_roles=False)) as auth:
        await admin.create_group(auth, "staff", roles=["Clerk"])
        await admin.add_member(auth, group="staff", username="ada")
        key = (await admin.create_api_key(auth, username="ada", name="mine", actor=people.ada)).value
        await admin.end_tokens(auth, "ada", actor=people.ada)
        await admin.set_password(auth, "ada", "mine", actor=people.ada)
        await admin.revoke_api_key(auth, key_id=key.id, actor=people.ada)
        other = (await admin.create_user(auth, username="eve", password=None, email="e@x.org", roles=["Viewer"])).value
        with pytest.raises(EscalationError):
            await admin.end_tokens(auth, "ada", actor=Actor(other.id, "eve"))


async def test_what_is_harmless(auth: AuthManager, people: People) -> None:
    """Of somebody who holds more: names that are no login; and what one holds oneself."""
    await admin.update_user(auth, "clerk", first_name="C", last_name="K", actor=people.ada)
    await admin.update_user(auth, "clerk", roles=["Clerk"], email="clerk@example.org", actor=people.ada)
    await admin.set_password(auth, "ada", "new", actor=people.ada)
    await admin.grant_role(auth, username="clerk", role="Viewer", actor=people.ada)
    await admin.create_role(auth, "Empty", actor=people.ada)


async def test_what_an_inactive_user_would_have_counts(auth: AuthManager, people: People) -> None:
    await admin.deactivate_user(auth, "clerk")
    for attempt in (
        admin.set_password(auth, "clerk", "mine", actor=people.ada),
        admin.activate_user(auth, "clerk", actor=people.ada),
    ):
        with pytest.raises(EscalationError):
            await attempt


async def test_as_it_is_now(auth: AuthManager, engine: AsyncEngine, people: People) -> None:
    """Not what the actor held when the request came: neither rights nor being there."""
    async with engine.begin() as connection:
        await connection.execute(delete(user_roles).where(user_roles.c.user_id == people.clerk.user_id))
    with pytest.raises(EscalationError):
        await admin.grant_role(auth, username="ada", role="Clerk", actor=people.clerk)
    for values in ({"active": False}, {"active": None}):
        async with engine.begin() as connection:
            await connection.execute(update(users).where(users.c.id == people.root.user_id).values(values))
        with pytest.raises(ForbiddenError):
            await admin.create_role(auth, "x", actor=people.root)
    for user_id in (0, -1, 4711, 2**31, 2**70):
        with pytest.raises(ForbiddenError):
            await admin.create_role(auth, "x", actor=Actor(user_id, "nobody"))


async def test_the_user_of_a_request(auth: AuthManager, people: People) -> None:
    """Whoever comes with an API key is narrowed by its scope here as well."""
    key = (await admin.create_api_key(auth, username="root", name="reader", scopes=[READ])).value
    actor = Actor.of(await auth.get_user_from_token(key.text), "2001:db8::1")
    assert (actor.user_id, actor.name, actor.address) == (people.root.user_id, "root", "2001:db8::1")
    with pytest.raises(EscalationError):
        await admin.grant_role(auth, username="ada", role="Clerk", actor=actor)
    with pytest.raises(EscalationError):
        await admin.create_api_key(auth, username="root", name="more", actor=actor)
    whole = Actor.of(await auth.get_user(username="root"))
    await admin.grant_role(auth, username="ada", role="Clerk", actor=whole)
