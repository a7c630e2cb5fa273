"""API keys: 0 statements once known, ended by whoever writes, narrowed, and nowhere to be read."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, event, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, User, admin
from asyncauth.db.tables import api_keys, changes, cutoffs, own, user_roles, users
from asyncauth.errors import (
    ApiKeyError,
    AuthError,
    ConfigurationError,
    ConsistencyTokenError,
    DatabaseUnavailableError,
    ExpiredTokenError,
    ForbiddenError,
    InvalidValueError,
    NotFoundError,
    RevokedTokenError,
    StaleError,
    UserInactiveError,
    UserNotFoundError,
)
from asyncauth.model import permission_key
from asyncauth.tokens.cutoffs import DELETED
from tests.forge import NOW
from tests.managers import FakeClock, poll, quiet, running
from tests.rows import add_role, add_user
from tests.sharing import on_sqlite
from tests.statements import count_statements
from tests.waiting import until

READ, EDIT, ELSE = ("can_read", "DAG:etl"), ("can_edit", "DAG:etl"), ("can_read", "DAG:else")
SECRET_OF_KEYS = "a secret of the tests, 32 bytes at least"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With API keys on."""
    return settings.model_copy(update={"api_key_secret": SECRET_OF_KEYS})


@pytest.fixture
def clock() -> FakeClock:
    """Of `auth`."""
    return FakeClock()


@pytest.fixture
async def auth(settings: Settings, clock: FakeClock) -> AsyncIterator[AuthManager]:
    """A started manager that polls only when the test says so."""
    async with AuthManager(quiet(settings), clock=clock.clock) as manager:
        yield manager


@pytest.fixture
async def ada(engine: AsyncEngine) -> int:
    """Somebody who may read and edit."""
    async with engine.begin() as connection:
        return await add_user(connection, roles=[await add_role(connection, "Editor", [READ, EDIT])])


@pytest.fixture
async def key(auth: AuthManager, ada: int) -> admin.NewApiKey:
    """A key of ada's that may all that she may."""
    return (await admin.create_api_key(auth, username="ada", name="nightly")).value


def may(auth: AuthManager, user: User) -> set[tuple[str, str]]:
    """What is allowed of what there is; all ways to ask say the same."""
    allowed = {pair for pair in (READ, EDIT, ELSE) if auth.decide(user, *pair)}
    assert {(one.action, one.resource) for role in user.roles for one in role.permissions} == allowed
    for action in ("can_read", "can_edit"):
        expected = {resource for one, resource in allowed if one == action}
        assert set(auth.filter_allowed(user, action, ["DAG:etl", "DAG:else"])) == expected
        assert auth.allowed_resources(user, action) == expected
    return allowed


async def refusal(auth: AuthManager, token: object) -> type[AuthError]:
    """Why a token is refused: the same both ways, once the key is in memory."""
    with pytest.raises(AuthError) as caught:
        await auth.get_user_from_token(token)
    with contextlib.suppress(type(caught.value)):
        assert auth.find_user_from_token(token) is None
    return type(caught.value)


@on_sqlite
async def test_a_warm_request_sends_nothing_and_waits_for_nothing(
    auth: AuthManager, ada: int, key: admin.NewApiKey
) -> None:
    """The first sends few statements; from then on none, and always the same object comes."""
    assert auth.find_user_from_token(key.text) is None
    with count_statements() as statements:
        first = await auth.get_user_from_token(key.text)
    assert 1 <= len(statements) <= 5
    assert (first.id, first.username, first.api_key_id) == (ada, "ada", key.id)
    with count_statements() as statements:
        with pytest.raises(StopIteration) as ended:
            auth.get_user_from_token(key.text).send(None)
        assert ended.value.value is first
        assert auth.find_user_from_token(key.text) is first
        assert auth.current(first) is first
        assert may(auth, first) == {READ, EDIT}
    assert statements == []


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(None, {READ, EDIT}), ([READ], {READ}), ([READ, ELSE], {READ}), ([ELSE], set()), ([], set())],
    ids=["none", "one", "one and another's", "another's", "empty"],
)
@on_sqlite
async def test_scopes_only_narrow(
    auth: AuthManager, ada: int, scopes: list[tuple[str, str]] | None, allowed: set[tuple[str, str]]
) -> None:
    """No scope gives what the owner does not hold, and the owner's own token is not narrowed."""
    made = (await admin.create_api_key(auth, username="Ada", name="nightly", scopes=scopes)).value
    user = await auth.get_user_from_token(made.text)
    assert may(auth, user) == allowed
    assert may(auth, auth.current(user)) == allowed
    assert may(auth, await auth.load_current(user)) == allowed
    assert may(auth, await auth.get_user(ada)) == {READ, EDIT}
    refused = auth.decide(user, *ELSE)
    assert ("scope" in refused.reason) is (scopes is not None and ELSE not in scopes)
    with pytest.raises(ForbiddenError):
        auth.serialize_user(user)


