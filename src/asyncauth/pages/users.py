"""Lists of users, one user, and what can be done to one with a button. Adding and editing: `user_forms.py`."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import UserInfo
from asyncauth.errors import AuthError
from asyncauth.pages.lists import read_part
from asyncauth.pages.passwords import find_mismatch
from asyncauth.pages.problems import Problem, problem_of
from asyncauth.pages.visit import Visit

LIST, SHOW = "/users/list/", "/users/show/"
READ = ("can_read", "Users")
_ORDERS = ("username", "first_name", "last_name", "email", "active")
Work = Callable[[str], Awaitable[object]]
"""A change that takes the ETag of what the visitor has seen."""


async def show_users(visit: Visit) -> Response:
    """A part of the list."""
    part = read_part(visit, _ORDERS)
    page = await admin.list_users(
        visit.auth, limit=part.size, offset=part.offset, order_by=part.order, search=part.search
    )
    return visit.render("users.html", users=page.items, total=page.total, part=part)


async def show_user(visit: Visit) -> Response:
    """Everything about one."""
    return _shown(visit, await admin.get_user(visit.auth, visit.name))


async def activate(visit: Visit) -> Response:
    """Let the user log in again."""
    return await _switch(
        visit, lambda etag: admin.activate_user(visit.auth, visit.name, if_match=etag, actor=visit.actor)
    )


async def deactivate(visit: Visit) -> Response:
    """Switch the user off."""
    return await _switch(
        visit, lambda etag: admin.deactivate_user(visit.auth, visit.name, if_match=etag, actor=visit.actor), "user-off"
    )


async def _switch(visit: Visit, work: Work, done: str = "user-on") -> Response:
    try:
        visit.check_form()
        await work(visit.form.text("etag"))
    except AuthError as error:
        return _shown(visit, await admin.get_user(visit.auth, visit.name), problem_of(error))
    return visit.redirect(visit.link_if(*READ, SHOW, visit.name, done=done))


async def ask_delete(visit: Visit) -> Response:
    """Really?"""
    return visit.render("user_delete.html", user=await admin.get_user(visit.auth, visit.name))


async def delete(visit: Visit) -> Response:
    """Delete the user."""
    try:
        visit.check_form()
        await admin.delete_user(visit.auth, visit.name, if_match=visit.form.text("etag"), actor=visit.actor)
    except AuthError as error:
        user = await admin.get_user(visit.auth, visit.name)
        return visit.render("user_delete.html", problem=problem_of(error), user=user)
    return visit.redirect(visit.link_if(*READ, LIST, done="user-deleted"))


async def ask_password(visit: Visit) -> Response:
    """The form for another's password."""
    return _password(visit, await admin.get_user(visit.auth, visit.name))


async def set_password(visit: Visit) -> Response:
    """Set it."""
    problem: Problem | None = None
    try:
        visit.check_form()
        problem = find_mismatch(visit.form)
        if problem is None:
            new, etag = visit.form.text("password"), visit.form.text("etag")
            await admin.set_password(visit.auth, visit.name, new, if_match=etag, actor=visit.actor)
            return visit.redirect(visit.link_if(*READ, SHOW, visit.name, done="password-set"))
    except AuthError as error:
        problem = problem_of(error)
    return _password(visit, await admin.get_user(visit.auth, visit.name), problem)


def _shown(visit: Visit, user: UserInfo, problem: Problem | None = None) -> Response:
    return visit.render("user.html", problem=problem, user=user)


def _password(visit: Visit, user: UserInfo, problem: Problem | None = None) -> Response:
    return visit.render("user_password.html", problem=problem, user=user)
