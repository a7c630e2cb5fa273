"""The pages by their paths, which are those of FAB, and the frame in which each request for one is answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from asyncauth.admin.self_service import CONFIRM_PATH, RESET_PATH
from asyncauth.errors import AuthError, UnauthenticatedError
from asyncauth.pages import front, login, passwords, role_permissions, roles, self_service, user_forms, users
from asyncauth.pages.areas import OWN_PASSWORD
from asyncauth.pages.forms import read_form
from asyncauth.pages.options import PageOptions
from asyncauth.pages.problems import page_title, problem_of
from asyncauth.pages.render import STATIC, get_renderer
from asyncauth.pages.visit import LOGIN, LOGOUT, Handler, Site, Visit
from asyncauth.web.cookies import check_same_origin

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What is at a path. `/users/edit/` stands for that of each user, whose name follows."""

    path: str
    get: Handler | None = None
    post: Handler | None = None
    reads: Pairs = ()
    """(action, resource) pairs of which a visitor needs one; none: it is enough to be logged in."""
    writes: Pairs = ()
    named: bool = False
    """Whether a name follows the path."""
    open: bool = False
    """Whether it is for those, too, who are not logged in: the handler finds out itself."""


_ADD_USERS, _READ_USERS, _EDIT_USERS, _DELETE_USERS, _ADD_ROLES, _READ_ROLES, _EDIT_ROLES, _DELETE_ROLES = (
    ((f"can_{what}", resource),) for resource in ("Users", "Roles") for what in ("create", "read", "edit", "delete")
)
_SET_PASSWORDS = (*_EDIT_USERS, ("can_edit", "Passwords"))
PAGES = (
    Page("/", front.show_front),
    Page(LOGIN, login.show_login, login.log_in, open=True),
    Page(LOGOUT, login.show_logout, login.log_out, open=True),
    Page(
        OWN_PASSWORD,
        passwords.show_own,
        passwords.set_own,
        reads=(("can_read", "My Password"),),
        writes=(("can_edit", "My Password"),),
    ),
    Page("/users/list/", users.show_users, reads=_READ_USERS),
    Page("/users/show/", users.show_user, reads=_READ_USERS, named=True),
    Page("/users/add", user_forms.show_add, user_forms.add, _ADD_USERS, _ADD_USERS),
    Page("/users/edit/", user_forms.show_edit, user_forms.edit, _EDIT_USERS, _EDIT_USERS, named=True),
    Page("/users/password/", users.ask_password, users.set_password, _SET_PASSWORDS, _SET_PASSWORDS, named=True),
    Page("/users/activate/", post=users.activate, writes=_EDIT_USERS, named=True),
    Page("/users/deactivate/", post=users.deactivate, writes=_EDIT_USERS, named=True),
    Page("/users/delete/", users.ask_delete, users.delete, _DELETE_USERS, _DELETE_USERS, named=True),
    Page("/roles/list/", roles.show_roles, reads=_READ_ROLES),
    Page("/roles/show/", role_permissions.show_role, reads=_READ_ROLES, named=True),
    Page("/roles/add", roles.show_add, roles.add, _ADD_ROLES, _ADD_ROLES),
    Page("/roles/edit/", role_permissions.show_edit, role_permissions.edit, _EDIT_ROLES, _EDIT_ROLES, named=True),
    Page("/roles/rename/", post=roles.rename, writes=_EDIT_ROLES, named=True),
    Page("/roles/delete/", roles.ask_delete, roles.delete, _DELETE_ROLES, _DELETE_ROLES, named=True),
)
"""Guarded as FAB's pages are, and its REST routes; another's password as either of the two."""


REGISTRATION = (
    Page("/register/form", self_service.show_register, self_service.register, open=True),
    Page(CONFIRM_PATH, self_service.show_confirm, self_service.confirm, named=True, open=True),
)
RECOVERY = (
    Page("/forgottenpassword/form", self_service.show_forgotten, self_service.forgotten, open=True),
    Page(RESET_PATH, self_service.show_reset, self_service.reset, named=True, open=True),
)


def page_routes(options: PageOptions | None = None) -> list[BaseRoute]:
    """Routes for an app in which `asyncauth.web.fastapi.install` or `asyncauth.web.starlette.install` ran with a
    `cookie`; with the latter their paths belong into its `public`, since the pages look at credentials themselves.

    Reads templates: to be called when the app is put together. `options`: None for the defaults.

    Raises:
        ConfigurationError: at the first request: the app has no cookies, or asyncauth is not installed in it.
    """
    options = options if options is not None else PageOptions()
    site = Site(options, get_renderer())

    routes: list[BaseRoute] = [Route(f"{options.prefix}{path}", _static(site, path)) for path in STATIC]
    for page in _pages(options):
        methods = [method for method, handler in (("GET", page.get), ("POST", page.post)) if handler is not None]
        path = f"{options.prefix}{page.path}" + ("{name:path}" if page.named else "")
        routes.append(Route(path, _endpoint(site, page), methods=methods))
    return routes


def _pages(options: PageOptions) -> tuple[Page, ...]:
    service = options.self_service
    if service is None:
        return PAGES
    return (*PAGES, *(REGISTRATION if service.registration else ()), *(RECOVERY if service.recovery else ()))


def _static(site: Site, path: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return site.renderer.static(path)

    return answer


def _endpoint(site: Site, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        visit = Visit.begin(site, request, page.path)
        try:
            if request.method == "POST":
                return await _take(visit, page)
            return await _show(visit, page)
        except AuthError as error:
            return _refuse(visit, error)

    return answer


async def _show(visit: Visit, page: Page) -> Response:
    assert page.get is not None  # noqa: S101 - the route has no such method otherwise
    if not page.open:
        await visit.recognize()
        visit.require_any(*page.reads)
    return await page.get(visit)


async def _take(visit: Visit, page: Page) -> Response:
    """A form: from a page of this site, of a known size, by somebody who may."""
    assert page.post is not None  # noqa: S101
    check_same_origin(visit.request.scope, visit.cookie.origins)
    if not page.open:
        await visit.recognize()
        visit.require_any(*page.writes)
    visit.form = await read_form(visit.request)
    response = await page.post(visit)
    if not visit.checked:
        raise RuntimeError(f"the handler of {page.path} never checked the form's token")
    return response


def _refuse(visit: Visit, error: AuthError) -> Response:
    """A page that is nothing but the error; who reads and is not logged in is asked to."""
    if isinstance(error, UnauthenticatedError) and visit.request.method in {"GET", "HEAD"}:
        return visit.redirect(visit.login_link())
    return visit.render("error.html", problem=problem_of(error), heading=page_title(error))
