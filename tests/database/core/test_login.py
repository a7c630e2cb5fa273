"""Logging in: what opens, what does not, and that nothing tells the one kind of refusal from the other."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Row, Table, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncauth import AuthManager, Settings, passwords
from asyncauth.db.tables import changes, cutoffs, rehashes, users
from asyncauth.errors import BusyError, ConfigurationError, LoginError
from asyncauth.hasher import PasswordHasher
from asyncauth.passwords import Scheme, make
from tests.managers import count_loads, poll, running
from tests.rows import add_user
from tests.statements import count_statements
from tests.waiting import until

PASSWORD = "correct horse"
CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)


@pytest.fixture(autouse=True)
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The schemes computed so far. The default is a cheap one here."""
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)
    done: list[str] = []
    compute = Scheme.compute

    def note(scheme: Scheme, password: bytes, salt: str) -> str:
        done.append(scheme.text)
        return compute(scheme, password, salt)

    monkeypatch.setattr(Scheme, "compute", note)
    return done


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """Hashes of the password, cheap to check, and of the empty one."""
    pbkdf2 = Scheme("", digest="sha256", iterations=1).compute(PASSWORD.encode(), "salt")
    return {
        "scrypt": f"scrypt:16:1:1$salt${CHEAP.compute(PASSWORD.encode(), 'salt')}",
        "pbkdf2": f"pbkdf2:sha256:1$salt${pbkdf2}",
        "empty": f"scrypt:16:1:1$salt${CHEAP.compute(b'', 'salt')}",
    }


async def row_of(engine: AsyncEngine, user_id: int) -> "Row[Any]":
    """A user's row."""
    async with engine.connect() as connection:
        return (await connection.execute(select(users).where(users.c.id == user_id))).one()


async def last_change(engine: AsyncEngine) -> int:
    """The id of the last record in the change log."""
    async with engine.connect() as connection:
        return await connection.scalar(select(func.max(changes.c.id))) or 0


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """The one refusal, whatever its reason."""
    with pytest.raises(LoginError) as caught:
        yield
    error = caught.value
    assert (error.status, error.code, error.public_message) == (401, "login_refused", "wrong user name or password")


@pytest.mark.parametrize("kind", ["scrypt", "pbkdf2"])
async def test_the_right_password_opens(
    auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str], kind: str
) -> None:
    """By user name in any case, and by e-mail as it is: the token is the user's."""
    async with engine.begin() as connection:
        ada = await add_user(connection, "Ada", password=hashes[kind], email="Lovelace@example.org")
        await add_user(connection, "bob", password=hashes[kind])
    for name in ("Ada", "ada", "ADA", "Lovelace@example.org"):
        token = await auth.login(name, PASSWORD)
        assert (await auth.get_user_from_token(token)).id == ada
    for name in ("lovelace@example.org", "Lovelace", "Ada ", " Ada", "%", "A_a"):
        with refused():
            await auth.login(name, PASSWORD)


async def test_a_real_hash_opens(monkeypatch: pytest.MonkeyPatch, auth: AuthManager, engine: AsyncEngine) -> None:
    """A hash with the default parameters, made here, checked off the event loop."""
    monkeypatch.undo()
    stored = await asyncio.to_thread(make, PASSWORD)
    async with engine.begin() as connection:
        ada = await add_user(connection, password=stored)
    assert (await auth.get_user_from_token(await auth.login("ada", PASSWORD))).id == ada
    assert await auth.hash_password(PASSWORD) != stored


