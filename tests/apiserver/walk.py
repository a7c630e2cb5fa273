"""Every route that an API server documents, or serves to its own pages, as requests with something in each place."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.apiserver.conftest import RUN
from tests.apiserver.server import ApiServer

READ_IDS = ("example_complex", "readable", "größe.1-2", "missing")
"""DAGs that are read: everybody's, one that a role was given, an odd name, none."""
PLACES = {
    "dag_run_id": RUN,
    "run_id": RUN,
    "task_id": "first",
    "group_id": "first",
    "node_id": "first",
    "map_index": "-1",
    "try_number": "1",
    "task_try_number": "1",
    "connection_id": "http_tests",
    "variable_key": "colour",
    "pool_name": "small",
    "name": "Viewer",
    "username": "vera",
    "section": "core",
    "option": "auth_manager",
}
"""What stands in a path; an id that nothing has where the name is not here."""
OURS_TO_CHANGE = {"dag_id": "victim_{who}", "dag_run_id": "walk_{role}", "run_id": "walk_{role}"} | dict.fromkeys(
    ("connection_id", "variable_key", "pool_name", "name", "username"), "walk_{who}_{role}"
)
"""What stands there where something changes: each server and role has its own."""
NEVER = {
    ("DELETE", "/api/v2/dags/{dag_id}"): "missing",
    ("PATCH", "/api/v2/dags"): "missing",
}
"""Routes that would take away what others need; they are given a DAG that is not there."""
_USER = {"username": "walk_{who}_{role}", "email": "{who}_{role}@walk.example", "first_name": "A", "last_name": "B"}
_CREATED = {"key": "bulk_{who}_{role}", "value": "1"}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v2/connections"): {"connection_id": "walk_{who}_{role}", "conn_type": "http"},
    ("PATCH", "/api/v2/connections/{connection_id}"): {"connection_id": "walk_{who}_{role}", "conn_type": "ftp"},
    ("POST", "/api/v2/variables"): {"key": "walk_{who}_{role}", "value": "1"},
    ("PATCH", "/api/v2/variables/{variable_key}"): {"key": "walk_{who}_{role}", "value": "2"},
    ("POST", "/api/v2/pools"): {"name": "walk_{who}_{role}", "slots": 1},
    ("PATCH", "/api/v2/pools/{pool_name}"): {"slots": 2, "name": "walk_{who}_{role}"},
    ("PATCH", "/api/v2/variables"): {"actions": [{"action": "create", "entities": [_CREATED]}]},
    ("PATCH", "/api/v2/pools"): {"actions": [{"action": "delete", "entities": ["missing"]}]},
    ("PATCH", "/api/v2/connections"): {"actions": [{"action": "delete", "entities": ["missing"]}]},
    ("PATCH", "/api/v2/dags/{dag_id}"): {"is_paused": True},
    ("POST", "/api/v2/dags/{dag_id}/dagRuns"): {"dag_run_id": "walk_{role}", "logical_date": None},
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"): {"note": "seen"},
    ("POST", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/clear"): {"dry_run": True},
    ("POST", "/api/v2/dags/{dag_id}/clearTaskInstances"): {"dry_run": True, "dag_run_id": "walk_{role}"},
    ("POST", "/api/v2/assets/events"): {"asset_id": 1},
    ("POST", "/ui/auth/token"): {"token_type": "api"},
    ("POST", "/auth/token"): {"username": "vera", "password": "the password of vera"},
    ("POST", "/auth/token/cli"): {"username": "vera", "password": "the password of somebody else"},
    ("POST", "/auth/fab/v1/users"): _USER | {"password": "long enough", "roles": [{"name": "Viewer"}]},
    ("PATCH", "/auth/fab/v1/users/{username}"): {"first_name": "C"},
    ("POST", "/auth/fab/v1/roles"): {"name": "walk_{who}_{role}"},
    ("PATCH", "/auth/fab/v1/roles/{name}"): {
        "name": "walk_{who}_{role}",
        "actions": [{"action": {"name": "can_read"}, "resource": {"name": "DAGs"}}],
    },
}
"""What is sent to a route; `{}` to those that are not here: whoever may not use a route learns nothing of its body."""
_PLACE = re.compile(r"{(\w+)(?::path)?}")


@dataclass(frozen=True)
class Route:
    """As the server names it, and what it is asked."""

    method: str
    template: str
    path: str
    json: Any = field(default=None, compare=False)


def find_routes(server: ApiServer) -> list[tuple[str, str]]:
    """Method and path of what the server has documented, and of what its own pages call."""
    with server.client() as client:
        found = {(method, path) for method, path in client.get("/probe/routes").json() if path.startswith("/ui/")}
        for prefix in ("", "/auth"):
            for path, methods in client.get(f"{prefix}/openapi.json").json()["paths"].items():
                found |= {(method.upper(), prefix + path) for method in methods}
    return sorted(found)


def reading(routes: Iterable[tuple[str, str]]) -> Iterator[Route]:
    """Requests that change nothing. `/logout` ends a login, so it is none."""
    for method, template in routes:
        if method == "GET" and "logout" not in template:
            for dag_id in READ_IDS if "{dag_id}" in template else READ_IDS[:1]:
                yield Route(method, template, _fill(template, PLACES | {"dag_id": dag_id}))


def changing(routes: Iterable[tuple[str, str]], who: str, role: str) -> list[Route]:
    """Requests that change something, in an order in which each finds what it changes: deletions last, deepest first.

    Args:
        who: "fab" or "ours": each has a DAG to break.
    """
    names = {"who": who, "role": role.replace(" ", "_")}
    mine = {place: value.format(**names) for place, value in OURS_TO_CHANGE.items()}
    found = []
    for method, template in routes:
        if method in {"POST", "PUT", "PATCH", "DELETE"}:
            gone = {"dag_id": NEVER[method, template]} if (method, template) in NEVER else {}
            body = _name(BODIES.get((method, template), {}), names)
            found.append(Route(method, template, _fill(template, PLACES | mine | gone), body))
    return sorted((route for route in found if route.method != "DELETE"), key=_order) + sorted(
        (route for route in found if route.method == "DELETE"), key=_order, reverse=True
    )


def _order(route: Route) -> tuple[str, int]:
    return route.template, ("POST", "PUT", "PATCH", "DELETE").index(route.method)


def _fill(template: str, places: dict[str, str]) -> str:
    return _PLACE.sub(lambda place: places.get(place[1], "1"), template)


def _name(body: Any, names: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: _name(value, names) for key, value in body.items()}
    if isinstance(body, list):
        return [_name(one, names) for one in body]
    return body.format(**names) if isinstance(body, str) else body
