"""Seeding: FAB's default roles and one's own, made once however many begin to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import anyio
import pytest
from sqlalchemy import Connection, create_engine, insert, select, text

from asyncauth import AuthManager, Settings
from asyncauth.custom_roles import read_custom_roles
from asyncauth.db.default_roles import DEFAULT_ROLES, HOMEPAGE, OF_VIEWS, Pair
from asyncauth.db.seed import Seeded, seed
from asyncauth.db.tables import actions, audit, permissions, resources, role_permissions, roles
from asyncauth.errors import ConfigurationError
from tests.database.crew import Crew
from tests.databases import Database
from tests.rows import add_permission, add_role, through

ADMIN = DEFAULT_ROLES["Admin"] | OF_VIEWS
EVERYTHING = Seeded(
    len(DEFAULT_ROLES), len(ADMIN), len(ADMIN) + sum(len(DEFAULT_ROLES[n]) for n in ("Viewer", "User", "Op"))
)
AUDITOR = [{"action": "can_read", "resource": "DAG:etl"}, {"action": "can_sign", "resource": "Books"}]


@contextmanager
def connected(database: Database) -> Iterator[Connection]:
    """A connection that commits."""
    engine = create_engine(database.sync_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def read(database: Database) -> dict[str, frozenset[Pair]]:
    """What every role may do."""
    pairs = (
        select(roles.c.name, actions.c.name, resources.c.name)
        .join_from(roles, role_permissions, roles.c.id == role_permissions.c.role_id, isouter=True)
        .join(permissions, role_permissions.c.permission_view_id == permissions.c.id, isouter=True)
        .join(actions, permissions.c.permission_id == actions.c.id, isouter=True)
        .join(resources, permissions.c.view_menu_id == resources.c.id, isouter=True)
    )
    with connected(database) as connection:
        rows = list(connection.execute(pairs))
    assert len(rows) == len(set(rows))
    return {role: frozenset((a, r) for name, a, r in rows if name == role and a) for role, _, _ in rows}


def test_what_the_reference_counts() -> None:
    counts = {name: len(pairs) for name, pairs in DEFAULT_ROLES.items()}
    assert counts == {"Public": 0, "Viewer": 34, "User": 44, "Op": 75, "Admin": 88}
    assert len(ADMIN) == 105


def test_an_empty_database_gets_all_and_once(database: Database) -> None:
    assert anyio.run(seed, database.url) == EVERYTHING
    assert read(database) == {**DEFAULT_ROLES, "Admin": ADMIN}
    assert anyio.run(seed, database.sync_url) == Seeded()
    with connected(database) as connection:
        written = connection.execute(select(audit.c.what, audit.c.actor, audit.c.after)).all()
    assert [(row.what, row.actor, json.loads(row.after)) for row in written] == [("seed", None, asdict(EVERYTHING))]


def test_without_tables_it_says_so(empty_database: Database) -> None:
    with pytest.raises(ConfigurationError):
        anyio.run(seed, empty_database.url)


@pytest.fixture(scope="module")
def crew(full: bool) -> Iterator[Crew]:
    made = Crew("asyncauth.db.seed", "seed", 16 if full else 5)
    yield made
    assert made.close() == ""


def test_many_processes_at_once(crew: Crew, database: Database) -> None:
    """One makes everything, the others find nothing to do; and new rows get free ids afterwards."""
    others = len(crew.processes) - 1
    assert crew.call(database.url) == sorted([str(EVERYTHING), *[str(Seeded())] * others])
    assert read(database) == {**DEFAULT_ROLES, "Admin": ADMIN}


async def test_it_adds_and_takes_nothing(database: Database, auth: AuthManager) -> None:
    """As FAB: missing permissions come back, others stay, every other role gets the homepage, Admin whatever is no
    single DAG's."""
    await through(auth, lambda connection: add_role(connection, "Viewer", [("can_eat", "Pies")]))
    await through(auth, lambda connection: add_role(connection, "Mine", [("can_read", "DAG:etl")]))
    await through(auth, lambda connection: add_permission(connection, "can_read", "DAG Run:etl"))
    await seed(database.url)
    found = await anyio.to_thread.run_sync(read, database)
    assert found["Viewer"] == DEFAULT_ROLES["Viewer"] | {("can_eat", "Pies")}
    assert found["Mine"] == {("can_read", "DAG:etl"), HOMEPAGE}
    assert found["Admin"] == ADMIN | {("can_eat", "Pies")}
    assert await seed(database.url) == Seeded()


def test_roles_of_ones_own(database: Database) -> None:
    """Made if missing; one that stands keeps what it may do; a default role's name is passed over."""
    custom = read_custom_roles(json.dumps({"Auditor": AUDITOR, "Idle": [], "Op": AUDITOR}))
    made = anyio.run(seed, database.url, custom)
    assert made.roles == len(DEFAULT_ROLES) + 2
    found = read(database)
    books = ("can_sign", "Books")
    assert found == {
        **DEFAULT_ROLES,
        "Admin": ADMIN | {books},
        "Auditor": {("can_read", "DAG:etl"), books, HOMEPAGE},
        "Idle": {HOMEPAGE},
    }
    assert anyio.run(seed, database.url, read_custom_roles(json.dumps({"Auditor": []}))) == Seeded()
    assert read(database) == found


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"": []}',
        '{"A": {}}',
        '{"A": [{"action": "a"}]}',
        '{"A": [{"action": "a", "resource": "b", "more": "c"}]}',
        '{"A": [{"action": " ", "resource": "b"}]}',
        f'{{"{"A" * 65}": []}}',
    ],
)
def test_custom_roles_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="custom roles are written"):
        read_custom_roles(text)


async def test_at_start_by_choice(settings: Settings, database: Database) -> None:
    async with AuthManager(settings):
        assert await anyio.to_thread.run_sync(read, database) == {}
    changes = {"seed_at_start": True, "custom_roles": {"Auditor": AUDITOR}}
    chosen = Settings(**{name: getattr(settings, name) for name in settings.model_fields_set} | changes)
    async with AuthManager(chosen):
        found = await anyio.to_thread.run_sync(read, database)
    assert found["Op"] == DEFAULT_ROLES["Op"]
    assert found["Auditor"] >= {("can_read", "DAG:etl")}


async def test_managers_that_start_at_once(settings: Settings, database: Database) -> None:
    async def start() -> None:
        async with AuthManager(settings.model_copy(update={"seed_at_start": True})):
            pass

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(start)
    assert await anyio.to_thread.run_sync(read, database) == {**DEFAULT_ROLES, "Admin": ADMIN}


def test_a_writer_who_knows_no_lock_is_met_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody stores a name between our look and our insert: the second attempt finds it."""
    from asyncauth.db import seed as module

    original = module._Seeding.run
    runs = []

    def run(self: "module._Seeding") -> Seeded:
        runs.append(1)
        if len(runs) == 1:
            self._connection.execute(insert(roles).values(id=text("99"), name="Viewer"))
        return original(self)

    monkeypatch.setattr(module._Seeding, "run", run)
    anyio.run(seed, database.url)
    assert len(runs) == 2
    assert read(database) == {**DEFAULT_ROLES, "Admin": ADMIN}
