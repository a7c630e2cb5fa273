"""The short way from a token to its user: it says nothing as soon as the long way might say something else."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import update

from asyncauth import AuthManager, Settings, User
from asyncauth.admission import RECALL_SECONDS
from asyncauth.db.feed import Record
from asyncauth.db.tables import users
from asyncauth.errors import AuthError
from asyncauth.tokens.cutoffs import DELETED
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from tests.forge import NOW
from tests.managers import NEVER_SECONDS, FakeClock, quiet, running
from tests.rows import add_role, add_user, grant, through
from tests.sharing import on_sqlite

pytestmark = on_sqlite
LEEWAY, LIFETIME, ENTRY_AGE = 10, 600, 300.0
"""Seconds."""


@pytest.fixture
def clock() -> FakeClock:
    """Stands still."""
    return FakeClock()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """For small caches of users, so that some have to make room."""
    changes = {"jwt_leeway_seconds": LEEWAY, "max_entry_age_seconds": ENTRY_AGE, "max_staleness_seconds": NEVER_SECONDS}
    return quiet(settings, user_cache_size=2, **changes)


@pytest.fixture
async def auth(settings: Settings, clock: FakeClock) -> AsyncIterator[AuthManager]:
    """A manager that drops what a record names and no more, as on the other databases."""
    async with AuthManager(settings, clock=clock.clock) as manager:
        running(manager).users._coarse = False
        yield manager


@pytest.fixture
async def ada(auth: AuthManager) -> User:
    """Somebody with a role."""
    role_id = await through(auth, lambda connection: add_role(connection, "Viewer"))
    user_id = await through(auth, lambda connection: add_user(connection, "ada", roles=[role_id]))
    return await auth.get_user(user_id)


async def add(auth: AuthManager, username: str) -> int:
    """A user without roles."""
    return await through(auth, lambda connection: add_user(connection, username))


def learn(kind: str, item: int | None) -> Callable[[AuthManager, User], None]:
    """A record of the change log comes in."""

    def change(auth: AuthManager, user: User) -> None:
        number = {"ada": user.id, "role": user.roles[0].id}.get(kind, item)
        running(auth).users.learn([Record(10**9, "user" if kind == "ada" else kind, number if item else None)])

    return change


def claims_of(auth: AuthManager, user: User) -> Any:
    """Of the token that everybody here has."""
    [seen] = [seen for seen in running(auth).verifier.seen.values() if seen.claims.user_id == user.id]
    return seen.claims


def another_key(auth: AuthManager) -> None:
    """The ring gets another key in place of its own, as when one that has served goes."""
    secret = b"another secret, long enough for HS512: sixty-four bytes and more."
    ring: KeyRing = running(auth).keys.ring
    ring.replace(KeySet([Key("HS512", secret, secret)]))


CHANGES: dict[str, Callable[[AuthManager, User], object]] = {
    "the token is revoked": lambda auth, user: running(auth).revoked.own.add([(claims_of(auth, user).token_id, NOW)]),
    "the token is revoked by Airflow": lambda auth, user: running(auth).revoked.airflow.add(
        [(claims_of(auth, user).jti, NOW)]
    ),
    "the user's tokens are ended": lambda auth, user: running(auth).cutoffs.add([(user.id, NOW, "logout")]),
    "the user was deleted": lambda auth, user: running(auth).cutoffs.add([(user.id, NOW, DELETED)]),
    "the user changed": learn("ada", 1),
    "any user may have changed": learn("user", None),
    "the role changed": learn("role", 1),
    "any role may have changed": learn("role", None),
    "everything may have changed": learn("everything", None),
    "the user may have changed": lambda auth, user: running(auth).users.suspect("user", user.id),
    "the role may have changed": lambda auth, user: running(auth).users.suspect("role", user.roles[0].id),
    "the log begins anew": lambda auth, _: running(auth).users.restart(running(auth).users.position),
    "a key has gone": lambda auth, _: another_key(auth),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_nothing_is_recalled_after_a_change(auth: AuthManager, ada: User, change: str) -> None:
    """Whatever it is about; and even if the role had to make room before it changed."""
    token = auth.issue_token(ada.id)
    assert auth.recall_user(token) is None
    assert auth.find_user_from_token(token) is ada
    assert auth.recall_user(token) is ada
    roles = running(auth).users._roles
    for role_id in list(roles.values):
        roles._remove(role_id)
    assert auth.recall_user(token) is ada
    CHANGES[change](auth, ada)
    assert auth.recall_user(token) is None


async def test_what_is_known_already_changes_nothing(auth: AuthManager, ada: User) -> None:
    """A look that brings nothing new, a record that came before, what is forgotten because it is over."""
    parts, token = running(auth), auth.issue_token(ada.id)
    record = Record(10**9, "user", ada.id + 1)
    parts.users.learn([record])
    parts.revoked.own.add([(("", "over"), 1)])
    parts.cutoffs.add([(ada.id + 1, 1, "logout")])
    auth.find_user_from_token(token)
    parts.users.learn([])
    parts.users.learn([record])
    parts.revoked.own.add([(("", "over"), 1)])
    parts.cutoffs.add([(ada.id + 1, 1, "logout"), (ada.id + 1, 0, "password")])
    parts.revoked.purge(NOW)
    parts.cutoffs.purge(NOW - 1)
    assert auth.recall_user(token) is ada


MOMENTS = {
    "exp has passed": (LIFETIME + LEEWAY, 0.0),
    "iat lies in the future": (-LEEWAY - 0.001, 0.0),
    "the entry is too old": (0.0, ENTRY_AGE),
    "order is to be noted": (0.0, RECALL_SECONDS),
}
"""How far the wall clock, and the one that runs through suspension."""


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_answer_ends_by_itself(auth: AuthManager, ada: User, clock: FakeClock, moment: str) -> None:
    """To the moment."""
    token = auth.issue_token(ada.id, lifetime_seconds=LIFETIME)
    now, elapsed = MOMENTS[moment]
    if moment == "the entry is too old":
        clock.elapsed += elapsed - 1
        elapsed = 1
    auth.find_user_from_token(token)
    clock.now += now - 0.01 if now > 0 else 0
    clock.elapsed += elapsed - 0.01 if elapsed else 0
    assert auth.recall_user(token) is ada
    clock.now += 0.01 if now > 0 else now
    clock.elapsed += 0.01 if elapsed else 0
    assert auth.recall_user(token) is None


async def test_nothing_is_recalled_without_proof(auth: AuthManager, ada: User, clock: FakeClock) -> None:
    """The lease is asked for on each use: it may be taken back, and runs out at its moment."""
    parts, token = running(auth), auth.issue_token(ada.id)
    parts.follower.proven_until = clock.elapsed + 5
    auth.find_user_from_token(token)
    clock.elapsed += 4.99
    assert auth.recall_user(token) is ada
    clock.elapsed += 0.01
    assert auth.recall_user(token) is None
    parts.follower.proven_until = clock.elapsed + 5
    assert auth.recall_user(token) is ada


async def test_who_has_made_room_is_loaded_again(auth: AuthManager, ada: User) -> None:
    """The user comes from memory each time: who is not there is not kept there by a token."""
    token = auth.issue_token(ada.id)
    auth.find_user_from_token(token)
    for name in ("bob", "eve"):
        await auth.get_user(await add(auth, name))
    assert auth.recall_user(token) is None
    user = await auth.get_user_from_token(token)
    assert auth.find_user_from_token(token) is user
    assert auth.recall_user(token) is user


async def test_who_is_in_use_keeps_the_place(auth: AuthManager, ada: User, clock: FakeClock) -> None:
    """However many others come; for the tokens' sake the long way is gone now and then."""
    others = [await add(auth, f"other {number}") for number in range(3)]
    token = auth.issue_token(ada.id)
    await auth.get_user_from_token(token)
    for other in others:
        assert auth.recall_user(token) is not None
        await auth.get_user(other)
    assert auth.recall_user(token) is not None
    assert auth.status().users == 2
    clock.elapsed += RECALL_SECONDS
    assert auth.recall_user(token) is None
    assert auth.find_user_from_token(token) is not None


