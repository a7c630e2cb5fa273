"""For any ASGI app: a middleware that authenticates everything it is not told to leave alone, and health routes."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import ClassVar

from asyncauth.errors import AuthError, ClosedError
from asyncauth.manager import AuthManager
from asyncauth.model import User
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.gate import GATE, Gate, GateMiddleware
from asyncauth.web.http import (
    CLOSED,
    Answer,
    ASGIApp,
    Receive,
    Scope,
    Send,
    json_answer,
    refusal,
    respond,
    route_path,
)

__all__ = ["AuthMiddleware", "HealthApp", "JwksApp", "Requires", "health_app", "jwks_app"]

Requires = Callable[[Scope], tuple[str, str] | None]
"""From the scope of a request to (action, resource); None: any authenticated user."""
HEALTH_PATHS = ("/live", "/ready")
JWKS_PATH = "/.well-known/jwks.json"


class AuthMiddleware:
    """Pure ASGI middleware for http and websocket; lifespan passes through.

    `auth`: None for the process-wide manager, looked up at each request. `requires`: which permission a request needs.
    `public`: paths for which no credentials are looked at; one that ends in `/` means everything below it.
    `cookie`: turns cookies on. The user stands in `scope["user"]` and `scope["state"]["user"]`.

    AuthErrors of the app inside become responses, too. CORS middleware belongs around this one: a preflight request
    carries no credentials.
    """

    def __init__(
        self,
        app: ASGIApp,
        auth: AuthManager | None = None,
        *,
        requires: Requires | None = None,
        public: Collection[str] = (),
        cookie: CookiePolicy | None = None,
    ) -> None:
        self.app = app
        self.requires = requires
        self.gate: Gate = Gate(auth, cookie, tuple(public))
        self._watched = GateMiddleware(self._guarded, self.gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "websocket":
            return await self._watched(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        gate: Gate = self.gate.acting
        scope[GATE] = gate
        try:
            if not gate.public or not gate.is_public(scope):
                found = gate.recall(scope)
                self._let_in(scope, gate, await gate.get_user(scope) if found is None else found[0])
            return await self.app(scope, receive, send)
        except AuthError as error:
            # If an answer has begun, the server refuses another one, and its complaint names this error as the cause.
            return await respond(send, refusal(error))

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        gate: Gate = scope[GATE]
        if not gate.is_public(scope):
            self._let_in(scope, gate, await gate.get_user(scope))
        await self.app(scope, receive, send)

    def _let_in(self, scope: Scope, gate: Gate, user: User) -> None:
        needed = self.requires(scope) if self.requires else None
        if needed:
            gate.require(scope, user, *needed)
        scope["user"] = user
        scope.setdefault("state", {})["user"] = user


class _AnswerApp(ABC):
    """An ASGI app that answers at some paths from memory, whoever asks."""

    paths: ClassVar[Collection[str]]

    def __init__(self, auth: AuthManager | None = None) -> None:
        self._gate = Gate(auth)

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """ASGI, for http alone."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        elif scope["type"] == "http":
            await respond(send, self._answer(route_path(scope), scope["method"]))
        else:
            raise NotImplementedError(f"no {scope['type']} here")  # servers take this for "has no lifespan"

    def _answer(self, path: str, method: str) -> Answer:
        if path not in self.paths:
            return json_answer(404, "not found")
        if method not in ("GET", "HEAD"):
            return json_answer(405, "method not allowed", {"Allow": "GET, HEAD"})
        return self.answer(path)

    @abstractmethod
    def answer(self, path: str) -> Answer:
        """What is at one of the paths."""


class HealthApp(_AnswerApp):
    """See `health_app`."""

    paths: ClassVar[Collection[str]] = HEALTH_PATHS

    def answer(self, path: str) -> Answer:
        """Whether it lives, or is ready."""
        return self._ready() if path == "/ready" else json_answer(200, "ok")

    def _ready(self) -> Answer:
        try:
            manager = self._gate.manager
            reason = manager.unready()
        except ClosedError as error:
            reason = str(error)
        if reason is not None:
            return json_answer(503, reason, {"Retry-After": "1"})
        degraded = manager.status().degraded
        return json_answer(200, "ok" if degraded is None else f"degraded: {degraded}")


def health_app(auth: AuthManager | None = None) -> HealthApp:
    """An ASGI app for load balancers and orchestrators; asks for no credentials. `/live`: the process answers, 200.
    `/ready`: 200 if requests can be answered, else 503 with the reason; `degraded: …` says what has weaker bounds."""
    return HealthApp(auth)


class JwksApp(_AnswerApp):
    """See `jwks_app`."""

    paths: ClassVar[Collection[str]] = (JWKS_PATH,)

    def answer(self, _: str) -> Answer:
        """The public keys."""
        try:
            manager = self._gate.manager
            body = json.dumps(manager.public_keys(), separators=(",", ":")).encode()
        except ClosedError as error:
            return refusal(error)
        # A key signs only after two of these times, so nobody who asks again in time meets an unknown one.
        age = int(manager.settings.jwt_keys_refresh_seconds)
        headers = {"Content-Type": "application/jwk-set+json", "Content-Length": str(len(body))}
        return Answer(200, {**headers, **CLOSED, "Cache-Control": f"public, max-age={age}"}, body)


def jwks_app(auth: AuthManager | None = None) -> JwksApp:
    """An ASGI app for others who verify our tokens: `/.well-known/jwks.json` with the public keys (RFC 7517 section 5),
    asking for no credentials. Secrets are never in it; the set is empty where a secret signs."""
    return JwksApp(auth)
