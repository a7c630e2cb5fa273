"""FAB's routes of users."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from asyncauth import AuthManager, admin
from asyncauth.api import make_app
from asyncauth.errors import LoginError
from tests.web.api.conftest import FAB, OURS, Call, user_body


async def test_make_read_change_delete(call: Call, auth: AuthManager) -> None:
    """The life of a user, in FAB's form."""
    made = await call("POST", f"{FAB}/users", json=user_body(roles=[{"name": "Viewer"}, {"name": "Viewer"}]))
    assert made.status_code == 200, made.text
    created_on = made.json().pop("created_on")
    assert created_on
    assert made.json() == {
        "username": "ada",
        "email": "ada@example.org",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "roles": [{"name": "Viewer"}],
        "active": True,
        "last_login": None,
        "login_count": None,
        "fail_login_count": None,
        "created_on": created_on,
        "changed_on": created_on,
    }
    await auth.login("ada", "correct horse")
    read = (await call("GET", f"{FAB}/users/ADA")).json()
    assert (read["username"], read["login_count"], read["created_on"]) == ("ada", 1, created_on)
    changed = await call("PATCH", f"{FAB}/users/ada", json={"first_name": "Augusta", "roles": [], "email": None})
    assert (changed.status_code, changed.json()["first_name"], changed.json()["roles"]) == (200, "Augusta", [])
    assert changed.json()["email"] == "ada@example.org"
    deleted = await call("DELETE", f"{FAB}/users/ada")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await call("GET", f"{FAB}/users/ada")).status_code == 404
    assert (await call("DELETE", f"{FAB}/users/ada")).status_code == 404
    assert (await call("PATCH", f"{FAB}/users/ada", json={"first_name": "x"})).status_code == 404


async def test_who_names_no_role_gets_the_default(call: Call, auth: AuthManager) -> None:
    """As FAB does it; 400 if that role is not there."""
    for name, roles in (("one", None), ("two", [])):
        answer = await call("POST", f"{FAB}/users", json=user_body(name, roles=roles))
        assert answer.json()["roles"] == [{"name": "Public"}]
    await admin.delete_role(auth, "Public")
    missing = await call("POST", f"{FAB}/users", json=user_body("three"))
    assert (missing.status_code, missing.json()) == (400, {"detail": "Unknown roles: 'Public'"})


async def test_no_default_role(auth: AuthManager, root: dict[str, str]) -> None:
    """If the app names none."""
    transport = httpx.ASGITransport(make_app(auth, prefix="/x"))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
        answer = await http.post("/x/fab/v1/users", json=user_body(), headers=root)
    assert (answer.status_code, answer.json()["roles"]) == (200, [])


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (user_body("ROOT"), 409, "`ROOT` is taken"),
        (user_body(email="root@example.org"), 409, "`root@example.org` is taken"),
        (user_body(roles=[{"name": "Nobody"}, {"name": "Viewer"}]), 400, "Unknown roles: 'Nobody'"),
        (user_body(password=""), 400, "password"),
        (user_body("x" * 513, email="x"), 400, "longer"),
        (user_body("a\0b"), 400, "characters"),
    ],
)
async def test_what_cannot_be_made(call: Call, body: object, status: int, word: str) -> None:
    answer = await call("POST", f"{FAB}/users", json=body)
    assert (answer.status_code, word in answer.json()["detail"]) == (status, True), answer.text


async def test_what_has_not_the_form(call: Call) -> None:
    """422 in FastAPI's form, without the values that were sent."""
    bodies: list[Any] = [[], {}]
    bodies += [user_body(active=False), user_body(username=""), user_body(first_name=7), user_body(id=1)]
    for body in bodies:
        answer = await call("POST", f"{FAB}/users", json=body)
        assert answer.status_code == 422
        assert all(set(finding) == {"type", "loc", "msg"} for finding in answer.json()["detail"])
        assert "correct horse" not in answer.text
    for content in (b'{"username": "\\ud800", "password": NaN}', b"{", b"\xff", b"[" * 100_000):
        answer = await call("POST", f"{FAB}/users", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, answer.text


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{FAB}/users?limit=1&offset=0&limit=0.0", "limit"),
        (f"{FAB}/users?offset=1&offset=1", "offset"),
        (f"{OURS}/audit?subject_kind=user&subject_kind=planet", "subject_kind"),
        (f"{OURS}/users/ada/api-keys?one=1&one=2", "one"),
    ],
)
async def test_a_parameter_that_comes_twice(call: Call, path: str, name: str) -> None:
    """FAB reads the last one and says nothing."""
    answer = await call("GET", path)
    assert answer.status_code == 422
    findings = answer.json().get("errors") or answer.json()["detail"]
    assert [(one["type"], one["loc"]) for one in findings] == [("repeated", ["query", name])]


