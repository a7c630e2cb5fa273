"""The OpenAPI document, and the router in somebody else's app."""

import json

import httpx
import pytest
from fastapi import FastAPI

from asyncauth import AuthManager
from asyncauth.api import make_app, make_router
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.fastapi import install
from tests.web.api.conftest import FAB, OURS

DOCUMENT = make_app(cookie=CookiePolicy()).openapi()
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]
OPEN = {"/auth/token", "/auth/token/cli", "/auth/logout"}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation(path: str, method: str) -> None:
    """Says what it does, how to authenticate, and each refusal in its form."""
    operation = DOCUMENT["paths"][path][method]
    assert operation["description"]
    assert operation["tags"]
    responses = operation["responses"]
    if path in OPEN:
        assert "security" not in operation
    else:
        assert operation["security"] == [{"Bearer": []}, {"Cookie": []}]
        assert {"400", "401", "403", "422", "503"} <= set(responses)
    if "{" in path:
        assert "404" in responses
    if "requestBody" in operation:
        assert {"400", "422"} <= set(responses)
    form = "application/problem+json" if path.startswith(OURS) else "application/json"
    for status, response in responses.items():
        assert response["description"]
        if status >= "400":
            assert list(response["content"]) == [form]


def test_names_and_examples() -> None:
    """FAB's names of bodies; an example wherever a body has fields; no two operations of one name."""
    schemas = DOCUMENT["components"]["schemas"]
    fab = {"RoleBody", "RoleResponse", "RoleCollectionResponse", "PermissionCollectionResponse", "ActionResource"}
    assert fab | {"UserBody", "UserPatchBody", "UserResponse", "UserCollectionResponse", "LoginResponse"} <= set(
        schemas
    )
    assert set(schemas["RoleBody"]["properties"]) == set(schemas["RoleResponse"]["properties"]) == {"name", "actions"}
    assert schemas["UserBody"]["additionalProperties"] is False
    for name in ("UserBody", "RoleBody", "GroupBody", "ApiKeyBody", "ExplainBody"):
        assert any("examples" in field for field in schemas[name]["properties"].values()), name
    ids = [DOCUMENT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(ids)) == len(ids)


async def test_where_it_is(http: httpx.AsyncClient) -> None:
    """Below the prefix, open to anybody as FAB's is."""
    document = await http.get("/auth/openapi.json")
    assert document.json()["paths"].keys() == DOCUMENT["paths"].keys()
    assert (await http.get("/auth/docs")).status_code == 200


async def test_in_an_app_of_ones_own(auth: AuthManager, root: dict[str, str]) -> None:
    """The router keeps its own form of errors, and leaves the app's other routes theirs."""
    app = FastAPI()
    install(app, auth)
    app.include_router(make_router(prefix="/admin"))

    @app.get("/mine")
    async def mine(number: int) -> int:
        return number

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as http:
        assert (await http.get("/admin/fab/v1/users", headers=root)).status_code == 200
        problem = await http.get("/admin/v1/groups/none", headers=root)
        assert (problem.status_code, problem.headers["Content-Type"]) == (404, "application/problem+json")
        assert "input" in (await http.get("/mine?number=x")).json()["detail"][0]


async def test_mounted(auth: AuthManager, root: dict[str, str]) -> None:
    """As an app inside another one."""
    outer = FastAPI()
    outer.mount("/auth", make_app(auth, prefix=""))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://testserver") as http:
        assert (await http.get(f"{FAB}/users", headers=root)).status_code == 200
        assert (await http.get(f"{OURS}/groups")).status_code == 401


def test_no_secret_is_an_example() -> None:
    """And no name of a column that is not shown."""
    assert "hash" not in json.dumps(DOCUMENT["components"]["schemas"])
