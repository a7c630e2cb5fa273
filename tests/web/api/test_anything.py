"""Whatever is sent: no column that is not listed, no mass assignment, no 5xx, nothing undeclared."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth import AuthManager
from asyncauth.db.tables import fab, own, users
from tests.web.api.conftest import DOCUMENT, FAB, OURS, Call, user_body

COLUMNS = sorted({column.name for metadata in (fab, own) for table in metadata.tables.values() for column in table.c})
WORDS = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates, too
NAMES = st.sampled_from([*COLUMNS, "user_id", "role_id", "action_id", "resource_id", "actor", "action", "resource"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.sampled_from(["root", "Admin", "ada"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "x"]), inner, max_size=2),
    max_leaves=4,
)
ORDERS: dict[str, set[str]] = {
    f"{FAB}/users": {"id", "user_id", "first_name", "last_name", "username", "email", "active"},
    f"{FAB}/roles": {"name", "role_id"},
    f"{FAB}/permissions": {"id", "action_id", "resource_id"},
    f"{OURS}/groups": {"id", "name"},
    f"{OURS}/groups/staff/members": {"id", "username"},
    f"{OURS}/audit": {"id", "at"},
}
MINE = f"{OURS}/me/end-tokens"
FIELDS = ["username", "email", "first_name", "last_name", "roles", "password"]
KEYS = ["name", "actions", "permissions", "scopes", "expires_at", "action", "resource", "label", *FIELDS]
NEARLY = st.one_of(  # the right fields, and odd words in them
    st.fixed_dictionaries({"username": st.just("root"), "action": WORDS, "resource": WORDS}),
    st.fixed_dictionaries({"username": WORDS, "password": WORDS}),
    st.fixed_dictionaries({"name": WORDS}),
    st.fixed_dictionaries(
        {"username": WORDS, "email": WORDS, "first_name": WORDS, "last_name": WORDS, "password": WORDS}
    ),
)
BODIES = [
    (method, path)
    for path, item in DOCUMENT.items()
    for method, operation in item.items()
    if "requestBody" in operation
]


def anything(examples: int = 60) -> settings:
    """One database goes through all examples."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def numbers() -> Iterator[int]:
    """For names that are new."""
    return iter(range(10**9))


async def _user(auth: AuthManager, username: str) -> dict[str, Any]:
    async def work(session: AsyncSession) -> dict[str, Any]:
        return dict((await session.execute(select(users).where(users.c.username == username))).one()._mapping)

    return await auth.read(work)


def _declared(answer: httpx.Response, method: str, path: str) -> None:
    assert str(answer.status_code) in DOCUMENT[path][method.lower()]["responses"], (answer.status_code, answer.text)


@anything()
@given(path=st.sampled_from(sorted(ORDERS)), order=NAMES | WORDS, minus=st.sampled_from(["", "-", "--"]))
async def test_orders(call: Call, path: str, order: str, minus: str) -> None:
    """By what is listed, and by nothing else."""
    await call("POST", f"{OURS}/groups", json={"name": "staff"})
    written = quote(minus + order, errors="replace")
    answer = await call("GET", f"{path}?order_by={written}")
    assert answer.status_code == (200 if order.lstrip("-") in ORDERS[path] else 400), answer.text


@anything()
@given(extra=st.dictionaries(NAMES.filter(lambda one: one not in FIELDS), VALUES, min_size=1, max_size=3))
async def test_no_mass_assignment(call: Call, auth: AuthManager, numbers: Iterator[int], extra: dict[str, Any]) -> None:
    """Fields beside FAB's: 422, and nothing is made or changed."""
    name = f"u{next(numbers)}"
    await call("POST", f"{FAB}/users", json=user_body(name))
    before = await _user(auth, name)
    for method, path in (("POST", f"{FAB}/users"), ("PATCH", f"{FAB}/users/{name}")):
        content = json.dumps({**user_body(f"{name}x"), **extra})
        answer = await call(method, path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
    assert await _user(auth, name) == before
    assert (await call("GET", f"{FAB}/users/{name}x")).status_code == 404


@anything()
@given(mask=st.lists(st.sampled_from(FIELDS) | NAMES | WORDS, max_size=4))
async def test_masks(call: Call, auth: AuthManager, numbers: Iterator[int], mask: list[str]) -> None:
    """Only what is in the mask changes; what no mask may hold is a 400."""
    name = f"u{next(numbers)}"
    await call("POST", f"{FAB}/users", json=user_body(name))
    before = await _user(auth, name)
    new = {"username": f"{name}x", "email": f"{name}x", "first_name": "B", "last_name": "C", "password": "other"}
    text = ",".join(mask).encode(errors="replace").decode()
    answer = await call("PATCH", f"{FAB}/users/{name}", params={"update_mask": text}, json={**new, "roles": []})
    masked = {one.strip() for one in text.split(",") if one.strip()}
    if masked - set(FIELDS):
        assert answer.status_code == 400, answer.text
        masked = set()
    else:
        assert answer.status_code == 200, answer.text
        assert (answer.json()["roles"] == []) is ("roles" in masked)
    after = await _user(auth, new["username"] if "username" in masked else name)
    changed = {column for column in before if before[column] != after[column]}
    assert changed - {"changed_on", "changed_by_fk"} == masked - {"roles"}


@pytest.mark.parametrize(("method", "path"), BODIES)
@anything(40)
@given(body=st.dictionaries(st.sampled_from(KEYS) | WORDS, VALUES, max_size=5) | NEARLY | VALUES)
async def test_bodies(call: Call, method: str, path: str, body: object) -> None:
    """Of any kind, on every route that takes one."""
    name = "nobody" if method == "patch" else "root"
    target = path.replace("{username}", name).replace("{name}", "Viewer")
    answer = await call(method.upper(), target, content=json.dumps(body), headers={"Content-Type": "application/json"})
    _declared(answer, method, path)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, str, dict[str, str], dict[str, str]]:
    """Method, path of the document, path, query and headers: names of any characters, values of any kind."""
    paths = [(path, method) for path in sorted(DOCUMENT) for method in DOCUMENT[path] if path != MINE]
    path, method = draw(st.sampled_from(paths))
    target, query, headers = path, {}, {}
    for parameter in DOCUMENT[path][method].get("parameters", []):
        drawn = draw(WORDS | st.integers().map(str) | st.sampled_from(["Viewer", "target", "staff"]))
        value = drawn.encode(errors="replace").decode()
        if parameter["in"] == "path":  # a slash or a dot alone would make it another path
            text = quote(value.strip("./").replace("/", "") or "x", safe="")
            target = target.replace(f"{{{parameter['name']}}}", text)
        elif parameter["in"] == "query":
            query[parameter["name"]] = value
        else:
            headers[parameter["name"]] = "".join(one for one in value if one.isascii() and one.isprintable())
    return method, path, target, query, headers


@anything(150)
@given(request=requests())
async def test_paths_and_queries(call: Call, request: tuple[str, str, str, dict[str, str], dict[str, str]]) -> None:
    """Nothing undeclared, whatever stands in them."""
    method, path, target, query, headers = request
    answer = await call(method.upper(), target, params=query, headers=headers)
    _declared(answer, method, path)
