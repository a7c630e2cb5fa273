"""The REST API beside the provider's own: the same calls give the same answers and leave the same rows, but for the
differences that `docs/coming-from-fab.md` lists."""

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from anyio import to_thread
from sqlalchemy import create_engine, text

from asyncauth import AuthManager, Settings, passwords
from asyncauth.api import make_app
from asyncauth.db.migrate import upgrade
from asyncauth.passwords import Scheme
from tests.airflow.conftest import USERS
from tests.airflow.process import AUDIENCE, ISSUER, SECRET, Airflow
from tests.conftest import PATIENCE_SECONDS
from tests.databases import Database, Databases
from tests.managers import quiet

CALLS, ALL_CALLS = 300, 5000
ADMIN = "ada"
NAMES = ["ann", "Ann", "bob", "cleo", "dan", "eve"]
EMAILS = [f"{name}@x.example" for name in ("ann", "bob", "cleo", "dan", "eve")]
ROLES = ["Auditor", "Editor", "Pilot", "Viewer"]
UNKNOWN = "Nobody"
DEFAULT_ROLE = "Public"  # `provider.rest_client` names the same
PASSWORDS = ["correct horse", "battery staple"]
FAB = "/auth/fab/v1"
Ask = tuple[str, str, Any]
READ_ROWS = {
    "users": """SELECT username, email, first_name, last_name, active,
        coalesce(login_count, 0), coalesce(fail_login_count, 0), password IS NULL FROM ab_user""",
    "held": """SELECT username, ab_role.name FROM ab_user_role JOIN ab_user ON ab_user.id = user_id
        JOIN ab_role ON ab_role.id = role_id""",
    "roles": "SELECT name FROM ab_role",
    "permissions": """SELECT ab_permission.name, ab_view_menu.name FROM ab_permission_view
        JOIN ab_permission ON ab_permission.id = permission_id JOIN ab_view_menu ON ab_view_menu.id = view_menu_id""",
    "granted": """SELECT ab_role.name, ab_permission.name, ab_view_menu.name FROM ab_permission_view_role
        JOIN ab_role ON ab_role.id = role_id JOIN ab_permission_view ON ab_permission_view.id = permission_view_id
        JOIN ab_permission ON ab_permission.id = permission_id JOIN ab_view_menu ON ab_view_menu.id = view_menu_id""",
}


@pytest.fixture(scope="module")
def airflow(databases: Databases) -> Iterator[Airflow]:
    """An Airflow of these tests' own, on SQLite."""
    with closing(Airflow(databases.empty("sqlite+aiosqlite"))) as made:
        made.call("set_up", users=USERS)
        yield made


@pytest.fixture
def backend() -> str:
    """In place of all."""
    return "sqlite+aiosqlite"


@pytest.fixture
def database(databases: Databases, airflow: Airflow, backend: str) -> Iterator[Database]:
    """A copy of Airflow's database, adopted."""
    copy = databases.empty(backend)
    paths = [database.sync_url.partition(":///")[2] for database in (airflow.database, copy)]
    with closing(sqlite3.connect(paths[0])) as theirs, closing(sqlite3.connect(paths[1])) as ours:
        theirs.backup(ours)  # with what is only in the write-ahead log yet
    asyncio.run(upgrade(copy.url))
    yield copy
    copy.host.drop_database(copy.name)


@pytest.fixture
def settings(database: Database) -> Settings:
    """With the key of Airflow, so that one token is good for both."""
    made = Settings(
        database_url=database.url,
        jwt_secret=SECRET,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        database_timeout_seconds=PATIENCE_SECONDS,
    )
    return quiet(made)


