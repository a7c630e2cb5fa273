"""What people do without a token: register, and replace a forgotten password. Only what the application allows."""

from typing import Any

from fastapi import APIRouter, BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response

from asyncauth import admin
from asyncauth.admin import SelfService
from asyncauth.api.parts import CHANGED, Manager, address_of, take_value
from asyncauth.api.problems import OurRoute, our_errors
from asyncauth.api.schemas import EmailBody, RegisterBody, TokenAndPasswordBody


def self_service_routes(service: SelfService) -> APIRouter:
    """The routes."""
    router = APIRouter(route_class=OurRoute)
    if service.registration:
        _add_registration(router, service)
    if service.recovery:
        _add_recovery(router, service)
    return router


def _add_registration(router: APIRouter, service: SelfService) -> None:
    @router.post("/register", status_code=202, responses=_errors(409))
    async def register(body: RegisterBody, auth: Manager, later: BackgroundTasks) -> None:
        """Ask for an account. What comes next is sent to the e-mail; the answer is the same if it has an account."""
        names = body.model_dump(exclude={"password"})
        message = await admin.register(auth, service, **names, password=body.password.get_secret_value())
        later.add_task(service.deliver, message, auth.now())

    @router.post("/register/confirm", status_code=204, responses={204: CHANGED, **_errors(409)})
    async def confirm(body: TokenAndPasswordBody, response: Response, auth: Manager) -> None:
        """Make the account: with the token that was sent, and the password that was chosen."""
        take_value(
            response, await admin.confirm_registration(auth, service, body.token, body.password.get_secret_value())
        )


def _add_recovery(router: APIRouter, service: SelfService) -> None:
    @router.post("/password/forgotten", status_code=202, responses=_errors())
    async def ask_reset(body: EmailBody, auth: Manager, later: BackgroundTasks) -> None:
        """Have a link sent that lets one choose a new password; the answer is the same if nobody has that e-mail."""
        message = await admin.ask_reset(auth, service, body.email)
        later.add_task(service.deliver, message, auth.now())

    @router.post("/password/reset", status_code=204, responses={204: CHANGED, **_errors()})
    async def reset(body: TokenAndPasswordBody, request: Request, response: Response, auth: Manager) -> None:
        """Choose a new password with the token that was sent; all tokens of the user end."""
        password = body.password.get_secret_value()
        take_value(response, await admin.reset_password(auth, body.token, password, address_of(request)))


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of what is refused where nobody has to be known."""
    return {status: words for status, words in our_errors(*statuses).items() if status not in {401, 403}}
