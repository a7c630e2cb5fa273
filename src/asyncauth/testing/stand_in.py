"""`as_user`: who sends a request, said by the test.

An adapter leaves a `Gate` in the scope of each request, and all that stands inside asks that one. `as_user` lets
another gate act in its place: one whose tokens are the open blocks. So nothing of the application is replaced, no
framework is imported, and an application that nobody tests has nothing of this in it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from asyncauth.decide import decide
from asyncauth.errors import ConfigurationError, ForbiddenError, RevokedTokenError, UserInactiveError
from asyncauth.model import User
from asyncauth.web.asgi import AuthMiddleware
from asyncauth.web.gate import Gate
from asyncauth.web.http import Headers, ScopeView
from asyncauth.web.websocket import Needs, find_watch, note_need

_lock = threading.Lock()
"""Held while a block is opened or closed, or looked for; never across a wait."""
_numbers = count(1)
_open: ContextVar[tuple[str, ...]] = ContextVar("asyncauth open blocks", default=())
"""The blocks around this task, innermost last. Those of other applications, and closed ones, may be among them."""
_PARTS = ("app", "backend", "middleware_stack")
_LISTS = ("routes", "plugins")


@dataclass(frozen=True, slots=True)
class _StandIn(Gate):
    """A gate where the open blocks are the tokens."""

    blocks: dict[str, User | None] = field(default_factory=dict)

    def recall(self, scope: ScopeView) -> None:
        """Nothing: it depends on the block."""

    def find_token_in(self, headers: Headers, scope: ScopeView) -> str | None:  # noqa: ARG002 - whatever it carries
        """The innermost block around this task; elsewhere, as in a server's thread, the one opened last."""
        with _lock:
            around = [block for block in _open.get() if block in self.blocks] or list(self.blocks)
            return around[-1] if around and self.blocks[around[-1]] is not None else None

    async def enter(self, token: str, headers: Headers, scope: ScopeView) -> User:  # noqa: ARG002 - nor of what is new
        """As of any other gate."""
        user = await self.admit(token)
        if open_watch := find_watch(scope):
            open_watch.hold(partial(self.admit, token))
        return user

    async def admit(self, token: str, needs: Needs = ()) -> User:
        """The block's user, as long as it is open: so a websocket that was opened in it ends with it, soon."""
        user = self.blocks.get(token)
        if user is None:
            raise RevokedTokenError("the block of `as_user` has ended")
        if not user.active:
            raise UserInactiveError(f"user {user.username!r} is inactive")
        for action, resource in needs:
            self.require(None, user, action, resource)
        return user

    def require(self, scope: ScopeView | None, user: User, action: str, resource: str) -> None:
        """As of any other gate; no manager has to run for it."""
        decision = (decide if self.auth is None else self.auth.decide)(user, action, resource)
        if not decision:
            raise ForbiddenError(decision.reason)
        if scope is not None:
            note_need(scope, action, resource)


@contextmanager
def as_user(app: object, user: User | None) -> Iterator[User | None]:
    """Inside the block every request and websocket of this application is this user's, whatever it carries.

        with as_user(app, make_user("ada", permissions=[("can_read", "DAG:etl")])):
            assert client.get("/dags/etl").status_code == 200

    Your routes, the adapter and the decision are the real ones, so there is 403 with its reason. No manager has to run
    for it, unless your own code asks for one (`get_auth_manager`). What a handler gets as the token is made up.

    Blocks may be nested and run in several tasks and threads: a request is its own task's innermost block's, and where
    it comes from elsewhere, as in a server's thread, the one's that was opened last. At the end, however it comes,
    everything is as before.

    Args:
        app: what asyncauth was plugged into: an app of FastAPI, Starlette or Litestar, an `AuthMiddleware`, or ASGI
            middleware around one. Apps that are mounted in it are meant as well.
        user: of `make_user`, or any other; None: nobody, requests come without credentials.

    Raises:
        ConfigurationError: asyncauth was not plugged in, or Litestar's own JWTAuth finds the user.
    """
    gates = list({id(gate): gate for gate in _find_gates(app, set())}.values())
    if not gates:
        raise ConfigurationError(
            f"asyncauth is not installed in this {type(app).__name__}: as_user takes the app that install() was called "
            "on, that has the plugin AuthPlugin(), or the AuthMiddleware itself"
        )
    block = f"as_user {next(_numbers)}"
    _begin(gates, block, user)
    _open.set((*_open.get(), block))
    try:
        yield user
    finally:
        # Not ContextVar.reset: a fixture may end in another context than it began in.
        _open.set(tuple(other for other in _open.get() if other != block))
        _end(gates, block)


def _begin(gates: list[Gate], block: str, user: User | None) -> None:
    with _lock:
        for gate in gates:
            acting = gate.acting
            if not isinstance(acting, _StandIn):
                acting = _StandIn(gate.auth, gate.cookie, gate.public)
                gate.let_act(acting)
            acting.blocks[block] = user


def _end(gates: list[Gate], block: str) -> None:
    with _lock:
        for gate in gates:
            acting = gate.acting
            if isinstance(acting, _StandIn):
                acting.blocks.pop(block, None)
                if not acting.blocks:
                    gate.let_act(gate)


def _find_gates(part: Any, seen: set[int]) -> Iterator[Gate]:
    """The gates in an application: in it, in the middleware around and in it, in what is mounted in it."""
    if part is None or id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(gate := part if isinstance(part, Gate) else getattr(part, "gate", None), Gate):
        if getattr(part, "authenticate", None) is False:
            message = "Litestar's own JWTAuth finds the user here: send a token of make_token, or override JWTAuth"
            raise ConfigurationError(message)
        yield gate
    middleware = getattr(part, "user_middleware", ())  # of Starlette and FastAPI
    if any(entry.cls is AuthMiddleware for entry in middleware) and part.middleware_stack is None:
        part.middleware_stack = part.build_middleware_stack()  # as the first request would: before, there is no gate
    inner = [value for entry in middleware for value in (*entry.args, *entry.kwargs.values())]
    inner += [getattr(part, name, None) for name in _PARTS]
    inner += [one for name in _LISTS for one in getattr(part, name, None) or ()]
    for one in inner:
        yield from _find_gates(one, seen)
