"""The routes that FAB has not: groups, keys, switching off, logging out, explanations, the audit table."""

import json

import httpx

from asyncauth import AuthManager, admin
from tests.web.api.conftest import FAB, OURS, READ, Call, user_body
from tests.web.conftest import bearer

HERSELF = f"{OURS}/users/root"


async def test_groups(call: Call, auth: AuthManager) -> None:
    """Made, filled, read, emptied, deleted."""
    await call("POST", f"{FAB}/users", json=user_body())
    made = await call("POST", f"{OURS}/groups", json={"name": "staff", "label": "Staff", "roles": ["Viewer"]})
    group = {"name": "staff", "label": "Staff", "description": None, "roles": ["Viewer"], "members": 0}
    assert (made.status_code, made.json()) == (201, group)
    for _ in range(2):
        assert (await call("PUT", f"{OURS}/groups/staff/members/ADA")).status_code == 204
    assert (await call("PUT", f"{OURS}/groups/staff/members/root")).status_code == 204
    members = await call("GET", f"{OURS}/groups/staff/members?order_by=-username&limit=1")
    assert members.json() == {"members": ["root"], "total_entries": 2}
    assert auth.decide(await auth.get_user(username="ada"), *READ)
    assert (await call("DELETE", f"{OURS}/groups/staff/members/root")).status_code == 204
    assert (await call("DELETE", f"{OURS}/groups/staff/roles/Viewer")).status_code == 204
    assert not auth.decide(await auth.get_user(username="ada"), *READ)
    assert (await call("PUT", f"{OURS}/groups/staff/roles/Public")).status_code == 204
    assert (await call("GET", f"{OURS}/groups/staff")).json() == {**group, "roles": ["Public"], "members": 1}
    listed = (await call("GET", f"{OURS}/groups")).json()
    assert ([one["name"] for one in listed["groups"]], listed["total_entries"]) == (["staff"], 1)
    assert (await call("DELETE", f"{OURS}/groups/staff")).status_code == 204
    assert (await call("GET", f"{OURS}/groups/staff")).status_code == 404


async def test_groups_that_are_refused(call: Call) -> None:
    """As problems (RFC 9457)."""
    await call("POST", f"{OURS}/groups", json={"name": "staff"})
    taken = await call("POST", f"{OURS}/groups", json={"name": "staff"})
    assert taken.headers["Content-Type"] == "application/problem+json"
    assert (taken.status_code, taken.json()) == (
        409,
        {
            "type": "urn:asyncauth:problem:taken",
            "title": "Conflict",
            "status": 409,
            "detail": "the group name `staff` is taken",
        },
    )
    assert (await call("POST", f"{OURS}/groups", json={"name": "x", "roles": ["No"]})).status_code == 400
    wrong = await call("POST", f"{OURS}/groups", json={"name": "x", "members": ["root"]})
    assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (422, ["body", "members"])
    assert wrong.headers["Content-Type"] == "application/problem+json"
    assert (await call("POST", f"{OURS}/groups", content=b"\xff")).json()["status"] in {400, 422}
    for path in ("members/nobody", "roles/No"):
        assert (await call("PUT", f"{OURS}/groups/staff/{path}")).status_code == 404
    assert (await call("GET", f"{OURS}/groups?order_by=description")).status_code == 400


async def test_problems_about_tokens(http: httpx.AsyncClient, root: object) -> None:
    """They say no more than the other form, and carry the same headers."""
    none = await http.get(f"{OURS}/groups")
    bad = await http.get(f"{OURS}/groups", headers=bearer("a.b.c"))
    assert none.json()["type"] == bad.json()["type"] == "urn:asyncauth:problem:unauthenticated"
    assert none.headers["WWW-Authenticate"] == "Bearer"
    assert bad.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert none.json()["detail"] == bad.json()["detail"]


async def test_keys(call: Call, http: httpx.AsyncClient, auth: AuthManager) -> None:
    """Shown once, narrowed, listed without the secret, revoked."""
    await call("POST", f"{FAB}/users", json=user_body(roles=[{"name": "Admin"}]))
    scopes = [{"action": "can_read", "resource": "Users"}]
    made = await call("POST", f"{OURS}/users/ada/api-keys", json={"name": "export", "scopes": scopes})
    assert (made.status_code, set(made.json())) == (201, {"id", "key"})
    assert made.headers["Cache-Control"] == "no-store"
    key = bearer(made.json()["key"])
    assert (await http.get(f"{FAB}/users", headers=key)).status_code == 200
    assert (await http.get(f"{FAB}/roles", headers=key)).status_code == 403
    assert (await http.post(f"{OURS}/me/end-tokens", headers=key)).status_code == 403
    listed = await call("GET", f"{OURS}/users/ada/api-keys")
    (shown,) = listed.json()["api_keys"]
    assert (shown["name"], shown["scopes"], shown["revoked_at"]) == ("export", scopes, None)
    assert made.json()["key"] not in listed.text
    for _ in range(2):
        assert (await call("DELETE", f"{OURS}/api-keys/{made.json()['id']}")).status_code == 204
    assert (await http.get(f"{FAB}/users", headers=key)).status_code == 401
    assert (await call("GET", f"{OURS}/users/ada/api-keys")).json()["api_keys"][0]["revoked_at"] is not None
    for key_id in (0, -1, 10**6, 2**80):
        assert (await call("DELETE", f"{OURS}/api-keys/{key_id}")).status_code == 404
    assert (await call("POST", f"{OURS}/users/ada/api-keys", json={"name": "x", "expires_at": 1})).status_code == 400


