"""What a role permits: seen, granted and taken, a part of all stored permissions at a time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import RoleInfo
from asyncauth.errors import AuthError, ChangedMeanwhileError, InvalidValueError
from asyncauth.model import Permission
from asyncauth.pages.lists import Part, read_part
from asyncauth.pages.problems import Problem, problem_of
from asyncauth.pages.visit import Visit

SHOW, EDIT = "/roles/show/", "/roles/edit/"
PART_SIZE = 100
"""Permissions on one page."""


@dataclass(frozen=True, slots=True)
class Row:
    """A permission with its box."""

    pair: Permission
    held: bool
    ticked: bool

    @property
    def value(self) -> str:
        """As the form sends it."""
        return json.dumps([self.pair.action, self.pair.resource], ensure_ascii=False)


async def show_role(visit: Visit) -> Response:
    """What the role permits, to read."""
    role = await admin.get_role(visit.auth, visit.name)
    part = read_part(visit, ("resource",), PART_SIZE)
    found = _held(role, part.search)
    rows = found[part.offset : part.offset + part.size]
    return visit.render("role.html", role=role, rows=rows, total=len(found), part=part)


async def show_edit(visit: Visit) -> Response:
    """The same with boxes, and all other stored permissions."""
    return await show_role_page(visit)


async def edit(visit: Visit) -> Response:
    """Grant what was ticked and take what was not, of the permissions that the form showed."""
    try:
        visit.check_form()
        shown, ticked = (set(_read_pairs(visit.form.texts(name))) for name in ("shown", "held"))
        role = await admin.get_role(visit.auth, visit.name)
        etag = visit.form.text("etag")
        if role.etag != etag:  # what follows is put together from what was read just now
            raise ChangedMeanwhileError
        permissions = (set(role.permissions) - shown) | (ticked & shown)
        await admin.update_role(visit.auth, visit.name, permissions=permissions, if_match=etag, actor=visit.actor)
    except AuthError as error:
        return await show_role_page(visit, problem_of(error), sent=True)
    done = "role-changed" if permissions != set(role.permissions) else "nothing"
    query = visit.request.query_params
    return visit.redirect(
        visit.link(EDIT, visit.name, done=done, q=query.get("q"), page=query.get("page"), only=query.get("only"))
    )


async def show_role_page(
    visit: Visit, problem: Problem | None = None, *, name: str | None = None, sent: bool = False
) -> Response:
    """The page to edit a role.

    Args:
        visit: of it.
        problem: what went wrong.
        name: what was typed in place of the name; None: nothing.
        sent: whether boxes are to be ticked as the form was sent.
    """
    role = await admin.get_role(visit.auth, visit.name)
    part = read_part(visit, ("resource",), PART_SIZE)
    only = visit.request.query_params.get("only") == "held"
    pairs, total = await _part(visit, role, part, only=only)
    held, shown, ticked = set(role.permissions), set[Permission](), set[Permission]()
    if sent:
        shown, ticked = _try_pairs(visit, "shown"), _try_pairs(visit, "held")
    rows = [Row(pair, pair in held, pair in (ticked if pair in shown else held)) for pair in pairs]
    typed = role.name if name is None else name
    return visit.render(
        "role_edit.html", problem=problem, role=role, rows=rows, total=total, part=part, only=only, name=typed
    )


async def _part(visit: Visit, role: RoleInfo, part: Part, *, only: bool) -> tuple[Iterable[Permission], int]:
    if only:
        found = _held(role, part.search)
        return found[part.offset : part.offset + part.size], len(found)
    page = await admin.list_permissions(
        visit.auth, limit=part.size, offset=part.offset, order_by="resource", search=part.search
    )
    return page.items, page.total


def _held(role: RoleInfo, search: str) -> list[Permission]:
    """Those of the role that fit the search, in the order of their resources."""
    words = search.lower().split()
    found = (
        pair
        for pair in role.permissions
        if all(word in pair.action.lower() or word in pair.resource.lower() for word in words)
    )
    return sorted(found, key=lambda pair: (pair.resource, pair.action))


def _try_pairs(visit: Visit, name: str) -> set[Permission]:
    try:
        return set(_read_pairs(visit.form.texts(name)))
    except InvalidValueError:
        return set()


def _read_pairs(values: list[str]) -> Iterable[Permission]:
    for value in values:
        try:
            action, resource = json.loads(value)
        except (ValueError, TypeError, RecursionError):
            action = resource = None
        if not isinstance(action, str) or not isinstance(resource, str):
            raise InvalidValueError("the form cannot be read")
        yield Permission(action, resource)
