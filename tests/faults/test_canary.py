"""Passwords, hashes, tokens and keys are seen nowhere: everything logs at DEBUG, everything that can go wrong does, and
all that comes out is searched for them."""

import json
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import examples.fastapi_app
import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Table, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from asyncauth import AuthManager, Settings, admin, get_auth_manager, passwords
from asyncauth.db.ids import insert_row
from asyncauth.db.tables import api_keys, refresh_tokens, users
from asyncauth.errors import AuthError
from asyncauth.metrics import register_prometheus
from asyncauth.passwords import Scheme
from asyncauth.tokens.rotation import create_file, make_key
from tests.commands import run_here
from tests.conftest import NAME, PATIENCE_SECONDS
from tests.managers import running
from tests.rows import add_user
from tests.web.conftest import bearer
from tests.web.servers import serve

PASSWORD = "canary password of ada"
WRONG = "canary password that is wrong"
JWT_SECRET = "canary jwt secret 0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMN"
API_KEY_SECRET = "canary api key secret 0123456789 abcdefgh"
URL_PASSWORD = "canary-of-the-url"
CHEAP = Scheme("scrypt:16:1:1", n=16, r=1, p=1)
WEAK = Scheme("scrypt:2:1:1", n=2, r=1, p=1)
WEAK_HASH = f"scrypt:2:1:1$canarysalt${WEAK.compute(PASSWORD.encode(), 'canarysalt')}"
LIBRARIES = (
    *("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.engine.Engine", "sqlalchemy.pool", "alembic"),
    *("aiosqlite", "asyncpg", "psycopg", "aiomysql", "asyncio", "httpx", "httpcore", "anyio", "concurrent"),
    *("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "fastapi", "asyncauth", "asyncauth.security"),
)
LENGTH = 20
"""A piece of a secret that long is the secret."""


@dataclass
class Seen:
    """All that came out, and what must not be in it."""

    text: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    listening: bool = True

    def keep(self, **secrets: str) -> None:
        """Remember secrets by name, each by a piece that no other text holds."""
        self.secrets.update({f"{name} {len(self.secrets)}": secret[-LENGTH:] for name, secret in secrets.items()})

    def leaks(self) -> list[tuple[str, str]]:
        """Which secrets came out, and after which words."""
        found = ((name, text.partition(secret)) for name, secret in self.secrets.items() for text in self.text)
        return [(name, parts[0][-60:]) for name, parts in found if parts[1]]


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> Iterator[Seen]:
    """Collects every record of every logger, as it would be written."""
    found = Seen()
    formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if found.listening:
                found.text.append(formatter.format(record))

    collector = Collector(logging.DEBUG)
    root = logging.getLogger()
    root.addHandler(collector)
    for name in (None, *LIBRARIES):
        caplog.set_level(logging.DEBUG, name)
    yield found
    root.removeHandler(collector)


@pytest.fixture
def keys_path(tmp_path: Path, seen: Seen) -> Path:
    """A file of two keys, one secret and one private."""
    paths = []
    for algorithm in ("HS512", "ES256"):
        path = tmp_path / f"{algorithm}.json"
        create_file(path, make_key(algorithm, 0 if algorithm == "HS512" else 1))
        paths.append(json.loads(path.read_text())["keys"][0])
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": paths}))
    seen.keep(k=paths[0]["k"], d=paths[1]["d"])
    return path


@pytest.fixture
async def http(
    settings: Settings, keys_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """The FastAPI example with everything on, whose answers are collected, too."""
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)
    seen.keep(password=PASSWORD, wrong=WRONG, jwt=JWT_SECRET, api=API_KEY_SECRET, hash=WEAK_HASH)
    environment = {
        "DATABASE_URL": settings.database_url or "",
        "JWT_SECRET": JWT_SECRET,
        "JWT_KEYS_PATH": str(keys_path),
        "JWT_ISSUER": NAME,
        "JWT_AUDIENCE": NAME,
        "API_KEY_SECRET": API_KEY_SECRET,
        "REFRESH_TOKENS": "true",
        "REFRESH_GRACE_SECONDS": "0",
        "DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"ASYNCAUTH_{name}", value)

    async def collect(response: httpx.Response) -> None:
        seen.text.append(f"{response.url} {response.headers} {(await response.aread()).decode()}")

    hooks = {"response": [collect]}
    async with (
        serve(examples.fastapi_app.app, lifespan="on") as address,
        httpx.AsyncClient(base_url=f"http://{address}", event_hooks=hooks, timeout=60) as client,
    ):
        yield client


async def fails(seen: Seen, work: Any) -> None:
    """What an application would log of an error."""
    try:
        await work
    except AuthError as error:
        seen.text += ["".join(traceback.format_exception(error)), repr(error), error.public_message]
    else:
        pytest.fail("nothing went wrong")


async def _hashes(session: AsyncSession) -> list[str]:
    return [value for value in await session.scalars(select(users.c.password)) if value]


async def hashes(engine: AsyncEngine, table: Table, column: str) -> list[str]:
    """What the database holds."""
    async with engine.connect() as connection:
        return [value for value in await connection.scalars(select(table.c[column])) if value]


async def test_nothing_is_seen(http: httpx.AsyncClient, engine: AsyncEngine, seen: Seen) -> None:
    """Of a server that is used and abused, on each database."""
    auth = get_auth_manager()
    async with engine.begin() as connection:
        ada = await add_user(connection, password=WEAK_HASH)
    seen.text.clear()  # the test's own engine
    given = await _log_in(http, auth, seen)
    await _abuse(http, auth, seen, given)
    await _break(auth, seen, ada)
    registry = CollectorRegistry()
    register_prometheus(auth, registry)
    seen.text += [generate_latest(registry).decode(), repr(auth.status()), str(auth.public_keys())]
    _show_all(auth, seen)
    seen.listening = False  # the test's own engine logs what it reads
    logged = [line for line in seen.text if line.startswith("sqlalchemy.engine")]
    assert any("UPDATE ab_user SET password=" in line for line in logged), "the statements are not logged"
    for table, column in ((users, "password"), (api_keys, "hash"), (refresh_tokens, "hash")):
        found = await hashes(engine, table, column)
        assert found
        for one in found:
            seen.keep(**{f"{table.name}.{column}": one})
    assert len(seen.secrets) > 15
    assert seen.leaks() == []


async def _log_in(http: httpx.AsyncClient, auth: AuthManager, seen: Seen) -> dict[str, str]:
    """Use everything, as it ought to be used. The answers that give tokens are the one place for them."""
    before = len(seen.text)
    body = {"username": "ada", "password": PASSWORD}
    plain = (await http.post("/token", json=body)).json()
    pair = (await http.post("/login", json=body)).json()
    next_pair = (await http.post("/refresh", json={"refresh_token": pair["refresh_token"]})).json()
    seen.text[before:] = [text for text in seen.text[before:] if not text.startswith(str(http.base_url))]
    made = await admin.create_api_key(auth, username="ada", name="export")
    given = {
        "plain": plain["access_token"],
        "access": next_pair["access_token"],
        "spent": pair["refresh_token"],
        "refresh": next_pair["refresh_token"],
        "api_key": made.value.text,
    }
    seen.keep(**given)
    seen.text += [repr(made), repr(await auth.login_pair("ada", PASSWORD)), repr(await admin.list_api_keys(auth))]
    for name in ("plain", "access", "api_key"):
        assert (await http.get("/dags/etl", headers=bearer(given[name]))).status_code == 403
    return given


async def _abuse(http: httpx.AsyncClient, auth: AuthManager, seen: Seen, given: dict[str, str]) -> None:
    """Send whatever is wrong, and the right things to the wrong places."""
    assert (await http.post("/token", json={"username": "ada", "password": WRONG})).status_code == 401
    assert (await http.post("/token", json={"username": "nobody", "password": WRONG})).status_code == 401
    for bad in ({"password": PASSWORD}, {"username": 5, "password": PASSWORD}, [PASSWORD], {"username": "ada"}):
        assert (await http.post("/token", json=bad)).status_code == 422
    assert (await http.post("/refresh", json={"token": given["refresh"]})).status_code == 422
    tokens = [*given.values(), given["plain"][:-3] + "AAA", given["plain"] + "=", given["api_key"][:-1], PASSWORD]
    for token in tokens:
        for request in (http.get("/dags/etl", headers=bearer(token)), http.delete("/token", headers=bearer(token))):
            assert (await request).status_code in (204, 401, 403)
        assert (await http.get("/dags/etl", headers={"Authorization": f"Basic {token}"})).status_code == 401
        assert (await http.post("/refresh", json={"refresh_token": token})).status_code in (200, 401)
        for work in (auth.end_login(token), auth.revoke_token(token), auth.get_user_from_token(f"{token}x")):
            with suppress(AuthError):
                await work
    assert (await http.get("/.well-known/jwks.json")).status_code == 200
    assert (await http.get("/ready")).status_code == 200


async def _break(auth: AuthManager, seen: Seen, ada: int) -> None:
    """Let the database refuse statements with secrets in them, or not be there."""
    secret = f"scrypt:16:1:1$salt${'canaryhash' * 5}"
    seen.keep(refused=secret)

    async def doubled(connection: AsyncConnection) -> None:
        await add_user(connection, "ada", password=secret)

    async def incomplete(connection: AsyncConnection) -> None:
        await insert_row(connection, users, username="bob", password=secret, email="bob@example.org")

    async def impossible(connection: AsyncConnection) -> None:
        await connection.execute(update(users).where(users.c.id == ada).values(id=None, password=secret))

    async def wrong(connection: AsyncConnection) -> None:
        await connection.execute(text("INSERT INTO nowhere VALUES (:hash)"), {"hash": secret})

    for work in (doubled, incomplete, impossible, wrong):
        await fails(seen, auth.write(work))
    assert auth.settings.database_url is not None
    scheme = auth.settings.database_url.split(":")[0]
    place = "/nowhere/at/all.db" if scheme.startswith("sqlite") else f"ada:{URL_PASSWORD}@127.0.0.1:1/auth"
    seen.keep(url=URL_PASSWORD)
    for url in (f"{scheme}://{place}", f"{scheme}://ada:{URL_PASSWORD}@x@/y", f"odd://a:{URL_PASSWORD}@b/c"):
        other = auth.settings.model_copy(update={"database_url": url, "database_timeout_seconds": 0.5})
        seen.text.append(repr(other))
        await fails(seen, AuthManager(other).start())
    with pytest.raises(AuthError) as caught:
        Settings(jwt_secret=JWT_SECRET, api_key_secret=API_KEY_SECRET[:20], jwt_issuer=5)
    seen.text.append("".join(traceback.format_exception(caught.value)))


def _show_all(auth: AuthManager, seen: Seen) -> None:
    """Every object of ours that a started manager holds, however deep, as a debugger or an error page shows it."""
    shown: dict[int, object] = {}
    waiting: list[object] = [auth, running(auth), running(auth).hasher]
    while waiting:
        one = waiting.pop()
        if id(one) in shown:
            continue
        shown[id(one)] = one
        kind = type(one)
        if kind.__module__.startswith("asyncauth"):
            seen.text += [repr(one), str(one)]
            names = {*getattr(one, "__dict__", {}), *(name for base in kind.__mro__ for name in _slots(base))}
            waiting += [getattr(one, name, None) for name in names]
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
    names = {type(one).__name__ for one in shown.values()}
    assert {"Settings", "AuthManager", "Key", "KeySet", "Issuer", "Running", "PasswordHasher", "Claims"} <= names


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


async def test_the_search_finds_what_is_there(seen: Seen) -> None:
    """Or it would prove nothing."""
    seen.keep(password=PASSWORD)
    assert seen.leaks() == []
    logging.getLogger("asyncauth.anything").debug("the password is %s", PASSWORD)
    assert [name for name, _ in seen.leaks()] == ["password 0"]


async def test_the_engine_of_an_application(settings: Settings, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """It logs parameters and rows, but not those of asyncauth's statements; it is left as it was."""
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", CHEAP)
    assert settings.database_url is not None
    engine = create_async_engine(settings.database_url)
    try:
        async with AuthManager(settings, engine=engine) as auth:
            await admin.create_user(auth, username="ada", password=PASSWORD, email="ada@example.org")
            await auth.login("ada", PASSWORD)
            (stored,) = await auth.read(_hashes)
        seen.keep(password=PASSWORD, hash=stored)
        assert seen.leaks() == []
        assert any("INSERT INTO ab_user" in line for line in seen.text)
        async with engine.connect() as connection:
            await connection.execute(select(users.c.password).where(users.c.password == stored))
        assert {name for name, _ in seen.leaks()} == {"hash 0"}
    finally:
        await engine.dispose()


def test_the_command_line(keys_path: Path, seen: Seen) -> None:
    """With a file that is broken as well."""
    keys = json.loads(keys_path.read_text())["keys"]
    broken = keys_path.with_name("broken.json")
    for change in ({}, {"use": "enc"}, {"kty": "RSA"}):  # each refusal is tested where keys are read
        broken.write_text(json.dumps({"keys": [{**key, **change} for key in keys]}))
        for words in (("show",), ("show", "--public"), ("rotate", "--algorithm", "HS256")):
            done = run_here("keys", *words, "--path", str(broken))
            assert done.returncode == (1 if change else 0), done.stderr
            seen.text += [done.stdout, done.stderr]
    assert any("signs" in text for text in seen.text)
    assert len(seen.secrets) == 2
    assert seen.leaks() == []
