"""Pages for those who have no login yet, or not any more: only what the application allows."""

from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import Message, SelfService
from asyncauth.errors import AuthError, ConfigurationError
from asyncauth.pages.passwords import find_mismatch
from asyncauth.pages.problems import Problem, problem_of
from asyncauth.pages.user_forms import TEXTS
from asyncauth.pages.visit import LOGIN, Visit


async def show_register(visit: Visit) -> Response:
    """An empty form."""
    return _form(visit, "register.html", texts=dict.fromkeys(TEXTS, ""))


async def register(visit: Visit) -> Response:
    """Keep it until the e-mail is confirmed."""
    texts = {name: visit.form.text(name).strip() for name in TEXTS}
    try:
        visit.check_form()
        problem = find_mismatch(visit.form)
        if problem is None:
            service, password = _service(visit), visit.form.text("password")
            message = await admin.register(visit.auth, service, **texts, password=password)
            return _sent(visit, service, message)
    except AuthError as error:
        problem = problem_of(error)
    return _form(visit, "register.html", problem, texts=texts)


async def show_confirm(visit: Visit) -> Response:
    """Asks for the password: whoever follows a link has done nothing yet."""
    return _form(visit, "register_confirm.html")


async def confirm(visit: Visit) -> Response:
    """Make the user."""
    try:
        visit.check_form()
        await admin.confirm_registration(visit.auth, _service(visit), visit.name, visit.form.text("password"))
    except AuthError as error:
        return _form(visit, "register_confirm.html", problem_of(error))
    return visit.redirect(visit.link(LOGIN, done="registered"))


async def show_forgotten(visit: Visit) -> Response:
    """Asks for the e-mail."""
    return _form(visit, "forgotten.html", email="")


async def forgotten(visit: Visit) -> Response:
    """Send a link, if somebody has that e-mail; tell the same in any case."""
    email, service = visit.form.text("email").strip(), _service(visit)
    try:
        visit.check_form()
        if not email:
            return _form(visit, "forgotten.html", Problem(400, "Type in your e-mail.", "email"), email=email)
        return _sent(visit, service, await admin.ask_reset(visit.auth, service, email))
    except AuthError as error:
        return _form(visit, "forgotten.html", problem_of(error), email=email)


async def show_reset(visit: Visit) -> Response:
    """The form for a new password."""
    return _form(visit, "reset.html")


async def reset(visit: Visit) -> Response:
    """Set it."""
    try:
        visit.check_form()
        problem = find_mismatch(visit.form)
        if problem is None:
            await admin.reset_password(visit.auth, visit.name, visit.form.text("password"), visit.address)
            return visit.redirect(visit.link(LOGIN, done="own-password-login"))
    except AuthError as error:
        problem = problem_of(error)
    return _form(visit, "reset.html", problem)


def _service(visit: Visit) -> SelfService:
    service = visit.site.options.self_service
    if service is None:
        raise ConfigurationError("self-service is off")
    return service


def _form(visit: Visit, template: str, problem: Problem | None = None, **values: Any) -> Response:
    visit.give_stranger()
    return visit.render(template, problem=problem, **values)


def _sent(visit: Visit, service: SelfService, message: Message | None) -> Response:
    response = visit.render("sent.html")
    response.background = BackgroundTask(service.deliver, message, visit.auth.now())
    return response