@on_sqlite
async def test_scopes_follow_what_the_owner_may(auth: AuthManager, ada: int) -> None:
    """A permission that the owner gains counts if it is in the scope, and one that the owner loses is gone."""
    made = (await admin.create_api_key(auth, username="ada", name="nightly", scopes=[READ, ELSE])).value
    user = await auth.get_user_from_token(made.text)
    await admin.grant_permission(auth, role="Editor", action=ELSE[0], resource=ELSE[1])
    assert may(auth, await auth.get_user_from_token(made.text)) == {READ, ELSE}
    await admin.take_permission(auth, role="Editor", action=READ[0], resource=READ[1])
    assert may(auth, await auth.load_current(user)) == {ELSE}
    assert may(auth, auth.current(user)) == {ELSE}


async def test_revoking_ends_it_here_at_once(auth: AuthManager, key: admin.NewApiKey) -> None:
    """With the use case: no request is admitted after it, and whoever holds the user is told so."""
    user = await auth.get_user_from_token(key.text)
    for _ in range(2):
        await admin.revoke_api_key(auth, key_id=key.id)
    with pytest.raises(StaleError):
        auth.current(user)
    assert await refusal(auth, key.text) is RevokedTokenError
    with pytest.raises(RevokedTokenError):
        auth.current(user)
    with pytest.raises(RevokedTokenError):
        await auth.load_current(user)


