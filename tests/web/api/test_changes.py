"""ETags, and the consistency tokens of changes."""

import pytest

from asyncauth import AuthManager, Settings
from tests.managers import quiet
from tests.web.api.conftest import FAB, OURS, READ, Call, fab_pairs, user_body

CASES = [
    (f"{FAB}/roles/A", "PATCH", {"name": "A", "actions": []}),
    (f"{FAB}/roles/A", "DELETE", None),
    (f"{FAB}/users/ada", "PATCH", {"first_name": "B"}),
    (f"{FAB}/users/ada", "DELETE", None),
    (f"{OURS}/groups/staff", "DELETE", None),
    (f"{OURS}/users/ada/deactivate", "POST", None),
    (f"{OURS}/users/ada/activate", "POST", None),
]


async def _make(call: Call) -> None:
    await call("POST", f"{FAB}/roles", json={"name": "A", "actions": fab_pairs(READ)})
    await call("POST", f"{FAB}/users", json=user_body())
    await call("POST", f"{OURS}/groups", json={"name": "staff"})


@pytest.mark.parametrize(("path", "method", "body"), CASES)
async def test_if_match(call: Call, path: str, method: str, body: object) -> None:
    """Another, a weak or no ETag: 412 and nothing changed. The right one, alone or among others: done."""
    await _make(call)
    read = path.replace(OURS, FAB).removesuffix("/deactivate").removesuffix("/activate")
    read = read if "groups" not in path else path
    before = await call("GET", read)
    etag = before.headers["ETag"]
    assert etag == f'"{etag[1:-1]}"'
    for wrong in ('"other"', f"W/{etag}", etag[1:-1], "", '"a", "b"'):
        answer = await call(method, path, json=body, headers={"If-Match": wrong})
        assert answer.status_code == 412, wrong
    assert (await call("GET", read)).json() == before.json()
    answer = await call(method, path, json=body, headers={"If-Match": f'"other", {etag}, W/"x"'})
    assert answer.status_code in {200, 204}, answer.text


async def test_two_editors_of_one_role(call: Call) -> None:
    """The second one is told, and does not undo the first one's work."""
    await _make(call)
    etag = (await call("GET", f"{FAB}/roles/A")).headers["ETag"]
    first = await call("PATCH", f"{FAB}/roles/A", json={"name": "B"}, headers={"If-Match": etag})
    assert first.headers["ETag"] == (await call("GET", f"{FAB}/roles/B")).headers["ETag"] != etag
    second = await call("PATCH", f"{FAB}/roles/B", json={"name": "C"}, headers={"If-Match": etag})
    assert second.status_code == 412
    assert (await call("PATCH", f"{FAB}/roles/B", json={"name": "C"}, headers={"If-Match": "*"})).status_code == 200
    for path in ("roles/C", "users/ada"):
        assert (await call("GET", f"{FAB}/{path}")).headers["ETag"]


async def test_what_is_made_has_its_etag(call: Call) -> None:
    """The same that reading it gives."""
    role = await call("POST", f"{FAB}/roles", json={"name": "A", "actions": fab_pairs(READ)})
    user = await call("POST", f"{FAB}/users", json=user_body())
    group = await call("POST", f"{OURS}/groups", json={"name": "staff", "roles": ["Viewer"]})
    for made, path in ((role, f"{FAB}/roles/A"), (user, f"{FAB}/users/ada"), (group, f"{OURS}/groups/staff")):
        assert made.headers["ETag"] == (await call("GET", path)).headers["ETag"]


async def test_every_change_brings_a_consistency_token(call: Call, settings: Settings) -> None:
    """Another worker that is shown it knows of the change."""
    await _make(call)
    changes = [
        ("POST", f"{FAB}/roles", {"name": "B"}),
        ("PATCH", f"{FAB}/users/ada", {"roles": [{"name": "Viewer"}]}),
        ("PUT", f"{OURS}/groups/staff/members/ada", None),
        ("POST", f"{OURS}/users/ada/end-tokens", None),
        ("POST", f"{OURS}/users/ada/api-keys", {"name": "x"}),
        ("DELETE", f"{FAB}/roles/B", None),
        ("POST", f"{OURS}/users/ada/deactivate", None),
    ]
    tokens = [(await call(method, path, json=body)).headers["X-Consistency-Token"] for method, path, body in changes]
    assert len(set(tokens)) == len(changes)
    async with AuthManager(quiet(settings)) as other:
        root = await other.get_user(username="root")
        written = await call("PATCH", f"{FAB}/users/root", json={"first_name": "R"})
        assert other.current(root).first_name == "Ada"
        token = other.issue_token(root.id)
        seen = await other.get_user_from_token(token, at_least=written.headers["X-Consistency-Token"])
        assert seen.first_name == "R"


async def test_a_foreign_consistency_token(call: Call) -> None:
    """400 in the form of the route."""
    for path in (f"{FAB}/users", f"{OURS}/groups"):
        answer = await call("GET", path, headers={"X-Consistency-Token": "made up"})
        assert answer.status_code == 400