async def test_a_recalled_user_is_a_hit(auth: AuthManager, ada: User) -> None:
    """Counted like any other that was answered from memory; what is not recalled counts nothing."""
    token = auth.issue_token(ada.id)
    before = auth.status().hits
    auth.recall_user(token)
    auth.find_user_from_token(token)
    auth.recall_user(token)
    auth.find_user_from_token(token)
    assert auth.status().hits == before + 3


async def test_a_closed_manager_recalls_nothing(settings: Settings) -> None:
    """It refuses nothing, either."""
    assert AuthManager(settings).recall_user("x") is None


@dataclass
class Life:
    """Things that happen to two users and their tokens, drawn by lot."""

    auth: AuthManager
    clock: FakeClock
    lot: random.Random
    users: list[int]
    role: int
    tokens: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """One more token."""
        self.tokens.append(self.auth.issue_token(self.lot.choice(self.users), lifetime_seconds=LIFETIME))

    async def rename(self) -> None:
        """A user changes."""
        change = (
            update(users).where(users.c.id == self.lot.choice(self.users)).values(first_name=f"{self.lot.random()}")
        )
        await through(self.auth, lambda connection: connection.execute(change))

    async def grant(self) -> None:
        """Their role changes."""
        name = f"resource {self.lot.random()}"
        await through(self.auth, lambda connection: grant(connection, self.role, "can_read", name))

    async def revoke(self) -> None:
        """A token ends."""
        await self.auth.revoke_token(self.lot.choice(self.tokens))

    async def suspect(self) -> None:
        """A hint comes in."""
        kind, item = self.lot.choice([("user", self.lot.choice(self.users)), ("role", self.role)])
        running(self.auth).users.suspect(kind, item)

    async def wait(self) -> None:
        """Time passes."""
        self.clock.advance(self.lot.choice([1, 30, 61, 200]))

    async def ask(self) -> None:
        """All tokens are used."""
        for token in self.tokens:
            with suppress(AuthError):
                await self.auth.get_user_from_token(token)

    def check(self) -> int:
        """What is recalled is what the long way finds; returns how much was."""
        known = {token: self.auth.recall_user(token) for token in self.tokens}
        for token, user in known.items():
            if user is not None:
                assert running(self.auth).users.find(self.auth.verify(token).user_id or 0, self.clock.elapsed) == user
        return sum(user is not None for user in known.values())


@pytest.mark.parametrize("seed", range(3))
async def test_it_never_says_anything_else(auth: AuthManager, ada: User, clock: FakeClock, seed: int) -> None:
    """Whatever happens, in whatever order."""
    [role] = ada.roles
    bob = await through(auth, lambda connection: add_user(connection, "bob", roles=[role.id]))
    life = Life(auth, clock, random.Random(seed), [ada.id, bob], role.id)  # noqa: S311 - no secret
    life.begin()
    recalled = 0
    for _ in range(200):
        happens = life.lot.choice([life.rename, life.grant, life.revoke, life.suspect, life.wait, *[life.ask] * 6])
        await happens()
        recalled += life.check()
        if life.lot.random() < 0.2:
            life.begin()
    assert recalled > 100