CHANGES = {
    "revoked": (f"UPDATE asyncauth_api_key SET revoked_at = {NOW}", RevokedTokenError),
    "deleted": ("DELETE FROM asyncauth_api_key", ApiKeyError),
    "expired": (f"UPDATE asyncauth_api_key SET expires_at = {NOW}", ExpiredTokenError),
    "another hash": (f"UPDATE asyncauth_api_key SET hash = '{'0' * 64}'", ApiKeyError),
    "no hash": ("UPDATE asyncauth_api_key SET hash = 'x'", ApiKeyError),
    "no scopes": ("UPDATE asyncauth_api_key SET scopes = '{}'", ApiKeyError),
    "bad scopes": ("""UPDATE asyncauth_api_key SET scopes = '[["can_read"]]'""", ApiKeyError),
    "no json": ("UPDATE asyncauth_api_key SET scopes = 'can_read'", ApiKeyError),
    "nobody's": ("UPDATE asyncauth_api_key SET user_id = 4711", UserNotFoundError),
    "inactive owner": ("UPDATE ab_user SET active = false", UserInactiveError),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_whoever_writes_is_followed(
    auth: AuthManager, engine: AsyncEngine, key: admin.NewApiKey, change: str
) -> None:
    """Plain SQL of another program counts with the next poll, as a change made here does at once."""
    statement, expected = CHANGES[change]
    user = await auth.get_user_from_token(key.text)
    async with engine.begin() as connection:
        await connection.execute(text(statement.replace(":", r"\:")))
    assert auth.find_user_from_token(key.text) is user
    await poll(auth)
    assert auth.find_user_from_token(key.text) is None
    with pytest.raises(StaleError):
        auth.current(user)
    assert await refusal(auth, key.text) is expected


async def test_scopes_changed_by_hand_count(auth: AuthManager, engine: AsyncEngine, key: admin.NewApiKey) -> None:
    """An operator may narrow a key."""
    await auth.get_user_from_token(key.text)
    async with engine.begin() as connection:
        await connection.execute(update(api_keys).values(scopes=json.dumps([list(EDIT)])))
    await poll(auth)
    assert may(auth, await auth.get_user_from_token(key.text)) == {EDIT}


@on_sqlite
async def test_a_load_that_a_change_overtakes_is_done_again(
    auth: AuthManager, engine: AsyncEngine, key: admin.NewApiKey
) -> None:
    """What was read before a revocation is neither stored nor answered after it became known."""
    done = asyncio.Event()

    def note(*_: object) -> None:
        done.set()

    database, ask = running(auth).database, running(auth).database.ask

    async def slowly(statement: object, *rest: object) -> object:
        rows = await ask(statement, *rest)  # type: ignore[arg-type]
        if "asyncauth_api_key" in str(statement) and not done.is_set():
            note()
            async with engine.begin() as connection:
                await connection.execute(update(api_keys).values(revoked_at=NOW))
            await running(auth).follower.catch_up()
        return rows

    database.ask = slowly  # type: ignore[method-assign, assignment]
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(key.text)
    assert done.is_set()
    assert running(auth).api_keys.loads == 2


@on_sqlite
async def test_revoked_while_the_owner_is_loaded(
    auth: AuthManager, engine: AsyncEngine, ada: int, key: admin.NewApiKey
) -> None:
    """The key is in memory, the owner is not: what becomes known during that load counts."""
    await auth.get_user_from_token(key.text)
    users_ = running(auth).users
    users_.cache.drop(ada)
    get = users_.get

    async def slowly(user_id: int) -> User:
        user = await get(user_id)
        users_.get = get  # type: ignore[method-assign]
        await admin.revoke_api_key(auth, key_id=key.id)
        return user

    users_.get = slowly  # type: ignore[method-assign]
    with pytest.raises(RevokedTokenError):
        await auth.get_user_from_token(key.text)


@on_sqlite
async def test_the_very_second_of_expiry(auth: AuthManager, clock: FakeClock, ada: int) -> None:
    """On the wall clock, without leeway: accepted before it, refused from it on."""
    made = (await admin.create_api_key(auth, username="ada", name="short", expires_at=NOW + 60)).value
    user = await auth.get_user_from_token(made.text)
    clock.now = NOW + 59.999
    assert auth.find_user_from_token(made.text) is user
    for now in (NOW + 60.0, NOW + 60.5, NOW + 1e6):
        clock.now = now
        assert await refusal(auth, made.text) is ExpiredTokenError
        with pytest.raises(ExpiredTokenError):
            auth.current(user)
    for expires_at in (NOW, int(clock.now), 2**63):
        with pytest.raises(InvalidValueError):
            await admin.create_api_key(auth, username="ada", name="late", expires_at=expires_at)


SECRET = "s" * 43
MALFORMED = [
    *("ak_", "ak_1", "ak_1_", f"ak_{SECRET}", f"ak__{SECRET}", f"ak_0_{SECRET}", f"ak_01_{SECRET}", f"ak_-1_{SECRET}"),
    *(f"ak_1_{SECRET}s", f"ak_1_{SECRET[1:]}", f"ak_1_{SECRET}\n", f" ak_1_{SECRET}", f"ak_1_{SECRET} "),
    *(f"ak_1_{SECRET[1:]}=", f"ak_1_{SECRET[1:]}.", f"ak_1_{SECRET[1:]}é", f"ak_1_{SECRET[1:]}\0", f"AK_1_{SECRET}"),
    *(f"ak_\u0661_{SECRET}", f"ak_{2**63}_{SECRET}", f"ak_{10**18}0_{SECRET}", f"ak_{'9' * 5000}_{SECRET}"),
    *(f"ak_1_{SECRET}_{SECRET}", f"ak_1__{SECRET}", f"ak_1.0_{SECRET}", f"ak_1e3_{SECRET}", f"ak_0x1_{SECRET}"),
    *(f"ak_+1_{SECRET}", f"ak_1 _{SECRET}", "ak_" + "1" * 1_000_000, f"ak_1_{SECRET[1:]}\ud800", f"ak_\ud800_{SECRET}"),
]


@on_sqlite
async def test_malformed_keys(auth: AuthManager) -> None:
    """Each is refused as 401 without a question to the database."""
    with count_statements() as statements:
        for token in [*MALFORMED, b"ak_1_" + SECRET.encode()]:
            for ask in (auth.find_user_from_token, running(auth).api_keys.find_user):
                if ask == auth.find_user_from_token or (isinstance(token, str) and token.startswith("ak_")):
                    with pytest.raises(AuthError) as caught:
                        ask(token)  # type: ignore[arg-type]
                    assert caught.value.status == 401
            with pytest.raises(AuthError) as caught:
                await auth.get_user_from_token(token)
            assert (caught.value.status, SECRET in str(caught.value)) == (401, False)
    assert statements == []


@on_sqlite
async def test_a_wrong_secret(auth: AuthManager, key: admin.NewApiKey) -> None:
    """Every other secret is refused, from memory, as is another key's; the ids are not confused."""
    other = (await admin.create_api_key(auth, username="ada", name="other")).value
    await auth.get_user_from_token(key.text)
    await auth.get_user_from_token(other.text)
    secret = key.text.removeprefix(f"ak_{key.id}_")
    with count_statements() as statements:
        for wrong in ("A" * 43, secret[::-1], secret.swapcase(), other.text.removeprefix(f"ak_{other.id}_")):
            assert await refusal(auth, f"ak_{key.id}_{wrong}") is ApiKeyError
        assert await refusal(auth, f"ak_{other.id}_{secret}") is ApiKeyError
    assert statements == []


@on_sqlite
async def test_a_flood_of_unknown_ids_is_bounded(auth: AuthManager, ada: int, key: admin.NewApiKey) -> None:
    """Few are asked for at the same time, those who ask for one id share a question, and nothing is remembered."""
    await auth.get_user_from_token(key.text)
    keys, database = running(auth).api_keys, running(auth).database
    ask, asking, most = database.ask, 0, 0

    async def watched(*arguments: object) -> object:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        try:
            return await ask(*arguments)  # type: ignore[arg-type]
        finally:
            asking -= 1

    database.ask = watched  # type: ignore[method-assign, assignment]
    before = keys.loads
    flood = [f"ak_{key.id + 1 + number % 30}_{SECRET}" for number in range(300)]
    refused = await asyncio.gather(*(auth.get_user_from_token(one) for one in flood), return_exceptions=True)
    assert {type(error) for error in refused} == {ApiKeyError}
    assert keys.loads - before == 30
    assert most == 2
    with count_statements() as statements:
        assert auth.find_user_from_token(key.text) is not None
        for _ in range(2):
            assert await refusal(auth, flood[0]) is ApiKeyError
    assert len(statements) == 2


@on_sqlite
async def test_a_flood_that_waits_too_long_is_told_so(settings: Settings, ada: int) -> None:
    """With a database that does not answer: 503 at the deadline, and users go on from memory."""
    async with AuthManager(quiet(settings)) as auth:
        token = auth.issue_token(ada)
        await auth.get_user_from_token(token)
        running(auth).api_keys._timeout_seconds = 0.5

        async def never(*_: object) -> object:
            await asyncio.sleep(0.8)
            raise AssertionError("nobody waits for this any more")

        running(auth).database.ask = never  # type: ignore[method-assign, assignment]
        flood = [auth.get_user_from_token(f"ak_{number}_{SECRET}") for number in range(1, 50)]
        refused = await asyncio.gather(*flood, return_exceptions=True)
        assert {type(error) for error in refused} == {DatabaseUnavailableError}
        assert auth.find_user_from_token(token) is not None


async def test_last_use_is_written_in_batches(
    auth: AuthManager, engine: AsyncEngine, clock: FakeClock, key: admin.NewApiKey
) -> None:
    """Not by a request, all keys in one transaction, never backwards, without a record, and what fails is kept."""
    keys = [key, *[(await admin.create_api_key(auth, username="ada", name=f"{n}")).value for n in range(3)]]

    async def used_at() -> list[int | None]:
        return [one.last_used_at for one in await admin.list_api_keys(auth, username="ada")]

    async def records() -> int:
        async with engine.connect() as connection:
            return len((await connection.execute(select(changes.c.id))).all())

    for one in keys[:3]:
        await auth.get_user_from_token(one.text)
    clock.now = NOW + 5
    auth.find_user_from_token(keys[0].text)
    assert await used_at() == [None] * 4
    before, commits = await records(), 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    engine_ = running(auth).database.engine.sync_engine
    event.listen(engine_, "commit", count)
    await running(auth).api_keys.note_uses()
    event.remove(engine_, "commit", count)
    assert commits == 1
    assert await used_at() == [NOW + 5, NOW, NOW, None]
    assert await records() == before
    clock.now = NOW - 100  # the clock went back, or another worker's is behind
    for one in keys:
        await auth.get_user_from_token(one.text)
    async with engine.begin() as connection:
        await connection.execute(update(users).values(first_name="somebody else's transaction"))
    await running(auth).api_keys.note_uses()
    assert await used_at() == [NOW + 5, NOW, NOW, NOW - 100]
    with count_statements() as statements:
        await running(auth).api_keys.note_uses()
    assert statements == []


@on_sqlite
async def test_uses_that_cannot_be_written_are_kept(
    auth: AuthManager, clock: FakeClock, key: admin.NewApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next time they are, the newer ones of the meantime before them; and a manager that closes writes the rest."""
    await auth.get_user_from_token(key.text)
    keys, database = running(auth).api_keys, running(auth).database
    write = database.write

    async def fail(_: object) -> None:
        clock.now = NOW + 7
        auth.find_user_from_token(key.text)
        raise DatabaseUnavailableError("just now")

    monkeypatch.setattr(database, "write", fail)
    with pytest.raises(DatabaseUnavailableError):
        await keys.note_uses()
    monkeypatch.setattr(database, "write", write)
    other = running(auth)
    await auth.close()
    await auth.start()
    assert running(auth) is not other
    assert [one.last_used_at for one in await admin.list_api_keys(auth)] == [NOW + 7]


async def test_keys_of_a_deleted_user_are_not_inherited(
    auth: AuthManager, engine: AsyncEngine, clock: FakeClock, ada: int, key: admin.NewApiKey
) -> None:
    """The next user of the same id (SQLite gives it again) gets none of the old keys, and can have new ones at once."""
    assert (await auth.get_user_from_token(key.text)).id == ada
    running(auth).cutoffs.add([(ada, NOW, DELETED)])
    assert await refusal(auth, key.text) is RevokedTokenError
    async with engine.begin() as connection:
        own_id = {} if engine.dialect.name == "postgresql" else {"id": 1_000_000}
        await connection.execute(insert(cutoffs).values(user_id=ada, at=NOW, reason=DELETED, **own_id))
    new = (await admin.create_api_key(auth, username="ada", name="new")).value
    assert (await auth.get_user_from_token(new.text)).api_key_id == new.id


async def test_keys_of_a_deleted_user_do_not_live_again(
    auth: AuthManager, engine: AsyncEngine, clock: FakeClock, ada: int, key: admin.NewApiKey
) -> None:
    """Memory forgets a deletion when the last token of the user has expired, an hour or more before the row of the key
    goes: the next user of the same id still gets none of the old keys."""
    assert (await auth.get_user_from_token(key.text)).id == ada
    async with engine.begin() as connection:
        row = (await connection.execute(select(users).where(users.c.id == ada))).one()._asdict()
        await connection.execute(delete(user_roles))
        await connection.execute(delete(users).where(users.c.id == ada))
        await connection.execute(insert(users).values(row))
        await connection.execute(update(cutoffs).values(at=NOW))  # the trigger's clock is another one
    await poll(auth)
    assert (await auth.get_user(ada)).roles == ()
    assert await refusal(auth, key.text) is RevokedTokenError
    running(auth).cutoffs.purge(2**53)
    assert await refusal(auth, key.text) is RevokedTokenError
    await running(auth).follower.restart("a test")
    running(auth).cutoffs.purge(2**53)
    assert await refusal(auth, key.text) is RevokedTokenError
    clock.advance(auth.settings.jwt_max_age_seconds + auth.settings.jwt_leeway_seconds)
    await poll(auth)
    assert await refusal(auth, key.text) is RevokedTokenError


@on_sqlite
async def test_a_bad_key_goes_before_a_bad_consistency_token(auth: AuthManager, key: admin.NewApiKey) -> None:
    """Nobody has a question about changes answered before it is known who asks."""
    for bad in ("ak_", key.text[:-1] + ("A" if key.text[-1] != "A" else "B")):
        with pytest.raises(ApiKeyError):
            await auth.get_user_from_token(bad, at_least="garbage")
    with pytest.raises(ConsistencyTokenError):
        await auth.get_user_from_token(key.text, at_least="garbage")


@on_sqlite
async def test_another_reason_leaves_keys_alone(auth: AuthManager, ada: int, key: admin.NewApiKey) -> None:
    """A new password or a logout everywhere ends tokens, not machines."""
    running(auth).cutoffs.add([(ada, NOW + 5, "password")])
    assert (await auth.get_user_from_token(key.text)).id == ada


async def test_what_is_told_about_keys(auth: AuthManager, engine: AsyncEngine, ada: int) -> None:
    """Everything but the secret; of a user, or of all."""
    async with engine.begin() as connection:
        await add_user(connection, "bob", active=False)
    made = (
        await admin.create_api_key(auth, username="ada", name="nightly", scopes=[READ, EDIT, READ], expires_at=NOW + 9)
    ).value
    await admin.create_api_key(auth, username="bob", name="bob's")
    await admin.revoke_api_key(auth, key_id=made.id)
    (one,) = await admin.list_api_keys(auth, username="ADA")
    assert (one.id, one.username, one.name, one.created_at) == (made.id, "ada", "nightly", NOW)
    assert (one.expires_at, one.revoked_at, one.last_used_at) == (NOW + 9, NOW, None)
    assert [(pair.action, pair.resource) for pair in one.scopes or ()] == sorted([READ, EDIT])
    assert [one.username for one in await admin.list_api_keys(auth)] == ["ada", "bob"]
    assert [one.name for one in await admin.list_api_keys(auth, username="bob")] == ["bob's"]
    for wrong in (admin.list_api_keys(auth, username="eve"), admin.create_api_key(auth, username="eve", name="x")):
        with pytest.raises(NotFoundError):
            await wrong
    for key_id in (0, -1, made.id + 100, 2**63):
        with pytest.raises(NotFoundError):
            await admin.revoke_api_key(auth, key_id=key_id)
    many = [("can_read", f"DAG:{number}") for number in range(5000)]
    for name, scopes in (("", None), ("x" * 101, None), ("x", [("", "y")]), ("x", [("a", "b\0")]), ("x", many)):
        with pytest.raises(InvalidValueError):
            await admin.create_api_key(auth, username="ada", name=name, scopes=scopes)


@on_sqlite
async def test_a_new_secret_ends_no_key_while_the_former_is_known(settings: Settings, key: admin.NewApiKey) -> None:
    """What was made with the one before is accepted, new keys are made with the new one alone."""
    former = settings.api_key_secret
    async with AuthManager(quiet(settings, api_key_secret="n" * 32, api_key_former_secrets=("x" * 32, former))) as auth:
        assert (await auth.get_user_from_token(key.text)).username == "ada"
        new = (await admin.create_api_key(auth, username="ada", name="new")).value
        assert (await auth.get_user_from_token(new.text)).username == "ada"
        assert await refusal(auth, f"{new.text[:-1]}{'A' if new.text[-1] != 'A' else 'B'}") is ApiKeyError
    async with AuthManager(quiet(settings, api_key_secret="n" * 32)) as auth:
        assert (await auth.get_user_from_token(new.text)).username == "ada"
        assert await refusal(auth, key.text) is ApiKeyError
    async with AuthManager(quiet(settings)) as auth:
        assert await refusal(auth, new.text) is ApiKeyError
    with pytest.raises(ConfigurationError, match="api_key_secret, or a former one"):
        Settings(**{**settings.model_dump(exclude_unset=True), "api_key_former_secrets": "short"})


@on_sqlite
async def test_off_unless_a_secret_is_set(settings: Settings, key: admin.NewApiKey) -> None:
    """Every key is refused, and making one says what to set. Another secret ends all keys."""
    async with AuthManager(quiet(settings, api_key_secret=None)) as off:
        assert await refusal(off, key.text) is ApiKeyError
        with pytest.raises(ConfigurationError, match="api_key_secret"):
            await admin.create_api_key(off, username="ada", name="x")
    async with AuthManager(quiet(settings, api_key_secret="another " * 4)) as changed:
        assert await refusal(changed, key.text) is ApiKeyError
    with pytest.raises(ConfigurationError, match="api_key_secret"):
        Settings(**{**settings.model_dump(), "api_key_secret": "x" * 31})


@on_sqlite
async def test_without_proof_nothing_is_granted(auth: AuthManager, clock: FakeClock, key: admin.NewApiKey) -> None:
    """An API key is bound to the lease like any other token."""
    user = await auth.get_user_from_token(key.text)
    clock.elapsed += 1e6
    with pytest.raises(StaleError):
        auth.find_user_from_token(key.text)
    with pytest.raises(StaleError):
        auth.current(user)
    with pytest.raises(StaleError):
        await auth.get_user_from_token(key.text)


async def everything(engine: AsyncEngine) -> str:
    """All rows of all our tables."""
    async with engine.connect() as connection:
        return " ".join([repr((await connection.execute(select(table))).all()) for table in own.sorted_tables])


async def test_a_key_stands_nowhere(
    settings: Settings, engine: AsyncEngine, ada: int, all_logs: pytest.LogCaptureFixture
) -> None:
    """Neither in the database, nor in logs, errors, or the text of anything."""
    async with AuthManager(quiet(settings)) as auth:
        written = await admin.create_api_key(auth, username="ada", name="nightly", scopes=[READ])
        text_ = written.value.text
        user = await auth.get_user_from_token(text_)
        held = running(auth).api_keys
        assert held.loads == 1
        errors = []
        await admin.revoke_api_key(auth, key_id=written.value.id)
        for token in (text_, text_ + "x", text_[:-1]):
            with pytest.raises(AuthError) as caught:
                await auth.get_user_from_token(token)
            errors.append(repr(caught.value))
        texts = [repr(written), repr(user), repr(auth.settings), *errors, await everything(engine), all_logs.text]
    secret = text_.rpartition(f"ak_{written.value.id}_")[2]
    assert len(secret) == 43
    for one in texts:
        assert secret[:-1] not in one
    assert SECRET_OF_KEYS not in " ".join(texts)
    assert permission_key(*READ) in (user.scope or ())


async def test_which_changes_are_noted(engine: AsyncEngine, key: admin.NewApiKey) -> None:
    """All but when it was last used, and new keys, which nobody remembers; on SQLite an insert may replace one."""
    new = "(id, user_id, name, hash, created_at) VALUES (4711, 1, 'x', 'x', 1)"
    overriding = new.replace("VALUES", "OVERRIDING SYSTEM VALUE VALUES")
    on_sqlite = engine.dialect.name == "sqlite"
    async with engine.connect() as connection:
        for statement, expected in {
            "UPDATE asyncauth_api_key SET last_used_at = 5": [],
            "UPDATE asyncauth_api_key SET scopes = scopes, hash = hash": [],
            f"INSERT INTO asyncauth_api_key {overriding if engine.dialect.name == 'postgresql' else new}": (
                [("api_key", 4711)] if on_sqlite else []
            ),
            "UPDATE asyncauth_api_key SET revoked_at = 5": [("api_key", key.id)],
            "UPDATE asyncauth_api_key SET scopes = '[]'": [("api_key", key.id)],
            "UPDATE asyncauth_api_key SET hash = upper(hash)": [("api_key", key.id)],
            "DELETE FROM asyncauth_api_key": [("api_key", key.id)],
        }.items():
            before = await connection.scalar(select(func.max(changes.c.id))) or 0
            await connection.exec_driver_sql(statement)
            query = select(changes.c.kind, changes.c.item).where(changes.c.id > before)
            found = [tuple(row) for row in await connection.execute(query)]
            await connection.rollback()
            assert found == expected, statement


async def test_a_change_of_keys_drops_no_user(auth: AuthManager, ada: int, key: admin.NewApiKey) -> None:
    """Users stay in memory, on SQLite too, where any other record drops them all."""
    await auth.get_user_from_token(key.text)
    user = await auth.get_user(ada)
    await admin.revoke_api_key(auth, key_id=key.id)
    assert auth.current(user) is user


async def test_a_deleted_row_frees_no_id(auth: AuthManager, engine: AsyncEngine, key: admin.NewApiKey) -> None:
    """The id of a key that is gone is not given to the next."""
    async with engine.begin() as connection:
        await connection.execute(delete(api_keys))
    assert (await admin.create_api_key(auth, username="ada", name="new")).value.id > key.id


@on_sqlite
async def test_upkeep_writes_uses(settings: Settings, engine: AsyncEngine, ada: int) -> None:
    """In the background, at its interval."""
    async with AuthManager(quiet(settings, trigger_check_seconds=0.05)) as auth:
        made = (await admin.create_api_key(auth, username="ada", name="nightly")).value
        await auth.get_user_from_token(made.text)
        await until(lambda: not running(auth).api_keys._used)
    async with engine.connect() as connection:
        assert (await connection.scalar(select(api_keys.c.last_used_at))) is not None
