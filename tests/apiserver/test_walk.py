"""Every route, asked by everybody, on a server with the FAB auth manager and on one with ours: the same answers."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.apiserver.conftest import ROLES, Pair
from tests.apiserver.server import ApiServer
from tests.apiserver.walk import Route, changing, find_routes, reading
from tests.databases import FULL

Answer = tuple[int, Any]
NOBODY = "nobody"
"""Who sends no token."""
EVERYBODY = (NOBODY, *reversed(ROLES))
VOLATILE = {"timestamp", "last_parsed"} | {
    f"latest_{who}_heartbeat" for who in ("scheduler", "triggerer", "dag_processor")
}
KNOWN_BODIES = {
    "/ui/auth/menus": "we serve other pages than FAB does, and list only those",
    "/api/v2/config": "it tells which auth manager is configured",
    "/api/v2/config/section/{section}/option/{option}": "the same",
    "/api/v2/providers": "asyncauth is one more",
    "/api/v2/plugins": "the plugin's objects are named with their addresses in memory",
}
"""Routes whose answers differ beyond the status."""


DIALECTS = ["postgresql", "mysql"] if FULL else ["postgresql"]


@pytest.fixture(params=DIALECTS)
def walked(request: pytest.FixtureRequest, make_pair: Callable[[str], Pair]) -> Pair:
    """A pair of servers; `make test-all` walks on MariaDB, too."""
    return make_pair(request.param)


@pytest.fixture
def routes(walked: Pair) -> list[tuple[str, str]]:
    """What FAB's server serves."""
    return find_routes(walked.fab)


def log_in(server: ApiServer, who: str) -> str | None:
    """A token, but for nobody."""
    return None if who == NOBODY else server.log_in(who)


def ask(server: ApiServer, token: str | None, asked: Iterable[Route]) -> dict[Route, Answer]:
    """What one user is told."""
    with server.client(token) as client:
        return {route: _read(client.request(route.method, route.path, json=route.json)) for route in asked}


def _read(answer: httpx.Response) -> Answer:
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    return answer.status_code, _scrub(answer.json()) if is_json and answer.content else None


def _scrub(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: _scrub(value) for key, value in body.items() if key not in VOLATILE}
    if isinstance(body, list):
        return sorted((_scrub(one) for one in body), key=repr)  # FAB gives the permissions of a role in any order
    return body


def test_all_routes_are_there(walked: Pair, routes: list[tuple[str, str]]) -> None:
    """Whatever FAB's server documents, ours does."""
    assert len(routes) > 150
    assert set(routes) <= set(find_routes(walked.ours))


def test_reading(walked: Pair, routes: list[tuple[str, str]]) -> None:
    """The same status and the same answer."""
    asked = list(reading(routes))
    # All before the first question: who has logged in when, and how often, is among the answers.
    tokens = [[log_in(server, who) for server in walked] for who in EVERYBODY]
    with ThreadPoolExecutor(8) as pool:
        found = [
            [pool.submit(ask, server, token, asked) for server, token in zip(walked, pair, strict=True)]
            for pair in tokens
        ]
        answers = {who: [future.result() for future in pair] for who, pair in zip(EVERYBODY, found, strict=True)}
    differences = [
        f"{who} {route.path}: FAB {fab[route][0]}, ours {ours[route][0]}, {leaf}"
        for who, (fab, ours) in answers.items()
        for route in asked
        for leaf in _differ(route, fab[route], ours[route])
    ]
    assert not differences, "\n".join(differences)
    _look_at_statuses({who: [status for status, _ in fab.values()] for who, (fab, _) in answers.items()})


def _differ(route: Route, fab: Answer, ours: Answer) -> list[str]:
    if fab[0] != ours[0]:
        return ["another status"]
    if fab[1] == ours[1] or fab[0] >= 400 or route.template in KNOWN_BODIES:
        return []
    here, there = (dict(_leaves(answer[1])) for answer in (fab, ours))
    return [f"{key}: {here.get(key)!r} and {there.get(key)!r}" for key in here if here[key] != there.get(key)][:2]


def _leaves(body: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(body, dict | list) and body:
        for key, value in body.items() if isinstance(body, dict) else enumerate(body):
            yield from _leaves(value, f"{place}/{key}")
    else:
        yield place, body


def _look_at_statuses(statuses: dict[str, list[int]]) -> None:
    """The walk asks what it should: each role is allowed more than the one before."""
    allowed = {who: sum(status == 200 for status in found) for who, found in statuses.items()}
    assert allowed[NOBODY] < allowed["pia"] < allowed["dora"] < allowed["vera"] <= allowed["uma"] < allowed["otto"]
    assert allowed["otto"] < allowed["ada"]
    assert 403 in statuses["vera"]
    assert 401 in statuses[NOBODY]
    broken = {status for found in statuses.values() for status in found if status >= 500}
    assert broken <= {503}, "core's own errors hide what is asked here"


def test_changing(walked: Pair, routes: list[tuple[str, str]]) -> None:
    """The same status, each server on objects of its own, with one user after the other."""

    def walk(who: str, server: ApiServer) -> dict[tuple[str, str, str], int]:
        found = {}
        for user in EVERYBODY:
            asked = changing(routes, who, user)
            for route, (status, _) in ask(server, log_in(server, user), asked).items():
                found[user, route.method, route.template] = status
        return found

    with walked.fab.client(walked.fab.log_in("ada")) as client:  # or both would make the same ones at the same time
        client.post("/api/v2/connections/defaults").raise_for_status()
    with ThreadPoolExecutor(2) as pool:
        fab, ours = pool.map(walk, ("fab", "ours"), walked)
    assert {key: (fab[key], ours[key]) for key in fab if fab[key] != ours[key]} == {}
    assert {status for (user, *_), status in fab.items() if user == "ada"} >= {200, 201, 204, 404, 422}
