"""Runs under Airflow's own Python: the real FabAuthManager and ours on one database, asked the same questions.

    python differential.py SEED QUESTIONS

Fills the database with random roles, users and DAGs, asks, and prints one JSON object: how many questions of which kind
were asked, how many were answered with yes, and where the two disagreed.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    AssetAliasDetails,
    AssetDetails,
    ConfigurationDetails,
    ConnectionDetails,
    DagAccessEntity,
    DagDetails,
    PoolDetails,
    VariableDetails,
)
from airflow.api_fastapi.common.types import MenuItem

QUESTIONS_A_USER = 250
METHODS = ("GET", "POST", "PUT", "DELETE")
ACTIONS = ("can_read", "can_create", "can_edit", "can_delete", "menu_access", "can_do", "CAN_READ")
DAG_IDS = (
    *("x", "X", "y", "DAGs", "DAG:x", "DAG Run:y", "DAG:", "DAG Run:", "DAG:DAG:x", "dag:x", "DAG Runs", "Pools"),
    *("größe", "grosse", "💥", "a b", " x", "a\tb", "a\x01b", "a\x1fb\x1e", "\x7f", "%", "_", "'; --", "x" * 200),
)
"""Ids of DAGs, most of which Airflow's parser would not let in, and a table that holds them would."""
NOBODY = 0
"""In place of a user's id: whoever has not logged in, with the public role."""
ENTITIES = (*DagAccessEntity, *[None, DagAccessEntity.RUN] * 4)
Question = tuple[str, dict[str, Any]]