async def test_taken_names(call: Call) -> None:
    """409; one's own name in another case, and one's own e-mail, are no conflict (FAB: 409)."""
    await call("POST", f"{FAB}/users", json=user_body())
    assert (await call("PATCH", f"{FAB}/users/ada", json={"username": "Root"})).status_code == 409
    assert (await call("PATCH", f"{FAB}/users/ada", json={"email": "root@example.org"})).status_code == 409
    mine = await call("PATCH", f"{FAB}/users/ada", json={"username": "Ada", "email": "ada@example.org"})
    assert (mine.status_code, mine.json()["username"]) == (200, "Ada")
    masked = await call(
        "PATCH", f"{FAB}/users/ada?update_mask=first_name", json={"username": "root", "first_name": "A"}
    )
    assert (masked.status_code, masked.json()["username"], masked.json()["first_name"]) == (200, "Ada", "A")


async def test_masks(call: Call) -> None:
    """Only what is named; an unknown name is a 400, for an unknown user a 404."""
    await call("POST", f"{FAB}/users", json=user_body())
    body = {"first_name": "B", "last_name": "C"}
    one = await call("PATCH", f"{FAB}/users/ada?update_mask= last_name ,", json=body)
    assert (one.json()["first_name"], one.json()["last_name"]) == ("Ada", "C")
    none = await call("PATCH", f"{FAB}/users/ada?update_mask=", json={"first_name": "D"})
    assert (none.status_code, none.json()["first_name"]) == (200, "Ada")
    wrong = await call("PATCH", f"{FAB}/users/ada?update_mask=active,first_name,id", json=body)
    assert (wrong.status_code, wrong.json()) == (400, {"detail": "Unknown update masks: 'active', 'id'"})
    assert (await call("PATCH", f"{FAB}/users/nobody?update_mask=active", json=body)).status_code == 404


async def test_a_new_password_ends_tokens(call: Call, http: httpx.AsyncClient, auth: AuthManager) -> None:
    """The old password too."""
    await call("POST", f"{FAB}/users", json=user_body())
    token = await auth.login("ada", "correct horse")
    await call("PATCH", f"{FAB}/users/ada", json={"password": "battery staple"})
    answer = await http.get(f"{FAB}/users", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    with pytest.raises(LoginError):
        await auth.login("ada", "correct horse")
    assert await auth.login("ada", "battery staple")


async def test_the_last_administrator_stays(call: Call) -> None:
    """409, whatever way it is tried."""
    assert (await call("DELETE", f"{FAB}/users/root")).status_code == 409
    assert (await call("PATCH", f"{FAB}/users/root", json={"roles": []})).status_code == 409
    assert (await call("DELETE", f"{FAB}/roles/Admin")).status_code == 409


async def test_pages(call: Call, app: FastAPI) -> None:
    """limit 0 is 50, more than 100 is 100, negative numbers are refused, and every order is as it says."""
    for number in range(3):
        body = user_body(f"u{number}", first_name=f"{9 - number}", last_name="x", email=f"{number}@x")
        await call("POST", f"{FAB}/users", json=body)

    async def names(**query: object) -> list[str]:
        answer = await call("GET", f"{FAB}/users", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total_entries"] == 4
        return [user["username"] for user in answer.json()["users"]]

    assert await names() == ["root", "u0", "u1", "u2"]
    assert await names(limit=1, offset=2) == ["u1"]
    assert await names(limit=0) == await names(limit=10**30) == await names()
    assert await names(offset=10**30) == []
    for key in ("id", "user_id", "username"):
        assert await names(order_by=f"-{key}") == ["u2", "u1", "u0", "root"]
    assert await names(order_by="first_name") == ["u2", "u1", "u0", "root"]
    assert (await names(order_by="email"))[0] == "u0"
    assert set(await names(order_by="active")) == set(await names(order_by="--last_name"))
    for query in ({"limit": -1}, {"offset": -1}, {"limit": "x"}, {"offset": "9" * 5000}):
        assert (await call("GET", f"{FAB}/users", params=query)).status_code == 422
    refused = await call("GET", f"{FAB}/users?order_by=password")
    assert (refused.status_code, "'password' is disallowed" in refused.json()["detail"]) == (400, True)


async def test_limits(call: Call, auth: AuthManager) -> None:
    """FAB's three numbers, counted."""
    for number in range(101):
        await admin.create_role(auth, f"r{number:03}")
    for limit, count in ((None, 100), (0, 50), (7, 7), (100, 100), (101, 100)):
        answer = await call("GET", f"{FAB}/roles", params={} if limit is None else {"limit": limit})
        assert len(answer.json()["roles"]) == count
