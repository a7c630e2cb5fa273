"""Lists of roles, one role, adding, renaming and deleting. What a role permits: `role_permissions.py`."""

from starlette.responses import Response

from asyncauth import admin
from asyncauth.errors import AuthError
from asyncauth.pages.lists import read_part
from asyncauth.pages.problems import Problem, problem_of
from asyncauth.pages.role_permissions import show_role_page
from asyncauth.pages.visit import Visit

LIST, EDIT = "/roles/list/", "/roles/edit/"


async def show_roles(visit: Visit) -> Response:
    """A part of the list."""
    part = read_part(visit, ("name",))
    page = await admin.list_roles(
        visit.auth, limit=part.size, offset=part.offset, order_by=part.order, search=part.search
    )
    return visit.render("roles.html", roles=page.items, total=page.total, part=part)


async def show_add(visit: Visit) -> Response:
    """The form."""
    return visit.render("role_add.html", name="")


async def add(visit: Visit) -> Response:
    """Make a role without permissions."""
    name = visit.form.text("name").strip()
    try:
        visit.check_form()
        await admin.create_role(visit.auth, name, actor=visit.actor)
    except AuthError as error:
        return visit.render("role_add.html", problem=problem_of(error), name=name)
    return visit.redirect(visit.link_if("can_edit", "Roles", EDIT, name, done="role-made"))


async def rename(visit: Visit) -> Response:
    """Give the role another name."""
    name = visit.form.text("name").strip()
    try:
        visit.check_form()
        etag = visit.form.text("etag")
        await admin.update_role(visit.auth, visit.name, new_name=name, if_match=etag, actor=visit.actor)
    except AuthError as error:
        return await show_role_page(visit, problem_of(error), name=name)
    return visit.redirect(visit.link(EDIT, name, done="role-changed"))


async def ask_delete(visit: Visit) -> Response:
    """Really?"""
    return await _delete_page(visit)


async def delete(visit: Visit) -> Response:
    """Delete the role."""
    try:
        visit.check_form()
        await admin.delete_role(visit.auth, visit.name, if_match=visit.form.text("etag"), actor=visit.actor)
    except AuthError as error:
        return await _delete_page(visit, problem_of(error))
    return visit.redirect(visit.link_if("can_read", "Roles", LIST, done="role-deleted"))


async def _delete_page(visit: Visit, problem: Problem | None = None) -> Response:
    return visit.render("role_delete.html", problem=problem, role=await admin.get_role(visit.auth, visit.name))