def fill(draw: random.Random, users: int) -> list[int]:
    """Add roles, users and DAGs; returns the ids of the users, last that of one who has every role."""
    from airflow.models import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.providers.fab.auth_manager.models import Action, Permission, Resource, Role, User
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        known = [*session.scalars(select(Permission)).unique()]
        actions = {one.name: one for one in session.scalars(select(Action)).unique()}
        resources = {one.name: one for one in session.scalars(select(Resource)).unique()}
        pairs = {(one.action.name, one.resource.name): one for one in known}
        for name in ACTIONS:
            actions.setdefault(name, Action(name=name))
        for name in _dag_resources():
            resources.setdefault(name, Resource(name=name))
            for action in draw.sample(ACTIONS, 4):
                pairs.setdefault((action, name), Permission(action=actions[action], resource=resources[name]))
        everything = [*pairs.values()]
        odd = [one for one in everything if one.resource.name in _dag_resources()]
        session.add_all(everything)
        roles = [*session.scalars(select(Role)).unique()]
        for number in range(users // 2):
            chosen = {*draw.sample(everything, draw.choice((0, 1, 5, 40))), *draw.sample(odd, draw.choice((0, 1, 9)))}
            roles.append(Role(name=f"random {number}", permissions=list(chosen)))
        session.add_all(roles)
        bundle = session.scalars(select(DagBundleModel)).first()
        for dag_id in sorted({*DAG_IDS} - {*session.scalars(select(DagModel.dag_id))}):
            stale = draw.random() < 0.2
            session.add(DagModel(dag_id=dag_id, bundle_name=bundle.name, fileloc="f", is_stale=stale))
        made = [_user(User, number, draw.sample(roles, draw.choice((0, 1, 1, 2, 4)))) for number in range(users)]
        made.append(_user(User, users, roles))
        session.add_all(made)
        session.flush()
        return [user.id for user in made]


def _dag_resources() -> list[str]:
    return [f"{prefix}{dag_id}" for dag_id in DAG_IDS for prefix in ("DAG:", "DAG Run:", "")]


def _user(model: Any, number: int, roles: list[Any]) -> Any:
    name = f"random{number}"
    return model(
        username=name, first_name="", last_name="", email=f"{name}@x.org", password="", active=True, roles=roles
    )


class Asker:
    """Makes questions up."""

    def __init__(self, draw: random.Random) -> None:
        self.held: list[str] = []
        """Ids of DAGs that are asked about often."""
        self._draw = draw
        self._kinds: tuple[Callable[[], Question], ...] = (
            *([self._dag] * 6),
            *(self._global, self._view, self._custom, self._hitl, self._batch, self._filter, self._authorized),
            *(self._menu, self._all_menus),
        )

    def ask(self) -> Question:
        """Name of a method and its arguments, without the user."""
        return self._draw.choice(self._kinds)()

    def _method(self) -> str:
        return self._draw.choice(METHODS)

    def _dag_id(self) -> str:
        return self._draw.choice(self.held if self.held and self._draw.random() < 0.5 else (*DAG_IDS, "not there", ""))

    def _dag_request(self) -> dict[str, Any]:
        details = self._draw.choice((None, DagDetails(), *([DagDetails(id=self._dag_id())] * 5)))
        return {"method": self._method(), "access_entity": self._draw.choice(ENTITIES), "details": details}

    def _dag(self) -> Question:
        return "is_authorized_dag", self._dag_request()

    def _details(self) -> tuple[str, Any]:
        made = {
            "configuration": ConfigurationDetails(section="core"),
            "connection": ConnectionDetails(conn_id="http_tests"),
            "asset": AssetDetails(id="1"),
            "asset_alias": AssetAliasDetails(id="1"),
            "pool": PoolDetails(name="small"),
            "variable": VariableDetails(key="colour"),
        }
        kind = self._draw.choice([*made])
        return kind, self._draw.choice((None, made[kind]))

    def _global(self) -> Question:
        kind, details = self._details()
        return f"is_authorized_{kind}", {"method": self._draw.choice((*METHODS, "MENU")), "details": details}

    def _view(self) -> Question:
        return "is_authorized_view", {"access_view": self._draw.choice([*AccessView])}

    def _custom(self) -> Question:
        resource = self._draw.choice((*_dag_resources(), "DAGs", "Users", "List Users", "no such\x00", "\ud800"))
        method = self._draw.choice((*METHODS, "MENU", "PATCH", "can_do", "can_read", "", "can_read\x00Users"))
        return "is_authorized_custom_view", {"method": method, "resource_name": resource}

    def _hitl(self) -> Question:
        return "is_authorized_hitl_task", {"assigned_users": {str(self._draw.randrange(1, 60)) for _ in range(9)}}

    def _batch(self) -> Question:
        kind = self._draw.choice(("connection", "dag", "pool", "variable"))
        number = self._draw.randrange(4)
        if kind == "dag":
            return "batch_is_authorized_dag", {"requests": [self._dag_request() for _ in range(number)]}
        return f"batch_is_authorized_{kind}", {"requests": [{"method": self._method()} for _ in range(number)]}

    def _filter(self) -> Question:
        ids = set(self._draw.sample((*DAG_IDS, "not there"), self._draw.randrange(9)))
        names = {"connections": "conn_ids", "dag_ids": "dag_ids", "pools": "pool_names", "variables": "variable_keys"}
        kind = self._draw.choice([*names])
        return f"filter_authorized_{kind}", {names[kind]: ids, "method": self._method()}

    def _authorized(self) -> Question:
        kind = self._draw.choice((*(["dag_ids"] * 4), "connections", "pools", "variables", "assets", "teams"))
        return f"get_authorized_{kind}", {"method": self._method()}

    def _menu(self) -> Question:
        items = [*MenuItem]
        return "filter_authorized_menu_items", {
            "menu_items": self._draw.sample(items, self._draw.randrange(len(items)))
        }

    def _all_menus(self) -> Question:
        return self._draw.choice(("get_authorized_menu_items", "get_extra_menu_items")), {}


def answer(manager: Any, user: Any, question: Question) -> Any:
    """What a manager says, in comparable form; an error is an answer, too."""
    name, arguments = question
    try:
        if name in {"filter_authorized_menu_items", "batch_is_authorized_dag"} or name.startswith("batch_"):
            first, *_ = arguments.values()
            said = getattr(manager, name)(first, user=user)
        else:
            said = getattr(manager, name)(**arguments, user=user)
    except Exception as error:  # noqa: BLE001  # it is compared
        return f"{type(error).__name__}"
    if name == "get_extra_menu_items":
        return [(item.text, item.href) for item in said]
    return sorted(said) if isinstance(said, set) else said


def known(question: Question, fab: Any, ours: Any, *, anonymous: bool) -> str | None:
    """The reason for which two answers differ, if it is one of those that are documented."""
    if question[0] == "get_extra_menu_items" and set(ours) <= set(fab):
        return "we list the pages that we serve: users and roles"
    if question[0] == "get_authorized_dag_ids" and anonymous and fab == []:
        return "FAB lists no DAG for the public role that it lets read single ones"
    return None


def _ask_both(
    fab: Any, theirs: Any, ours: Any, mine: Any, questions: list[Question]
) -> list[tuple[Question, Any, Any]]:
    return [(one, answer(fab, theirs, one), answer(ours, mine, one)) for one in questions]


def rounds(draw: random.Random, user_ids: list[int], questions: int) -> Iterator[tuple[int, int]]:
    """Who is asked about, and how many questions: first the user with every role, so that each method says yes once."""
    user_id = user_ids[-1]
    while questions > 0:
        number = min(QUESTIONS_A_USER, questions)
        questions -= number
        yield user_id, number
        user_id = draw.choice([*user_ids, *[NOBODY] * 6])


def held_ids(user: Any) -> list[str]:
    """The DAGs for which a user has permissions: those are asked about more often than others."""
    names = (resource for _, resource in sorted(user.perms))
    return [name.partition(":")[2] for name in names if name.startswith(("DAG:", "DAG Run:"))]


async def compare(seed: int, questions: int) -> dict[str, Any]:
    """Fill, ask, compare."""
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

    from asyncauth.airflow import AsyncAuthManager
    from asyncauth.bootstrap import close_auth_manager

    draw = random.Random(seed)  # noqa: S311
    user_ids = fill(draw, users=60)
    fab, ours = FabAuthManager(), AsyncAuthManager()
    asked: Counter[str] = Counter()
    yes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    disagreements = []
    asker = Asker(draw)
    for user_id, number in rounds(draw, user_ids, questions):
        if user_id == NOBODY:
            theirs, mine = fab.build_public_user(), await ours.public_user()
        else:
            theirs = fab.deserialize_user({"sub": str(user_id)})
            mine = await ours.get_user_from_token(fab.generate_jwt(theirs))
        asker.held = held_ids(theirs)
        chosen = [asker.ask() for _ in range(number)]
        said = await asyncio.to_thread(_ask_both, fab, theirs, ours, mine, chosen)
        for question, one, other in said:
            asked[question[0]] += 1
            yes[question[0]] += bool(one) and not isinstance(one, str)
            if one != other:
                if reason := known(question, one, other, anonymous=user_id == NOBODY):
                    reasons[reason] += 1
                else:
                    disagreements.append(f"user {user_id}: {question!r}: FAB {one!r}, ours {other!r}")
    await close_auth_manager()
    return {"asked": asked, "yes": yes, "known": reasons, "disagreements": disagreements}


def main(seed: str, questions: str) -> None:
    """Print what was found."""
    print(json.dumps(asyncio.run(compare(int(seed), int(questions)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