async def test_a_login_is_noted_as_fab_does(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """Counters start from NULL; a success counts, ends the series of failures and sets the time; a failure counts."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["scrypt"])
    for attempt, password, expected in (
        (1, "wrong", (None, 1)),
        (2, "wrong", (None, 2)),
        (3, PASSWORD, (1, 0)),
        (4, "wrong", (1, 1)),
        (5, PASSWORD, (2, 0)),
    ):
        with contextlib.nullcontext() if password == PASSWORD else refused():
            await auth.login("ada", password)
        row = await row_of(engine, ada)
        assert (attempt, (row.login_count, row.fail_login_count)) == (attempt, expected)
        assert (row.last_login is not None) is (attempt >= 3)
        assert row.changed_on is None


async def test_a_login_stands_in_the_log(
    auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Who came in from where, and that somebody did not; never what was typed, which may be a password (ASVS 16.3)."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["scrypt"])
    with caplog.at_level(logging.INFO, "asyncauth.security"):
        await auth.login("ada", PASSWORD, "192.0.2.1")
        for username, password in (("ada", "wrong"), (PASSWORD, PASSWORD), ("", "")):
            with refused():
                await auth.login(username, password, "192.0.2.7\nuser 1")
    said = [record.getMessage() for record in caplog.records if record.name == "asyncauth.security"]
    no = "a login from '192.0.2.7\\nuser 1' was refused: login_refused"
    assert said == [f"user {ada} logged in from '192.0.2.1'", no, no, no]


async def test_logins_at_once_all_count(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """Nothing is read, added to and written back: ten guesses at once are ten failures."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["scrypt"])
    results = await asyncio.gather(*(auth.login("ada", f"guess {one}") for one in range(10)), return_exceptions=True)
    assert all(isinstance(result, LoginError) for result in results)
    assert (await row_of(engine, ada)).fail_login_count == 10


async def test_all_refusals_cost_the_same(
    auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str], computed: list[str]
) -> None:
    """Unknown, inactive, without a hash, with one that cannot be read, or just wrong: the same statements, one hash,
    the same answer; and the right password costs no statement more."""
    async with engine.begin() as connection:
        await add_user(connection, "right", password=hashes["scrypt"])
        await add_user(connection, "inactive", password=hashes["scrypt"], active=False)
        await add_user(connection, "null", password=hashes["scrypt"], active=None)
        await add_user(connection, "without", password=None)
        await add_user(connection, "empty", password="")
        await add_user(connection, "unreadable", password="argon2$salt$00")
        await add_user(connection, "hostile", password="scrypt:65536:1:1$salt$00")
    await auth.login("right", PASSWORD)
    computed.clear()
    with count_statements() as expected:
        await auth.login("right", PASSWORD)
    assert len(computed) == 1
    texts = {"right": expected}
    for name in (
        "right",
        "inactive",
        "null",
        "without",
        "empty",
        "unreadable",
        "hostile",
        "unknown",
        "",
        "\0",
        "x" * 600,
    ):
        computed.clear()
        with count_statements() as statements, refused():
            await auth.login(name, "wrong" if name == "right" else PASSWORD)
        texts[name or "(empty)"] = statements
        assert (name, len(statements)) == (name, len(expected))
        assert (name, [text for text in computed if text != "scrypt:65536:1:1"]) == (name, [CHEAP.text])
    refusals = {tuple(statements) for name, statements in texts.items() if name != "right"}
    assert len(refusals) == 1
    for name in ("inactive", "null", "without"):
        async with engine.connect() as connection:
            row = (await connection.execute(select(users).where(users.c.username == name))).one()
        assert (name, row.login_count, row.last_login) == (name, None, None)


@pytest.mark.parametrize(
    "password", ["", "\0", "\0" * 100, "\ud800", "x" * 4097, "é" * 2049, None, 5, b"correct horse"], ids=repr
)
@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_what_is_no_password_is_refused_before_anything(
    auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str], computed: list[str], password: Any
) -> None:
    """No statement and no hash; FAB stores the hash of the empty password for users of LDAP and OAuth."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["empty"])
    computed.clear()
    with count_statements() as statements, refused():
        await auth.login("ada", password)
    assert statements == []
    assert computed == []
    assert (await row_of(engine, ada)).fail_login_count is None


ODD: list[Any] = [
    *("", "\0", "ada\0", "\0ada", "\ud800", "ada\udcff", "x" * 512, "x" * 513, "x" * 600, "\U0001f600"),
    *("%", "_da", "ada\n", "'", None, 5, b"ada"),
]


async def test_odd_names_are_nobodys(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """Names that no database stores, or nobody has, are refused like any other wrong name."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["scrypt"])
    for name in ODD:
        with refused():
            await auth.login(name, PASSWORD)
    assert (await row_of(engine, ada)).login_count is None


LOOK_ALIKES = (
    *("ádmin", "àdmin", "Ädmin", "a\u0301dmin", "adm\u0131n", "\uff41dmin", "ad\u200bmin", "admi\u0144"),
    *("admin ", " admin", "admin\u00a0", "admin\t"),
)


