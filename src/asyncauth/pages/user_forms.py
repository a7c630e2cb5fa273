"""Adding and editing users."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import UserInfo
from asyncauth.errors import AuthError, ChangedMeanwhileError
from asyncauth.pages.forms import Form
from asyncauth.pages.passwords import find_mismatch
from asyncauth.pages.problems import Problem, problem_of
from asyncauth.pages.users import READ, SHOW
from asyncauth.pages.visit import Visit

MAX_ROLES = 200
"""Boxes shown at once; a filter leads to the others."""
TEXTS = ("username", "email", "first_name", "last_name")


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the form."""

    texts: dict[str, str]
    roles: list[str]
    """That are ticked."""
    filter: str = ""
    etag: str = ""

    @classmethod
    def of_form(cls, form: Form) -> "Filled":
        """As it was sent."""
        texts = {name: form.text(name).strip() for name in TEXTS}
        return cls(texts, form.texts("roles"), form.text("role_filter").strip(), form.text("etag"))

    @classmethod
    def of_user(cls, user: UserInfo) -> "Filled":
        """As it is stored."""
        return cls({name: getattr(user, name) for name in TEXTS}, list(user.roles), "", user.etag)


async def show_add(visit: Visit) -> Response:
    """An empty form."""
    return await _add_form(visit, Filled(dict.fromkeys(TEXTS, ""), []))


async def add(visit: Visit) -> Response:
    """Make the user, or look for roles."""
    filled, problem = Filled.of_form(visit.form), None
    try:
        visit.check_form()
        if visit.form.text("do") == "filter":
            return await _add_form(visit, filled)
        problem = find_mismatch(visit.form)
        if problem is None:
            password = visit.form.text("password")
            await admin.create_user(
                visit.auth, **filled.texts, password=password, roles=filled.roles, actor=visit.actor
            )
            return visit.redirect(visit.link_if(*READ, SHOW, filled.texts["username"], done="user-made"))
    except AuthError as error:
        problem = problem_of(error)
    return await _add_form(visit, filled, problem)


async def show_edit(visit: Visit) -> Response:
    """The form with what is stored."""
    user = await admin.get_user(visit.auth, visit.name)
    return await _edit_form(visit, user, Filled.of_user(user))


async def edit(visit: Visit) -> Response:
    """Change what was changed in the form, or look for roles."""
    filled = Filled.of_form(visit.form)
    try:
        visit.check_form()
        if visit.form.text("do") == "filter":
            return await _edit_form(visit, await admin.get_user(visit.auth, visit.name), filled)
        texts: dict[str, Any] = {
            ("new_username" if name == "username" else name): text for name, text in filled.texts.items()
        }
        written = await admin.update_user(
            visit.auth, visit.name, **texts, roles=filled.roles, if_match=filled.etag, actor=visit.actor
        )
    except AuthError as error:
        user = await admin.get_user(visit.auth, visit.name)
        return await _edit_form(visit, user, filled, problem_of(error), now=isinstance(error, ChangedMeanwhileError))
    return visit.redirect(visit.link_if(*READ, SHOW, written.value.username, done="user-changed"))


async def _add_form(visit: Visit, filled: Filled, problem: Problem | None = None) -> Response:
    boxes, total = await _roles(visit, filled)
    return visit.render("user_add.html", problem=problem, filled=filled, boxes=boxes, total=total, now={})


async def _edit_form(
    visit: Visit, user: UserInfo, filled: Filled, problem: Problem | None = None, *, now: bool = False
) -> Response:
    """`now`: say beside each input that differs what is stored now, and take the form's next sending for an answer to
    that."""
    stored = Filled.of_user(user)
    differs: dict[str, str] = {}
    etag = filled.etag
    if now:
        differs = {name: text for name, text in stored.texts.items() if text != filled.texts[name]}
        if set(stored.roles) != set(filled.roles):
            differs["roles"] = ", ".join(sorted(stored.roles)) or "none"
        etag = stored.etag
    boxes, total = await _roles(visit, filled, stored.roles)
    return visit.render(
        "user_edit.html", problem=problem, user=user, filled=filled, etag=etag, boxes=boxes, total=total, now=differs
    )


async def _roles(visit: Visit, filled: Filled, held: Collection[str] = ()) -> tuple[list[str], int]:
    """The roles to be shown with a box: ticked ones, those the user holds, and others; and how many there are."""
    page = await admin.list_role_names(visit.auth, limit=MAX_ROLES, search=filled.filter)
    return sorted({*filled.roles, *held, *page.items}), page.total
