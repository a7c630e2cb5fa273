"""Every route, method and caller: refused or answered as it should be, and never in a way that is not declared."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from asyncauth import AuthManager, admin
from asyncauth.web.http import CLOSED
from tests.rows import Pair
from tests.web.api.conftest import AUDIT, DOCUMENT, EVERY, FAB, OURS, READ, fab_pairs, make_user, user_body
from tests.web.conftest import bearer

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OPEN, ANYBODY = "open", "anybody who is known"
Need = Pair | str
Operation = tuple[str, str]


def _fab(kind: str, what: str, body: dict[str, Any], change: dict[str, Any]) -> dict[Operation, tuple[Need, int, Any]]:
    """The five routes that users and roles both have."""
    name = "{username}" if kind == "Users" else "{name}"
    return {
        ("GET", f"{FAB}/{what}"): (("can_read", kind), 200, None),
        ("POST", f"{FAB}/{what}"): (("can_create", kind), 200, body),
        ("GET", f"{FAB}/{what}/{name}"): (("can_read", kind), 200, None),
        ("PATCH", f"{FAB}/{what}/{name}"): (("can_edit", kind), 200, change),
        ("DELETE", f"{FAB}/{what}/{name}"): (("can_delete", kind), 204 if kind == "Users" else 200, None),
    }


EXPECTED: dict[Operation, tuple[Need, int, Any]] = {
    ("POST", "/auth/token"): (OPEN, 201, {"username": "root", "password": "correct horse"}),
    ("POST", "/auth/token/cli"): (OPEN, 201, {"username": "root", "password": "correct horse"}),
    ("GET", "/auth/logout"): (OPEN, 307, None),
    **_fab("Users", "users", user_body("new"), {"first_name": "T"}),
    **_fab("Roles", "roles", {"name": "New"}, {"name": "Target"}),
    ("GET", f"{FAB}/permissions"): (("can_read", "Roles"), 200, None),
    ("POST", f"{OURS}/users/{{username}}/activate"): (("can_edit", "Users"), 200, None),
    ("POST", f"{OURS}/users/{{username}}/deactivate"): (("can_edit", "Users"), 200, None),
    ("POST", f"{OURS}/users/{{username}}/end-tokens"): (("can_edit", "Users"), 204, None),
    ("POST", f"{OURS}/me/end-tokens"): (ANYBODY, 204, None),
    ("GET", f"{OURS}/users/{{username}}/api-keys"): (("can_read", "Users"), 200, None),
    ("POST", f"{OURS}/users/{{username}}/api-keys"): (("can_edit", "Users"), 201, {"name": "export"}),
    ("DELETE", f"{OURS}/api-keys/{{key_id}}"): (("can_edit", "Users"), 204, None),
    ("GET", f"{OURS}/users/{{username}}/permissions"): (("can_read", "Users"), 200, None),
    ("POST", f"{OURS}/explain"): (
        ("can_read", "Users"),
        200,
        {"username": "target", "action": "can_read", "resource": "DAG:etl"},
    ),
    ("GET", f"{OURS}/groups"): (("can_read", "Roles"), 200, None),
    ("POST", f"{OURS}/groups"): (("can_create", "Roles"), 201, {"name": "new"}),
    ("GET", f"{OURS}/groups/{{name}}"): (("can_read", "Roles"), 200, None),
    ("DELETE", f"{OURS}/groups/{{name}}"): (("can_delete", "Roles"), 204, None),
    ("GET", f"{OURS}/groups/{{name}}/members"): (("can_read", "Roles"), 200, None),
    ("PUT", f"{OURS}/groups/{{name}}/members/{{username}}"): (("can_edit", "Roles"), 204, None),
    ("DELETE", f"{OURS}/groups/{{name}}/members/{{username}}"): (("can_edit", "Roles"), 204, None),
    ("PUT", f"{OURS}/groups/{{name}}/roles/{{role}}"): (("can_edit", "Roles"), 204, None),
    ("DELETE", f"{OURS}/groups/{{name}}/roles/{{role}}"): (("can_edit", "Roles"), 204, None),
    ("GET", f"{OURS}/audit"): (AUDIT, 200, None),
}
"""(method, path) → what it needs, what it answers to whoever may, and the body. What else there is is a 405."""
PATHS = sorted(DOCUMENT)


def test_nothing_is_left_out() -> None:
    """A route that is added has to be added here."""
    assert {(method.upper(), path) for path, item in DOCUMENT.items() for method in item} == set(EXPECTED)


def _fill(path: str, key_id: int) -> str:
    filled = path.replace("{username}", "target").replace("{role}", "Target").replace("{key_id}", str(key_id))
    return filled.replace("{name}", "staff" if "/groups/" in path else "Target")


def _is_closed(answer: httpx.Response) -> bool:
    """Kept by no cache, and taken for nothing but data."""
    return {name: answer.headers.get(name) for name in CLOSED} == CLOSED


async def _prepare(auth: AuthManager) -> int:
    """What the routes act on."""
    await admin.create_role(auth, "Target")
    await admin.create_user(auth, username="target", password="correct horse", email="t@example.org", roles=["Target"])
    await admin.create_group(auth, "staff")
    return (await admin.create_api_key(auth, username="target", name="old")).value.id


@pytest.mark.parametrize("path", PATHS)
async def test_who_may_do_what(
    path: str, app: FastAPI, auth: AuthManager, http: httpx.AsyncClient, root: dict[str, str]
) -> None:
    """No token, no right, every other right, the right, the administrator."""
    key_id = await _prepare(auth)
    await admin.set_password(auth, "root", "correct horse")
    root = bearer(auth.issue_token((await auth.get_user(username="root")).id))
    weak = bearer(await make_user(auth, "weak", [READ]))
    for method in METHODS:
        operation = EXPECTED.get((method, path))
        if operation is None:
            for headers in ({}, weak, root):
                answer = await http.request(method, _fill(path, key_id), headers=headers)
                assert answer.status_code == 405, (method, path)
                assert _is_closed(answer), (method, path)
            continue
        need, success, body = operation
        declared = set(DOCUMENT[path][method.lower()]["responses"])

        async def ask(
            headers: dict[str, str], method: str = method, body: Any = body, declared: set[str] = declared
        ) -> int:
            answer = await http.request(method, _fill(path, key_id), headers=headers, json=body)
            assert str(answer.status_code) in declared, answer.text
            assert _is_closed(answer), (method, path, answer.status_code)
            return answer.status_code

        if need == OPEN:
            assert await ask({}) == success
            continue
        assert await ask({}) == 401
        assert await ask(bearer("not.a.token")) == 401
        if need == ANYBODY:
            assert await ask(weak) == success
            continue
        assert isinstance(need, tuple)
        name = f"{method} {path}"
        other = bearer(await make_user(auth, f"other {name}", [pair for pair in EVERY if pair != need]))
        right = bearer(await make_user(auth, f"right {name}", [need]))
        assert await ask(weak) == 403
        assert await ask(other) == 403
        assert await ask(right) == success
        assert await ask(root) not in {401, 403}


async def test_a_change_needs_more_than_the_route(http: httpx.AsyncClient, auth: AuthManager, root: object) -> None:
    """Who may edit users but holds less than the other: 403, in both forms."""
    await admin.create_user(auth, username="boss", password="correct horse", email="b@example.org", roles=["Viewer"])
    editor = bearer(await make_user(auth, "editor", [("can_edit", "Users"), ("can_create", "Roles")]))
    refused = [
        await http.patch(f"{FAB}/users/boss", headers=editor, json={"password": "mine now"}),
        await http.patch(f"{FAB}/users/editor", headers=editor, json={"roles": [{"name": "Admin"}]}),
        await http.post(f"{FAB}/roles", headers=editor, json={"name": "Mine", "actions": fab_pairs(READ)}),
        await http.post(f"{OURS}/users/boss/deactivate", headers=editor),
        await http.post(f"{OURS}/users/boss/api-keys", headers=editor, json={"name": "mine"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * 5
    assert refused[0].json() == {"detail": "user `boss` holds more than you do: `can_read` on `DAG:etl`"}
    assert refused[3].json()["type"] == "urn:asyncauth:problem:escalation"
    assert (await http.patch(f"{FAB}/users/boss", headers=editor, json={"first_name": "Bo"})).status_code == 200
