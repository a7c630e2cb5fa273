"""FAB's routes of roles and permissions."""

from typing import Any

import pytest

from asyncauth import AuthManager, admin
from tests.web.api.conftest import AUDIT, EDIT, EVERY, FAB, READ, Call, fab_pairs


async def test_make_read_change_delete(call: Call, auth: AuthManager) -> None:
    """The life of a role, in FAB's form; the pair is made from an action and a resource that are stored."""
    pair = ("can_delete", "DAG:etl")
    made = await call("POST", f"{FAB}/roles", json={"name": "Auditor", "actions": fab_pairs(READ, pair, READ)})
    assert (made.status_code, made.json()) == (200, {"name": "Auditor", "actions": fab_pairs(pair, READ)})
    assert (await call("GET", f"{FAB}/roles/Auditor")).json() == made.json()
    assert (await call("GET", f"{FAB}/roles/auditor")).status_code == 404
    await admin.create_user(auth, username="ada", password="correct horse", email="a", roles=["Auditor"])
    ada = await auth.get_user(username="ada")
    assert auth.decide(auth.current(ada), *pair)
    changed = await call("PATCH", f"{FAB}/roles/Auditor", json={"name": "Reader", "permissions": fab_pairs(EDIT)})
    assert (changed.status_code, changed.json()) == (200, {"name": "Reader", "actions": fab_pairs(EDIT)})
    ada = await auth.get_user(username="ada")
    assert not auth.decide(ada, *pair)
    assert auth.decide(ada, *EDIT)
    deleted = await call("DELETE", f"{FAB}/roles/Reader")
    assert (deleted.status_code, deleted.json()) == (200, None)
    assert (await call("DELETE", f"{FAB}/roles/Reader")).status_code == 404


async def test_only_what_was_sent_changes(call: Call) -> None:
    """Without `actions` the permissions stay, with `[]` they go; the mask narrows that."""
    await call("POST", f"{FAB}/roles", json={"name": "A", "actions": fab_pairs(READ)})

    async def patch(query: str, body: dict[str, Any]) -> Any:
        answer = await call("PATCH", f"{FAB}/roles/A{query}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    same = {"name": "A", "actions": fab_pairs(READ)}
    assert await patch("", {"name": "A"}) == same
    assert await patch("?update_mask=name", {"name": "A", "actions": []}) == same
    assert await patch("?update_mask=actions", {"name": "A"}) == same
    assert await patch("?update_mask=actions", {"name": "B", "actions": fab_pairs(EDIT)}) == {
        "name": "A",
        "actions": fab_pairs(EDIT),
    }
    assert await patch("?update_mask=", {"name": "A", "actions": []}) == {"name": "A", "actions": []}


async def test_a_taken_name_is_a_conflict(call: Call) -> None:
    """Where FAB answers 200 and changes nothing."""
    await call("POST", f"{FAB}/roles", json={"name": "A"})
    answer = await call("PATCH", f"{FAB}/roles/A", json={"name": "Viewer"})
    assert (answer.status_code, answer.json()) == (409, {"detail": "the role name `Viewer` is taken"})
    assert (await call("POST", f"{FAB}/roles", json={"name": "A"})).status_code == 409
    assert (await call("GET", f"{FAB}/roles/A")).status_code == 200


@pytest.mark.parametrize(
    ("query", "body", "status", "words"),
    [
        ("", {"name": "V", "actions": fab_pairs(("can_fly", "DAG:etl"))}, 400, "can_fly"),
        ("", {"name": "V", "actions": fab_pairs(("can_read", "Moon"))}, 400, "Moon"),
        ("?update_mask=name,id", {"name": "V"}, 400, "'id' in update_mask is unknown"),
        ("", {"name": "x" * 65}, 400, "longer"),
        ("", {"name": ""}, 422, "name"),
        ("", {"actions": []}, 422, "name"),
        ("", {"name": "V", "id": 7}, 422, "id"),
        ("", {"name": "V", "actions": None}, 422, "actions"),
    ],
)
async def test_what_is_refused(call: Call, query: str, body: object, status: int, words: str) -> None:
    answer = await call("PATCH", f"{FAB}/roles/Viewer{query}", json=body)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    if not query:
        assert (await call("POST", f"{FAB}/roles", json=body)).status_code == status
    assert (await call("GET", f"{FAB}/roles/Viewer")).json() == {"name": "Viewer", "actions": fab_pairs(READ)}


async def test_masks_of_nobody(call: Call) -> None:
    """404 comes first."""
    assert (await call("PATCH", f"{FAB}/roles/no?update_mask=id", json={"name": "x"})).status_code == 404


async def test_lists(call: Call) -> None:
    """Roles and permissions, in every order that FAB allows and in no other."""

    async def names(order: str) -> list[str]:
        answer = (await call("GET", f"{FAB}/roles", params={"order_by": order})).json()
        assert answer["total_entries"] == 3
        return [role["name"] for role in answer["roles"]]

    assert await names("name") == await names("role_id") == ["Admin", "Public", "Viewer"]
    assert await names("-name") == await names("-role_id") == ["Viewer", "Public", "Admin"]
    every = (await call("GET", f"{FAB}/permissions")).json()
    assert (len(every["actions"]), every["total_entries"]) == (len(EVERY) + 2, len(EVERY) + 2)
    assert fab_pairs(AUDIT)[0] in every["actions"]
    backwards = (await call("GET", f"{FAB}/permissions?order_by=-id&limit=1")).json()
    assert (backwards["actions"], backwards["total_entries"]) == (every["actions"][-1:], len(EVERY) + 2)
    for order in ("action_id", "-resource_id"):
        assert (await call("GET", f"{FAB}/permissions?order_by={order}")).status_code == 200
    for path in ("roles?order_by=id", "permissions?order_by=action", "permissions?order_by=", "roles?order_by=-"):
        assert (await call("GET", f"{FAB}/{path}")).status_code == 400
