"""What ends tokens, and what carries a login on, is deleted when it matters no more: to the second, in small pieces,
and in an order in which nobody inherits anything."""

import pytest
from sqlalchemy import ColumnElement, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings
from asyncauth.db import purge
from asyncauth.db.purge import purge_expired
from asyncauth.db.tables import api_keys, cutoffs, logins, refresh_tokens, revocations
from asyncauth.errors import RevokedTokenError
from tests.database.feed.people import ADA, BOB, EVE, add_people
from tests.managers import FakeClock, poll, quiet, running
from tests.statements import count_statements

NOW = 1_700_000_000
MARGIN, LEEWAY, AGE = 3600, 10, 1_000_000
LAST = NOW - MARGIN - LEEWAY
"""What expired then goes; a second later, it stays."""


async def add(engine: AsyncEngine, table: Table, **values: object) -> None:
    """A row."""
    async with engine.begin() as connection:
        await connection.execute(insert(table).values(**values))


async def add_cutoff(engine: AsyncEngine, number: int, user_id: int, at: int, reason: str = "logout") -> None:
    """A cut-off."""
    id_ = {"id": 10_000 + number} if engine.dialect.name == "mysql" else {}
    await add(engine, cutoffs, user_id=user_id, at=at, reason=reason, **id_)


async def left(engine: AsyncEngine, column: ColumnElement[object]) -> list[object]:
    """The values of a column."""
    async with engine.connect() as connection:
        return sorted((await connection.scalars(select(column))).all(), key=repr)


async def purge_now(auth: AuthManager) -> int:
    """As the upkeep does it."""
    return await purge_expired(running(auth).database, NOW, leeway_seconds=LEEWAY, max_age_seconds=AGE)


async def test_each_goes_when_it_expires(auth: AuthManager, engine: AsyncEngine) -> None:
    """And an hour later than it could: another worker's clock may be late."""
    for number, off in enumerate((0, 1)):
        await add(engine, revocations, iss="tests", jti=f"jti {off}", exp=LAST + off)
        await add_cutoff(engine, number, ADA, LAST - AGE + off)
        times = {"started_at": NOW - 5000, "expires_at": LAST + off}
        await add(engine, logins, id=f"login {off}", user_id=ADA, **times)
        await add(engine, refresh_tokens, hash=f"a{off}", login_id="login 1", expires_at=LAST + off)
    await add(engine, refresh_tokens, hash="of login 0", login_id="login 0", expires_at=NOW)
    await add(engine, api_keys, user_id=ADA, name="key", hash="h", created_at=1, expires_at=2)
    assert await purge_now(auth) == 5
    assert await left(engine, revocations.c.jti) == ["jti 1"]
    assert await left(engine, cutoffs.c.at) == [LAST - AGE + 1]
    assert await left(engine, logins.c.id) == ["login 1"]
    assert await left(engine, refresh_tokens.c.hash) == ["a1"]
    assert await left(engine, api_keys.c.name) == ["key"]  # its owner lists it, expired or not
    assert await purge_now(auth) == 0


async def test_what_a_cut_off_ended_goes_before_it(auth: AuthManager, engine: AsyncEngine) -> None:
    """Logins of whoever was cut off after they began, keys of whoever was deleted after they were made; in one purge
    with the cut-off, and not those that came after it."""
    old = LAST - AGE
    for number, (user_id, reason) in enumerate(((ADA, "logout"), (BOB, "deleted"), (EVE, "password"))):
        await add_cutoff(engine, number, user_id, old, reason)
        for off in (-1, 0, 1):
            name = f"{user_id} {off}"
            await add(engine, logins, id=name, user_id=user_id, started_at=old + off, expires_at=NOW)
            await add(engine, refresh_tokens, hash=name, login_id=name, expires_at=NOW)
            await add(engine, api_keys, user_id=user_id, name=name, hash="h", created_at=old + off)
    assert await purge_now(auth) == 6 + 6 + 2 + 3
    after = [f"{user_id} 1" for user_id in (ADA, BOB, EVE)]
    assert await left(engine, logins.c.id) == after
    assert await left(engine, refresh_tokens.c.hash) == after
    others = [f"{user_id} {off}" for user_id in (ADA, EVE) for off in (-1, 0)]
    assert await left(engine, api_keys.c.name) == sorted(after + others, key=repr)
    assert await left(engine, cutoffs.c.id) == []


async def test_they_go_in_small_pieces(auth: AuthManager, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never one large transaction."""
    monkeypatch.setattr(purge, "_PIECE", 10)
    rows = [{"iss": "tests", "jti": f"é {number}", "exp": 1} for number in range(25)]
    async with engine.begin() as connection:
        await connection.execute(insert(revocations), rows)
    with count_statements(running(auth).database.engine) as statements:
        assert await purge_now(auth) == 25
    deletes = [statement for statement in statements if statement.startswith("DELETE")]
    assert len(deletes) == 3
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(revocations)) == 0


async def test_the_upkeep_does_it(auth: AuthManager, engine: AsyncEngine) -> None:
    """With the settings of its manager."""
    await add(engine, revocations, iss="tests", jti="x", exp=1)
    await add_cutoff(engine, 0, ADA, 1)
    await running(auth).upkeep._purge()
    assert await left(engine, revocations.c.jti) == []
    assert await left(engine, cutoffs.c.id) == []


async def test_no_token_lives_again(settings: Settings, engine: AsyncEngine) -> None:
    """As long as a token is not too old its cut-off is known; when it is forgotten, and deleted, the token is refused
    for its age. Also if the clock goes back then."""
    await add_people(engine)
    clock = FakeClock(NOW)
    settings = quiet(settings, jwt_leeway_seconds=LEEWAY, jwt_max_age_seconds=AGE, jwt_expiration_seconds=AGE)
    async with AuthManager(settings, clock=clock.clock) as auth:
        token = running(auth).issuer.issue(ADA, NOW + 5000, issued_at=NOW)  # its `exp` does not help
        await auth.end_tokens(ADA)
        for passed in (0, AGE - 1, AGE + LEEWAY - 1, AGE + LEEWAY, AGE + LEEWAY + MARGIN, AGE - 1):
            clock.now = NOW + passed
            if passed < AGE + LEEWAY + MARGIN:
                await running(auth).upkeep._purge()
            await poll(auth)
            known = passed < AGE + LEEWAY
            assert (running(auth).cutoffs.latest(ADA) == NOW) is known, passed
            with pytest.raises(RevokedTokenError if known else Exception, match="ended" if known else "past|passed"):
                await auth.get_user_from_token(token)
