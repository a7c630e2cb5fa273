"""Around core's app: an outage is 503, and who has not logged in may hold the public role. Pure ASGI."""

from collections.abc import Awaitable, Callable

from airflow.api_fastapi.core_api.security import USER_INJECTED_BY_TRUSTED_MIDDLEWARE

from asyncauth.airflow.user import AirflowUser
from asyncauth.errors import AuthError
from asyncauth.web.http import ASGIApp, Message, Receive, Scope, Send, header_values, refusal, respond

COOKIE = "_token"
"""Core's name for the cookie that holds the token."""


class RefusalMiddleware:
    """What asyncauth raises inside becomes its own status, 503 with Retry-After above all.

    Core answers *any* HTTPException raised for a cookie by deleting the cookie: an outage would log every browser out.
    So `get_user_from_token` raises our own error, which core lets pass, and the answer is made here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except AuthError as error:
            if started:
                raise
            await respond(send, refusal(error))


class PublicRoleMiddleware:
    """Gives requests without credentials to the public role. An invalid token is not "without".

    Args:
        find_user: the public user as known now.
    """

    def __init__(self, app: ASGIApp, find_user: Callable[[], Awaitable[AirflowUser]]) -> None:
        self.app = app
        self.find_user = find_user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in {"http", "websocket"} and not _has_credentials(scope):
            state = scope.setdefault("state", {})
            state["user"] = await self.find_user()
            state["user_authenticated_via"] = USER_INJECTED_BY_TRUSTED_MIDDLEWARE
        await self.app(scope, receive, send)


def _has_credentials(scope: Scope) -> bool:
    if any(header_values(scope, b"authorization")):
        return True
    pairs = b";".join(header_values(scope, b"cookie")).decode("latin-1").split(";")
    split = (pair.partition("=") for pair in pairs)
    return any(name.strip() == COOKIE and value.strip() for name, _, value in split)
