"""Consistency tokens: any worker that is shown the token of a write answers from after it."""

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, admin
from asyncauth.changes.consistency import MAX_LENGTH, Receipts, covers
from asyncauth.db.feed import Gap, Position
from asyncauth.errors import ConsistencyTokenError, TokenError
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from tests.conftest import SECRET
from tests.database.feed.people import ADA, BOB, add_people
from tests.managers import quiet, running
from tests.statements import count_statements


@pytest.fixture
async def auth(settings: Settings, engine: AsyncEngine) -> AsyncIterator[AuthManager]:
    """The worker that writes."""
    await add_people(engine)
    async with AuthManager(quiet(settings)) as manager:
        yield manager


@pytest.fixture
async def other(settings: Settings, auth: AuthManager) -> AsyncIterator[AuthManager]:
    """Another worker, which would not look by itself while a test runs."""
    async with AuthManager(quiet(settings)) as manager:
        await manager.get_user(ADA)
        yield manager


async def take(auth: AuthManager) -> str:
    """Take ada's role; the token of that."""
    return (await admin.take_role(auth, username="ada", role="Viewer")).token


async def test_a_hundred_requests_share_one_look(auth: AuthManager, other: AuthManager) -> None:
    """All of them answer from after the write, at the price of one question and one load."""
    token, receipt = auth.issue_token(ADA), await take(auth)
    assert (await auth.get_user(ADA)).roles == ()  # the worker that wrote, without any receipt
    assert len((await other.get_user_from_token(token)).roles) == 1
    with count_statements(running(other).database.engine) as statements:
        users = await asyncio.gather(*(other.get_user_from_token(token, at_least=receipt) for _ in range(100)))
    assert {user.roles for user in users} == {()}
    looks = [statement for statement in statements if "asyncauth_feed" in statement]
    assert len(looks) <= 2  # one for those who came while nobody looked, one for those who came during it
    assert len(statements) <= 2 + 2


async def test_what_is_known_costs_nothing(auth: AuthManager, other: AuthManager) -> None:
    """No statement, and not one turn of the loop: on the worker that wrote, and on any other the second time."""
    token, receipt = auth.issue_token(ADA), await take(auth)
    await auth.get_user(ADA)
    await other.get_user_from_token(token, at_least=receipt)
    with count_statements() as statements:
        for manager in (auth, other):
            with pytest.raises(StopIteration) as ended:
                manager.get_user_from_token(token, at_least=receipt).send(None)
            assert ended.value.value.roles == ()
    assert statements == []


async def test_every_write_of_ours_returns_one_that_works(auth: AuthManager, other: AuthManager) -> None:
    """Grants, a new user, a revoked token; one that changed nothing is covered at once."""
    token = auth.issue_token(BOB)
    granted = await admin.grant_permission(auth, role="Editor", action="can_run", resource="DAG:new")
    user = await other.get_user_from_token(token, at_least=granted.token)
    assert other.decide(user, "can_run", "DAG:new")
    again = await admin.grant_permission(auth, role="Editor", action="can_run", resource="DAG:new")
    assert await other.get_user_from_token(token, at_least=again.token) is user
    role = await admin.create_role(auth, "Fresh")
    await other.get_user_from_token(token, at_least=role.token)
    gone = auth.issue_token(BOB)
    assert await other.get_user_from_token(gone)
    receipt = await auth.revoke_token(gone)
    with pytest.raises(TokenError):
        await other.get_user_from_token(gone, at_least=receipt)


async def test_what_is_not_ours_is_refused(auth: AuthManager, other: AuthManager, settings: Settings) -> None:
    """Forged, cut, of another database, with another key, ahead of the database: 400, and a bad token goes first."""
    token, receipt = auth.issue_token(ADA), await take(auth)
    receipts, epoch = running(auth).receipts, running(auth).users.position.epoch
    raw = base64.urlsafe_b64decode(receipt + "=" * (-len(receipt) % 4))
    forged = [base64.urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]) for at in range(len(raw))]
    key = SECRET[::-1].encode()
    another = KeyRing(KeySet([Key("HS512", key, key)]))
    bad = [
        *(one.decode() for one in forged),
        *("", "garbage", "\u00e9", receipt[:-2], receipt * 9, "A" * (MAX_LENGTH + 1)),
        Receipts(another, time.time).issue(epoch, 1),
        receipts.issue(str(uuid.uuid4()), 1),
        receipts.issue(epoch, 2**40),
    ]
    for one in bad:
        with pytest.raises(ConsistencyTokenError) as caught:
            await other.get_user_from_token(token, at_least=one)
        assert caught.value.status == 400
        with pytest.raises(TokenError):
            await other.get_user_from_token("garbage", at_least=one)
    assert (await other.get_user_from_token(token, at_least=receipt)).roles == ()


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_workers_with_the_same_key_understand_each_other(auth: AuthManager, settings: Settings) -> None:
    """And those with another key do not."""
    token, receipt = auth.issue_token(ADA), await take(auth)
    stranger = quiet(settings, jwt_secret=str(settings.jwt_secret)[::-1])
    async with AuthManager(stranger) as other:
        with pytest.raises(ConsistencyTokenError):
            await other.get_user_from_token(other.issue_token(ADA), at_least=receipt)
    async with AuthManager(quiet(settings)) as other:
        assert await other.get_user_from_token(token, at_least=receipt)


def test_what_a_position_covers() -> None:
    """PostgreSQL: transactions that its snapshot saw. Elsewhere: ids up to the last, but for those still missing."""
    snapshot = Position("e", last=9, at=1, xmax=100, running=(90, 95))
    assert [covers(snapshot, mark, "postgresql") for mark in (89, 90, 94, 95, 99, 100, 101)] == [
        *(True, False, True, False, True, False, False)
    ]
    ids = Position("e", last=100, at=1, gaps=(Gap(90, 92, 0.0),))
    assert [covers(ids, mark, "mysql") for mark in (0, 89, 90, 92, 93, 100, 101)] == [
        *(True, True, False, False, True, True, False)
    ]