async def test_keys_that_are_off(call: Call, auth: AuthManager) -> None:
    """404, and what to do."""
    auth.settings = auth.settings.model_copy(update={"api_key_secret": None})
    answer = await call("POST", f"{HERSELF}/api-keys", json={"name": "x"})
    assert (answer.status_code, "api_key_secret" in answer.json()["detail"]) == (404, True)


async def test_switched_off_and_on(call: Call, http: httpx.AsyncClient, auth: AuthManager) -> None:
    """The token ends for good."""
    await call("POST", f"{FAB}/users", json=user_body(roles=[{"name": "Admin"}]))
    token = bearer(await auth.login("ada", "correct horse"))
    off = await call("POST", f"{OURS}/users/ada/deactivate")
    assert (off.status_code, off.json()["active"]) == (200, False)
    on = await call("POST", f"{OURS}/users/ada/activate", headers={"If-Match": off.headers["ETag"]})
    assert (on.status_code, on.json()["active"]) == (200, True)
    assert (await http.get(f"{FAB}/users", headers=token)).status_code == 401
    assert (await call("POST", f"{OURS}/users/nobody/activate")).status_code == 404
    await call("POST", f"{OURS}/users/ada/deactivate")
    assert (await call("POST", f"{HERSELF}/deactivate")).status_code == 409


async def test_logged_out_everywhere(call: Call, http: httpx.AsyncClient, auth: AuthManager) -> None:
    """By somebody who may edit users, and by oneself."""
    await call("POST", f"{FAB}/users", json=user_body(roles=[{"name": "Admin"}]))
    for path, mine in ((f"{OURS}/users/ada/end-tokens", False), (f"{OURS}/me/end-tokens", True)):
        token = bearer(await auth.login("ada", "correct horse"))
        assert (await http.get(f"{FAB}/users", headers=token)).status_code == 200
        done = await (http.post(path, headers=token) if mine else call("POST", path))
        assert done.status_code == 204
        assert (await http.get(f"{FAB}/users", headers=token)).status_code == 401
    assert (await call("POST", f"{OURS}/users/nobody/end-tokens")).status_code == 404


async def test_what_somebody_may_do_and_why(call: Call) -> None:
    """From the roles that count."""
    await call("POST", f"{FAB}/users", json=user_body(roles=[{"name": "Viewer"}]))
    may = await call("GET", f"{OURS}/users/ada/permissions")
    assert may.json() == {"permissions": [{"action": "can_read", "resource": "DAG:etl"}]}
    question = {"username": "ADA", "action": "can_read", "resource": "DAG:etl"}
    yes = await call("POST", f"{OURS}/explain", json=question)
    assert yes.json() == {
        **question,
        "username": "ada",
        "allowed": True,
        "reason": "role `Viewer` allows `can_read` on `DAG:etl`",
        "active": True,
        "stored": True,
        "roles": [{"name": "Viewer", "group": None, "counts": True, "permits": True}],
    }
    no = (await call("POST", f"{OURS}/explain", json={**question, "resource": "DAG:\0"})).json()
    assert (no["allowed"], no["stored"]) == (False, False)
    assert (await call("POST", f"{OURS}/explain", json={**question, "username": "no"})).status_code == 404
    content = json.dumps({**question, "resource": "\ud800"})
    odd = await call("POST", f"{OURS}/explain", content=content, headers={"Content-Type": "application/json"})
    assert (odd.status_code, odd.json()["errors"][0]["loc"]) == (422, ["body", "resource"])
    assert (await call("GET", f"{OURS}/users/no/permissions")).status_code == 404


async def test_the_audit_table(call: Call, auth: AuthManager) -> None:
    """Who, what, from where; filtered; no secret."""
    await call("POST", f"{FAB}/users", json=user_body())
    await call("PATCH", f"{FAB}/users/ada", json={"password": "battery staple", "first_name": "B"})
    await admin.create_role(auth, "by the system")
    page = await call("GET", f"{OURS}/audit")
    assert "correct horse" not in page.text
    assert "battery staple" not in page.text
    system, changed, made = page.json()["records"]
    assert (system["actor"], made["what"], made["actor"]) == (None, "create", "root")
    assert {**changed, "id": 0, "at": 0, "actor_id": 0, "subject_id": 0} == {
        "id": 0,
        "at": 0,
        "actor_id": 0,
        "actor": "root",
        "address": "192.0.2.7",
        "what": "update",
        "subject_kind": "user",
        "subject_id": 0,
        "subject": "ada",
        "before": {"first_name": "Ada"},
        "after": {"first_name": "B", "password": "changed"},
    }
    for query, count in {
        "actor=root": 2,
        f"actor_id={made['actor_id']}": 2,
        "what=update": 1,
        "subject_kind=role": 1,
        "subject=ada&subject_kind=user": 2,
        f"subject_id={made['subject_id']}&subject_kind=user": 2,
        "until=0": 0,
        "since=0": 3,
        f"subject_id={2**70}": 0,
        "actor=%00": 0,
    }.items():
        assert (await call("GET", f"{OURS}/audit?{query}")).json()["total_entries"] == count, query
    assert (await call("GET", f"{OURS}/audit?order_by=id&limit=1")).json()["records"] == [made]
    assert (await call("GET", f"{OURS}/audit?order_by=actor")).status_code == 400
    assert (await call("GET", f"{OURS}/audit?subject_kind=planet")).status_code == 422
