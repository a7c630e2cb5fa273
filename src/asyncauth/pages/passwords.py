"""Setting passwords: one's own, which asks for the present one, and those of others."""

from starlette.responses import Response

from asyncauth import admin
from asyncauth.errors import AuthError, LoginError
from asyncauth.pages.forms import Form
from asyncauth.pages.problems import Problem, problem_of
from asyncauth.pages.visit import LOGIN, Visit


async def show_own(visit: Visit) -> Response:
    """The form."""
    return _own(visit)


async def set_own(visit: Visit) -> Response:
    """Check the present password as a login does, so that guessing is limited in the same way; then set the new one,
    which ends every login, and log in with it."""
    user, present, new = visit.known_user, visit.form.text("present"), visit.form.text("password")
    try:
        visit.check_form()
        if found := _missing_present(present) or find_mismatch(visit.form):
            return _own(visit, found)
        await visit.auth.login(user.username, present, visit.address)
        await admin.set_password(visit.auth, user.username, new, actor=visit.actor)
    except LoginError:
        return _own(visit, Problem(400, "This is not your present password.", "present"))
    except AuthError as error:
        return _own(visit, problem_of(error))
    try:
        token = await visit.auth.login(user.username, new, visit.address)
    except AuthError:  # the password is changed all the same
        response = visit.redirect(visit.link(LOGIN, done="own-password-login"))
        visit.take_login(response)
        return response
    response = visit.redirect(visit.link("/", done="own-password"))
    visit.put_login(response, token)
    return response


def find_mismatch(form: Form) -> Problem | None:
    """What is wrong with a new password that was typed twice; None: nothing that could be told without asking."""
    new, again = form.text("password"), form.text("password_again")
    if not new:
        return Problem(400, "Type in the new password.", "password")
    if new != again:
        return Problem(400, "The two new passwords differ.", "password_again")
    return None


def _missing_present(present: str) -> Problem | None:
    return None if present else Problem(400, "Type in your present password.", "present")


def _own(visit: Visit, problem: Problem | None = None) -> Response:
    return visit.render("own_password.html", problem=problem)