async def test_look_alikes_are_somebody_else(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """MariaDB's collations take accents and spaces at the end for nothing: nobody logs in as another one by that."""
    async with engine.begin() as connection:
        await add_user(connection, "admin", password=hashes["scrypt"], email="admin@example.org")
    for name in LOOK_ALIKES:
        for asked in (name, f"{name}@example.org", f"admin@example.org{name[5:]}."):
            with refused():
                await auth.login(asked, PASSWORD)


async def test_a_name_goes_before_an_address(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """Who takes another one's e-mail address as a name does not log in as the other one, and the other way round."""
    wrong = hashes["pbkdf2"].replace("salt", "tlas")
    async with engine.begin() as connection:
        named = await add_user(connection, "ada@example.org", password=hashes["scrypt"], email="named@example.org")
        await add_user(connection, "ada", password=wrong, email="ada@example.org")
    assert (await auth.get_user_from_token(await auth.login("ada@example.org", PASSWORD))).id == named
    async with engine.begin() as connection:
        await connection.execute(update(users).where(users.c.id == named).values(password=wrong))
        await connection.execute(update(users).where(users.c.id != named).values(password=hashes["scrypt"]))
    with refused():
        await auth.login("ada@example.org", PASSWORD)


async def test_a_login_is_no_change(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """It writes the user's row each time, and nobody has to be loaded again for it."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["scrypt"])
    user = await auth.get_user(ada)
    known = await last_change(engine)
    with count_loads() as loads:
        for _ in range(3):
            await auth.get_user_from_token(await auth.login("ada", PASSWORD))
        await poll(auth)
        assert auth.current(user) is user
    assert loads == []
    assert await last_change(engine) == known


async def test_a_cancelled_login_is_noted(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """A client that goes away in the middle of a guess is counted all the same, and leaves no connection behind."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["scrypt"])
    for number in range(1, 5):
        guess = asyncio.create_task(auth.login("ada", "guess"))
        for _ in range(number * 3):
            await asyncio.sleep(0)
        guess.cancel()
        await asyncio.wait([guess])
        assert guess.cancelled() or isinstance(guess.exception(), LoginError)  # it had ended, on a machine that is slow
        await until(lambda: len(running(auth).tasks._running) == len(running(auth).background))
        assert (await row_of(engine, ada)).fail_login_count == number


async def test_a_password_that_changes_counts_at_once(
    auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]
) -> None:
    """Hashes are never remembered: whoever changes one, the old password is wrong from then on."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=hashes["scrypt"])
    await auth.login("ada", PASSWORD)
    async with engine.begin() as connection:
        await connection.execute(update(users).where(users.c.id == ada).values(password=hashes["empty"]))
    with refused():
        await auth.login("ada", PASSWORD)


# ── better hashes ──

WEAK = Scheme("scrypt:2:1:1", n=2, r=1, p=1)
WEAK_HASH = f"scrypt:2:1:1$salt${WEAK.compute(PASSWORD.encode(), 'salt')}"


async def count(engine: AsyncEngine, *tables: Table) -> list[int]:
    """How many rows are in each."""
    async with engine.connect() as connection:
        return [await connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


async def test_a_weaker_hash_is_replaced(auth: AuthManager, engine: AsyncEngine, hashes: dict[str, str]) -> None:
    """At a login that succeeds, once, with everything that a login notes; nobody is logged out by that."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=WEAK_HASH)
    (before,) = await count(engine, cutoffs)
    earlier = auth.issue_token(ada)
    with refused():
        await auth.login("ada", "wrong")
    assert (await row_of(engine, ada)).password == WEAK_HASH
    token = await auth.login("ada", PASSWORD)
    row = await row_of(engine, ada)
    assert row.password.startswith("scrypt:16:1:1$")
    assert (row.login_count, row.fail_login_count, row.changed_on) == (1, 0, None)
    await poll(auth)
    for one in (earlier, token, await auth.login("ada", PASSWORD)):
        assert (await auth.get_user_from_token(one)).id == ada
    assert (await row_of(engine, ada)).password == row.password
    assert await count(engine, cutoffs, rehashes) == [before, 0]
    with refused():
        await auth.login("ada", "wrong")


async def test_logins_at_once_replace_it_once(auth: AuthManager, engine: AsyncEngine) -> None:
    """Each was made for the hash that another one has replaced meanwhile: all succeed, and all count."""
    async with engine.begin() as connection:
        ada = await add_user(connection, password=WEAK_HASH)
    (before,) = await count(engine, cutoffs)
    tokens = await asyncio.gather(*(auth.login("ada", PASSWORD) for _ in range(5)))
    await poll(auth)
    for token in tokens:
        assert (await auth.get_user_from_token(token)).id == ada
    assert (await row_of(engine, ada)).login_count == 5
    assert await count(engine, cutoffs, rehashes) == [before, 0]


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_a_busy_server_leaves_it(auth: AuthManager, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login that was allowed is not refused for want of time for another hash."""

    async def busy(*_: object) -> str:
        raise BusyError("the queue of password checks is full")

    monkeypatch.setattr(PasswordHasher, "make", busy)
    async with engine.begin() as connection:
        ada = await add_user(connection, password=WEAK_HASH)
    await auth.login("ada", PASSWORD)
    assert (await row_of(engine, ada)).password == WEAK_HASH


async def test_a_wrong_password_costs_the_same_under_a_weaker_hash(auth: AuthManager, engine: AsyncEngine) -> None:
    """The same statements as for nobody."""
    async with engine.begin() as connection:
        await add_user(connection, password=WEAK_HASH)
    texts = []
    for name in ("nobody", "ada"):
        with count_statements() as statements, refused():
            await auth.login(name, "wrong")
        texts.append(list(statements))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_a_weak_method_is_refused_at_the_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of the setting."""
    monkeypatch.undo()
    weak = AuthManager(settings.model_copy(update={"password_hash_method": "scrypt:1024:8:1"}))
    with pytest.raises(ConfigurationError, match="password_hash_method"):
        await weak.start()
