"""Logging in and out."""

from contextlib import suppress

from starlette.responses import Response

from asyncauth.errors import AuthError, ClaimError, LoginError, TokenError, UnauthenticatedError
from asyncauth.pages.problems import Problem, problem_of
from asyncauth.pages.safe_next import PARAMETER
from asyncauth.pages.visit import LOGIN, Visit


async def show_login(visit: Visit) -> Response:
    """The form; who is logged in already goes on."""
    wanted = visit.request.query_params.get(PARAMETER)
    with suppress(UnauthenticatedError):
        await visit.recognize()
        return visit.redirect(visit.find_next(wanted) or visit.home)
    return _form(visit, wanted, "")


async def log_in(visit: Visit) -> Response:
    """Check name and password, hand the cookie out, go on."""
    username, password = visit.form.text("username").strip(), visit.form.text("password")
    wanted = visit.form.text(PARAMETER)
    try:
        visit.check_form()
        if not username or not password:
            empty = "username" if not username else "password"
            word = "user name" if not username else "password"
            return _form(visit, wanted, username, Problem(400, f"Type in your {word}.", empty))
        token = await visit.auth.login(username, password, visit.address)
    except LoginError as error:
        return _form(visit, wanted, username, Problem(error.status, "Wrong user name or password.", "username"))
    except AuthError as error:
        return _form(visit, wanted, username, problem_of(error))
    response = visit.redirect(visit.find_next(wanted) or visit.home)
    visit.put_login(response, token)
    return response


def _form(visit: Visit, wanted: str | None, username: str, problem: Problem | None = None) -> Response:
    visit.give_stranger()
    return visit.render("login.html", problem=problem, next=visit.find_next(wanted), username=username)


async def show_logout(visit: Visit) -> Response:
    """Asks first: any page can lead here."""
    with suppress(UnauthenticatedError):
        await visit.recognize()
        return visit.render("logout.html")
    return visit.redirect(visit.link(LOGIN))


async def log_out(visit: Visit) -> Response:
    """End the login, here at once and on other workers within the bound; then take the cookie.

    While the database is away nothing can be ended: the cookie stays, so that it can be tried again.
    """
    try:
        await visit.recognize()
    except UnauthenticatedError:
        visit.checked = True  # nobody is logged in: nothing can be done in anybody's name
    else:
        visit.check_form()
        await _end(visit)
    after = visit.site.options.after_logout_url or visit.link(LOGIN, done="logged-out")
    response = visit.redirect(after)
    visit.take_login(response)
    return response


async def _end(visit: Visit) -> None:
    with suppress(ClaimError):  # of no login that could be ended: this token alone
        await visit.auth.end_login(visit.token)
    with suppress(TokenError):  # it has expired meanwhile
        await visit.auth.revoke_token(visit.token)
