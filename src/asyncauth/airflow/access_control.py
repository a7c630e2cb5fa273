"""What a Dag's `access_control` asks for, with FAB's rules to the letter. Pure: no database, no Airflow.

It names roles, and for each of them actions on the Dag (`DAGs`) and on its runs (`DAG Runs`), or, in the old style,
actions on the Dag alone. None leaves everything as it is; anything else is the whole truth: what it does not name is
taken away from every role but Admin. Where it is wrong, FAB takes away, gives what stands before the mistake and stops.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncauth.db.default_roles import ADMIN, Pair

DAG, RUN = "DAGs", "DAG Runs"
PREFIXES = {DAG: "DAG:", RUN: "DAG Run:"}
ACTIONS = {
    DAG: frozenset(("can_read", "can_edit", "can_delete")),
    RUN: frozenset(("can_read", "can_create", "can_delete", "menu_access")),
}
MAX_NAME = 250
"""Characters of a resource's name in the database."""
AccessControl = Mapping[str, Any]
Grant = tuple[str, str]
"""Role and action."""


def resource_name(dag_id: str, kind: str) -> str:
    """The resource of one Dag; an id that looks like one already is one."""
    return dag_id if dag_id.startswith(tuple(PREFIXES.values())) else f"{PREFIXES[kind]}{dag_id}"


def pairs_of(dag_id: str) -> frozenset[Pair]:
    """The permissions that are stored for every Dag, whoever holds them."""
    return frozenset((action, resource_name(dag_id, kind)) for kind, names in ACTIONS.items() for action in names)


def decode(encoded: Any) -> Any:
    """What Airflow's serialization made of a value of dicts, sets, lists and text.

    Raises:
        ValueError: it holds something else.
    """
    if isinstance(encoded, str):
        return encoded
    if isinstance(encoded, list):
        return [decode(one) for one in encoded]
    if not isinstance(encoded, dict) or set(encoded) != {"__type", "__var"}:
        raise ValueError("it is not of the form that is expected")
    kind, value = encoded["__type"], encoded["__var"]
    if kind == "dict" and isinstance(value, dict):
        return {name: decode(one) for name, one in value.items()}
    if kind in {"set", "tuple", "frozenset"} and isinstance(value, list):
        decoded = [decode(one) for one in value]
        return set(decoded) if kind == "set" else decoded
    raise ValueError(f"it holds a {kind}")


def decode_mapping(encoded: Any) -> AccessControl:
    """The same for a whole `access_control`."""
    decoded = decode(encoded)
    if not isinstance(decoded, dict):
        raise ValueError("it is no mapping of roles")  # noqa: TRY004 - of the form, not of the type
    return decoded


@dataclass(slots=True)
class Holders:
    """Who may do what on the resources of Dags, as it stands and as it is going to be."""

    roles: Collection[str]
    """Those that exist."""
    grants: dict[str, set[Grant]] = field(default_factory=dict)
    """By resource."""
    problems: dict[str, str] = field(default_factory=dict)
    """By id of the Dag, a sentence."""

    def apply(self, dag_id: str, wanted: AccessControl) -> None:
        """Make it what a Dag asks for."""
        self._take_away(dag_id, wanted)
        for role, what in wanted.items():
            try:
                for resource, action in self._wanted(dag_id, role, what):
                    self.grants.setdefault(resource, set()).add((role, action))
            except (TypeError, ValueError) as error:
                self.problems[dag_id] = f"Dag {dag_id!r}: access_control of the role {role!r}: {error}"
                return

    def _take_away(self, dag_id: str, wanted: AccessControl) -> None:
        for kind in ACTIONS:
            held = self.grants.get(resource_name(dag_id, kind), set())
            for role, action in tuple(held):
                if role != ADMIN and action not in _kept(wanted.get(role), kind):
                    held.discard((role, action))

    def _wanted(self, dag_id: str, role: str, what: Any) -> Iterator[tuple[str, str]]:
        if role not in self.roles:
            raise ValueError("there is no such role")
        for kind, actions in (what if isinstance(what, dict) else {DAG: set(what)}).items():
            if kind not in ACTIONS:
                raise ValueError(f"{kind!r} is none of {', '.join(ACTIONS)}")
            if unknown := set(actions) - ACTIONS[kind]:
                raise ValueError(f"{', '.join(sorted(map(str, unknown)))}: no action on {kind}")
            for action in actions:
                yield resource_name(dag_id, kind), action


def _kept(what: Any, kind: str) -> Collection[str]:
    """What a role does not lose. A set means both kinds here, although it only gives the first: so does FAB."""
    if isinstance(what, dict):
        actions: Collection[str] = what.get(kind, ())
        return actions
    return what if isinstance(what, set) else ()
