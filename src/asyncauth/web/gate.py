"""Who is it, and may they? The two questions that every adapter asks, and the middleware that leaves them a way to."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial

from asyncauth.bootstrap import get_auth_manager
from asyncauth.errors import ConfigurationError, CredentialsMissingError, ForbiddenError
from asyncauth.manager import AuthManager
from asyncauth.model import User
from asyncauth.web.cookies import SAFE_METHODS, CookiePolicy
from asyncauth.web.http import (
    CREDENTIAL_HEADERS,
    LENGTHS,
    ASGIApp,
    Headers,
    Receive,
    Scope,
    ScopeView,
    Send,
    credential_headers,
    find_bearer_token,
    find_consistency_token,
    route_path,
)
from asyncauth.web.websocket import Needs, find_watch, note_need, watch

__all__ = ["Gate", "gate_of"]

GATE = "asyncauth.gate"
"""Where a scope has it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What an app was set up with."""

    auth: AuthManager | None = None
    """None: the process-wide manager, looked up at each request."""
    cookie: CookiePolicy | None = None
    """None: cookies are off."""
    public: tuple[str, ...] = ()
    """Paths for which no credentials are looked at; one that ends in `/` means all that is below it."""
    acting: "Gate" = field(init=False, repr=False, compare=False)
    """The gate that stands in the scope: this one, but where `asyncauth.testing` has put another in its place."""

    def __post_init__(self) -> None:
        self.let_act(self)

    def let_act(self, gate: "Gate") -> None:
        """From the next request on, that gate answers in place of this one."""
        object.__setattr__(self, "acting", gate)

    @property
    def manager(self) -> AuthManager:
        """The manager to ask now."""
        return get_auth_manager() if self.auth is None else self.auth

    def is_public(self, scope: ScopeView) -> bool:
        """Whether the path is public. A path that climbs (`..`) is below nothing."""
        if not self.public:
            return False
        path = route_path(scope)
        climbs = ".." in path.split("/")
        below = (entry for entry in self.public if entry.endswith("/") and not climbs)
        return path in self.public or any(path.startswith(entry) for entry in below)

    def find_token(self, scope: ScopeView) -> str | None:
        """The token that came; None if none did. A present Authorization header decides alone.

        Raises:
            CredentialsMissingError, MalformedTokenError: the Authorization header or the cookie is not usable.
            CrossOriginError: the cookie came from somebody else's page.
        """
        return self.find_token_in(credential_headers(scope), scope)

    def find_token_in(self, headers: Headers, scope: ScopeView) -> str | None:
        """As `find_token`, where the `credential_headers` of the scope are at hand."""
        token = find_bearer_token(headers)
        if token is None and self.cookie is not None:
            token = self.cookie.find_token_in(headers, scope)
        return token

    def get_token(self, scope: ScopeView) -> str:
        """As `find_token`, but refuses when none came.

        Raises:
            CredentialsMissingError, AuthError: see there.
        """
        return self._require_token(scope)[0]

    def recall(self, scope: ScopeView) -> tuple[User, str] | None:
        """The user and the token of a usual request, in one step: the token came before and nothing has changed since.
        None says nothing: ask `find_user` or `get_user`. Whatever is unusual goes that way, with all its rules: another
        spelling, a header twice, a consistency token, a cookie with an unsafe method, a websocket, any refusal.
        """
        bearer = cookies = None
        for name, value in scope["headers"]:
            if len(name) in LENGTHS:  # the cheapest thing to ask
                if name == b"authorization" and bearer is None:
                    bearer = value
                elif name == b"cookie" and cookies is None:
                    cookies = value
                elif name != b"accept" and name.lower() in CREDENTIAL_HEADERS:
                    return None
        if scope["type"] != "http":
            return None
        if bearer is not None:
            scheme, _, text = bearer.partition(b" ")
            token = text.decode("latin-1") if scheme == b"Bearer" else ""
        elif cookies is not None and self.cookie is not None and scope["method"] in SAFE_METHODS:
            token = self.cookie.glance(cookies)
        else:
            return None
        auth = self.auth
        user = (get_auth_manager() if auth is None else auth).recall_user(token)
        return None if user is None else (user, token)

    async def find_user(self, scope: ScopeView) -> User | None:
        """Who sends this request or opens this websocket; None if no credentials came.

        Raises:
            AuthError: what came is refused (401, 403; 400: the consistency token), or cannot be judged just now (503).
        """
        headers = credential_headers(scope)
        token = self.find_token_in(headers, scope)
        return None if token is None else await self.enter(token, headers, scope)

    async def get_user(self, scope: ScopeView) -> User:
        """As `find_user`, but refuses when no credentials came.

        Raises:
            CredentialsMissingError, AuthError: see there.
        """
        token, headers = self._require_token(scope)
        return await self.enter(token, headers, scope)

    async def get_user_and_token(self, scope: ScopeView) -> tuple[User, str]:
        """As `get_user`, with the token that came.

        Raises:
            CredentialsMissingError, AuthError: see there.
        """
        token, headers = self._require_token(scope)
        return await self.enter(token, headers, scope), token

    def _require_token(self, scope: ScopeView) -> tuple[str, Headers]:
        headers = credential_headers(scope)
        token = self.find_token_in(headers, scope)
        if token is None:
            raise CredentialsMissingError
        return token, headers

    async def enter(self, token: str, headers: Headers, scope: ScopeView) -> User:
        """Who sends this request, by its token; an open websocket is asked again from here on.

        Raises:
            AuthError: as `find_user`.
        """
        manager, at_least = self.manager, find_consistency_token(headers)
        user = manager.find_user_from_token(token) if at_least is None else None
        if user is None:
            user = await manager.get_user_from_token(token, at_least=at_least)
        if open_watch := find_watch(scope):
            open_watch.hold(partial(self.admit, token))
        return user

    def require(self, scope: ScopeView | None, user: User, action: str, resource: str) -> None:
        """Refuse a user without this permission; if the scope is an open websocket's, it needs it from here on.

        Raises:
            ForbiddenError: with the reason of the decision.
        """
        auth = self.auth
        decision = (get_auth_manager() if auth is None else auth).decide(user, action, resource)
        if not decision.allowed:
            raise ForbiddenError(decision.reason)
        if scope is not None and scope["type"] == "websocket":
            note_need(scope, action, resource)

    async def admit(self, token: str, needs: Needs = ()) -> User:
        """Token in, user out, every needed permission held; from memory, unless the user has been evicted.

        Raises:
            AuthError: not admitted.
        """
        manager = self.manager
        user = manager.find_user_from_token(token)
        if user is None:
            user = await manager.get_user_from_token(token)
        for action, resource in needs:
            self.require(None, user, action, resource)
        return user


class GateMiddleware:
    """Pure ASGI: makes the gate known to what stands inside, and watches open websockets. Refuses nothing itself."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app: ASGIApp = app
        self.gate: Gate = gate

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI. No coroutine of its own: it never is the outermost app, in which servers look for one."""
        scope[GATE] = self.gate.acting
        if scope["type"] == "websocket":
            return watch(self.app, scope, receive, send)
        return self.app(scope, receive, send)


def gate_of(scope: ScopeView) -> Gate:
    """The gate of this connection.

    Raises:
        ConfigurationError: the app was never set up.
    """
    gate: Gate | None = scope.get(GATE)
    if gate is None:
        raise ConfigurationError(
            "asyncauth is not installed in this app: call install(app), or give Litestar an AuthPlugin()"
        )
    return gate


def set_gate(scope: Scope, gate: Gate) -> None:
    """Make a gate known where no middleware of ours did."""
    scope.setdefault(GATE, gate.acting)