@pytest.fixture
async def http(auth: AuthManager) -> AsyncIterator[httpx.AsyncClient]:
    """Our API."""
    transport = httpx.ASGITransport(make_app(auth, default_role=DEFAULT_ROLE), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


class Dice:
    """Calls drawn at random."""

    def __init__(self, seed: int, pairs: list[tuple[str, str]]) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._pairs = pairs

    def draw(self) -> Ask:
        """One call."""
        draws = {
            self._make_user: 4,
            self._change_user: 6,
            self._other_user: 4,
            self._list: 3,
            self._make_role: 3,
            self._change_role: 5,
            self._other_role: 3,
            self._token: 1,
        }
        chosen: Ask = self._random.choices(list(draws), list(draws.values()))[0]()
        return chosen

    def _one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _some(self, choices: list[Any], most: int) -> list[Any]:
        return self._random.sample(choices, self._random.randint(0, most))

    def _roles(self) -> list[dict[str, str]]:
        return [{"name": name} for name in self._some([*ROLES, *ROLES, UNKNOWN], 3)]

    def _actions(self) -> list[dict[str, Any]]:
        strange = [("can_fly", "DAGs"), ("can_read", "Moon")] if self._random.random() < 0.1 else []
        pairs = self._some([*self._pairs, *strange], 4) + strange
        return [{"action": {"name": action}, "resource": {"name": resource}} for action, resource in pairs]

    def _make_user(self) -> Ask:
        body = {
            "username": self._one(*NAMES),
            "email": self._one(*EMAILS),
            "first_name": self._one("A", "B"),
            "last_name": "L",
            "password": self._one(*PASSWORDS),
            **self._one({}, {"roles": None}, {"roles": self._roles()}),
            **self._one({}, {}, {}, {"active": False}),
        }
        if self._random.random() < 0.1:
            body.pop(self._one("email", "password", "username"))
        return "POST", f"{FAB}/users", body

    def _change_user(self) -> Ask:
        # Only the case of one's own name, and names that the mask leaves out, are differences of ours.
        name, other = self._one(*NAMES, "nobody"), self._one("bob", "cleo", "dan")
        fields = {
            "first_name": self._one("A", "C", "", None),
            "last_name": self._one("M", None),
            "roles": self._one(None, self._roles()),
            "password": self._one(*PASSWORDS),
            "username": other if other != name.lower() else name,
            "email": self._one(*EMAILS),
        }
        sent = {key: fields[key] for key in self._some(list(fields), 3)}
        masks = ["", f"?update_mask={','.join(sent)}", "?update_mask=active", "?update_mask=%20first_name%20,"]
        mask = self._one(*masks, masks[0], masks[0])
        if "first_name" in mask and mask != masks[1]:
            sent = {key: sent[key] for key in sent if key in {"first_name", "last_name", "roles"}}
        return "PATCH", f"{FAB}/users/{name}{mask}", sent

    def _other_user(self) -> Ask:
        return self._one("GET", "GET", "DELETE"), f"{FAB}/users/{self._one(*NAMES, 'nobody')}", None

    def _list(self) -> Ask:
        what = self._one("users", "roles", "permissions")
        orders = ["id", "-id", "username", "-email", "name", "-role_id", "password", "resource_id", "", "--name"]
        query = {
            "limit": self._one(None, 0, 1, 3, 1000, -1, "x"),
            "offset": self._one(None, 0, 2, 10_000, -1),
            "order_by": self._one(None, *orders),
        }
        given = "&".join(f"{key}={value}" for key, value in query.items() if value is not None)
        return "GET", f"{FAB}/{what}?{given}", None

    def _make_role(self) -> Ask:
        body = {"name": self._one(*ROLES[:3], ""), **self._one({}, {"actions": self._actions()}, {"id": 7})}
        return "POST", f"{FAB}/roles", body

    def _change_role(self) -> Ask:
        name = self._one(*ROLES[:3], UNKNOWN)
        mask = self._one("", "", "?update_mask=actions", "?update_mask=name", "?update_mask=colour")
        if self._random.random() < 0.4:  # renamed, which must not be mixed with what FAB does before it gives up
            return "PATCH", f"{FAB}/roles/{name}?update_mask=name", {"name": self._one(*ROLES[:3])}
        return "PATCH", f"{FAB}/roles/{name}{mask}", {"name": name, "actions": self._actions()}

    def _other_role(self) -> Ask:
        return self._one("GET", "GET", "DELETE"), f"{FAB}/roles/{self._one(*ROLES[:3], UNKNOWN)}", None

    def _token(self) -> Ask:
        body = {"username": self._one(*NAMES, *EMAILS), "password": self._one(*PASSWORDS, "")}
        return "POST", self._one("/auth/token", "/auth/token/cli"), body


def normal(body: Any) -> Any:
    """An answer without times and tokens, and permissions in order."""
    if isinstance(body, list):
        return [normal(one) for one in body]
    if not isinstance(body, dict):
        return body
    times = {"created_on", "changed_on", "last_login", "access_token"}
    found: dict[str, Any] = {key: bool(value) if key in times else normal(value) for key, value in body.items()}
    if "name" in found and "actions" in found:
        unique = {json.dumps(one, sort_keys=True) for one in found["actions"]}
        found["actions"] = sorted(unique)
    if "first_name" in found:
        found |= {
            key: found[key] or 0 for key in ("login_count", "fail_login_count")
        }  # FAB fills in one with the other
        found["roles"] = sorted(role["name"] for role in found["roles"])
    return found


def is_listed(ask: Ask, theirs: int, ours: int) -> bool:
    """Whether the documentation says that they differ."""
    method, path, _ = ask
    renamed = f"{FAB}/roles/" in path and (theirs, ours) == (200, 409)  # onto a taken name: FAB changes nothing
    masked = "update_mask=active" in path and (theirs, ours) == (409, 400)  # FAB compares names first
    return method == "PATCH" and (renamed or masked)


async def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """What stands in the tables, by name."""
    return await to_thread.run_sync(_read, database)


def _read(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    engine = create_engine(database.sync_url)
    with engine.connect() as connection:
        found = {name: sorted(map(tuple, connection.execute(text(sql)))) for name, sql in READ_ROWS.items()}
    engine.dispose()
    return found


async def test_random_calls(
    airflow: Airflow, auth: AuthManager, http: httpx.AsyncClient, database: Database, full: bool, monkeypatch: Any
) -> None:
    """One sequence on both, each on its own copy of one database."""
    monkeypatch.setattr(passwords, "DEFAULT_SCHEME", Scheme("scrypt:16:1:1", n=16, r=1, p=1))
    token = auth.issue_token((await auth.get_user(username=ADMIN)).id)
    assert await rows(database) == await rows(airflow.database)
    dice = Dice(1, [("can_read", "DAGs"), ("can_edit", "DAGs"), ("can_delete", "Website"), ("can_read", "Pools")])
    statuses: Counter[tuple[str, int]] = Counter()
    for number in range(ALL_CALLS if full else CALLS):
        method, path, body = ask = dice.draw()
        theirs, their_body = await airflow.ask("rest", method=method, path=path, token=token, body=body)
        answer = await http.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})
        statuses[method, answer.status_code] += 1
        if is_listed(ask, theirs, answer.status_code):
            continue
        assert answer.status_code == theirs, (number, ask, their_body, answer.text)
        if answer.is_success:
            ours = answer.json() if answer.content else None
            assert normal(ours) == normal(their_body), (number, ask)
    assert await rows(database) == await rows(airflow.database)
    assert min(statuses[method, 200] for method in ("GET", "POST", "PATCH")) > 10
    assert {code for _, code in statuses} >= {200, 201, 204, 400, 401, 404, 409, 422}


async def test_the_documents(airflow: Airflow) -> None:
    """Every route of FAB's, with its parameters, bodies and statuses."""
    fab, ours = await airflow.ask("describe_rest"), make_app().openapi()
    assert sum(len(item) for item in fab["paths"].values()) == 14
    for path, item in fab["paths"].items():
        for method, operation in item.items():
            mine = ours["paths"][f"/auth{path}"][method]
            assert set(operation["responses"]) - {"500"} <= set(mine["responses"])
            assert _parameters(operation) <= _parameters(mine)
    for name, schema in fab["components"]["schemas"].items():
        if name != "HTTPExceptionResponse":
            mine = ours["components"]["schemas"][name]
            assert set(mine.get("properties", ())) == set(schema.get("properties", ())), name
            assert mine.get("additionalProperties") == schema.get("additionalProperties"), name


def _parameters(operation: dict[str, Any]) -> set[tuple[str, str, bool, str]]:
    return {
        (
            one["name"],
            one["in"],
            one["required"],
            json.dumps({**one["schema"], "title": "", "description": ""}, sort_keys=True),
        )
        for one in operation.get("parameters", ())
    }
