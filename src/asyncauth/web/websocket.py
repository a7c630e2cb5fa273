"""Open websockets: checked again on every message in either direction and twice a second, closed when a right is gone.

Close codes: 1008 when the caller is no longer known or may no longer (token expired or revoked, user gone or inactive,
permission taken); 1013, "try again later", when that cannot be known just now. There is no grace period on top: by then
`max_staleness_seconds` have passed, or the user had to be loaded and the database did not answer.
A handshake is refused with 401, 403 or 503 where the server has the ASGI extension `websocket.http.response`; elsewhere
it is closed before it is accepted, which servers answer with 403.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import anyio

from asyncauth.errors import AuthError, UnavailableError
from asyncauth.web.http import ASGIApp, Message, Receive, Scope, ScopeView, Send, refusal, respond

log = logging.getLogger("asyncauth.web")

RECHECK_SECONDS = 0.5
CLOSING_SECONDS = 1.0
"""How long an app that has returned waits for the close to reach a client that may not be reading."""
POLICY_VIOLATION, INTERNAL_ERROR, TRY_AGAIN_LATER = 1008, 1011, 1013  # RFC 6455 section 7.4.1 and its registry
_WATCH = "asyncauth.watch"
_DENIAL = "websocket.http.response"

Needs = Sequence[tuple[str, str]]
"""Permissions as (action, resource)."""
Recheck = Callable[[Needs], Awaitable[object]]


class WatchEndedError(OSError):
    """Raised to an app that sends on a websocket closed by its watch: ASGI wants an OSError (spec 2.4)."""


class Watch:
    """One websocket, seen between server and app. Lets everything pass until somebody calls `hold`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._recheck: Recheck | None = None
        self._needs: list[tuple[str, str]] = []
        self._waiting: set[anyio.CancelScope] = set()
        self._accepted = False
        self._over = False  # ended by the app or the client
        self._ended = False  # ended by this watch
        self._told = asyncio.Event()  # and the client told
        self._refused: AuthError | None = None

    def hold(self, recheck: Recheck) -> None:
        """From now on ask this; it raises an AuthError once the right is gone."""
        self._recheck = recheck

    def need(self, action: str, resource: str) -> None:
        """From now on ask for this permission, too."""
        self._needs.append((action, resource))

    def refuse(self, error: AuthError) -> None:
        """Give the reason of a close that follows, where a framework puts its own bare close in place of an error."""
        self._refused = error

    async def run(self, app: ASGIApp) -> None:
        """Run the app until it returns; its AuthErrors become refusals."""
        ticker = asyncio.create_task(self._tick(), name="asyncauth websocket watch")
        try:
            with suppress(WatchEndedError):
                await app(self._scope, self.receive, self.send)
            if self._ended:
                with anyio.move_on_after(CLOSING_SECONDS):
                    await self._told.wait()
        except AuthError as error:
            await self._end(error)
        finally:
            ticker.cancel()
            await asyncio.wait({ticker})

    async def receive(self) -> Message:
        """What the app gets as `receive`."""
        message: Message = {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": ""}
        if not self._ended:
            with self._interruptible():
                message = await self._receive()
            if message["type"] == "websocket.receive":
                await self._check()
        if self._ended:
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": ""}
        if message["type"] == "websocket.disconnect":
            self._over = True
        return message

    async def send(self, message: Message) -> None:
        """What the app gets as `send`."""
        if message["type"] == "websocket.send":
            await self._check()
        if message["type"] == "websocket.close" and self._refused and not self._ended:
            return await self._end(self._refused)
        if not self._ended:
            self._note(message["type"])
            with self._interruptible():
                return await self._send(message)
        raise WatchEndedError("the websocket was closed: its right is gone")

    def _note(self, kind: str) -> None:
        self._accepted |= kind == "websocket.accept"
        self._over |= kind in ("websocket.close", f"{_DENIAL}.start")

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield
            finally:
                self._waiting.discard(scope)

    async def _tick(self) -> None:
        while not self._ended and not self._over:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                await self._check()
            except Exception:  # whatever went wrong: a websocket that cannot be checked does not stay open
                log.exception("an open websocket could not be checked")
                await self._finish(lambda: self._close(INTERNAL_ERROR, "the rights could not be checked"))

    async def _check(self) -> None:
        if self._recheck is None or self._ended:
            return
        try:
            await self._recheck(self._needs)
        except AuthError as error:
            await self._end(error)

    async def _end(self, error: AuthError) -> None:
        answer = refusal(error)
        if not self._accepted and _DENIAL in (self._scope.get("extensions") or {}):
            await self._finish(lambda: respond(self._send, answer, prefix=_DENIAL))
            return
        code = TRY_AGAIN_LATER if isinstance(error, UnavailableError) else POLICY_VIOLATION
        await self._finish(lambda: self._close(code, error.public_message))

    async def _close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def _finish(self, say: Callable[[], Awaitable[None]]) -> None:
        if self._ended or self._over:
            return
        self._ended = True
        # First wake the app: to tell a client that does not read any more may take for ever.
        for scope in self._waiting:
            scope.cancel()
        with suppress(OSError):
            await say()
        self._told.set()


async def watch(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an app for one websocket under a watch."""
    scope[_WATCH] = Watch(scope, receive, send)
    await scope[_WATCH].run(app)


def find_watch(scope: ScopeView) -> Watch | None:
    """The watch of this connection; None for HTTP requests and where no middleware of ours stands around the app."""
    found: Watch | None = scope.get(_WATCH)
    return found


def note_need(scope: ScopeView, action: str, resource: str) -> None:
    """An open websocket needs this permission from here on."""
    if open_watch := find_watch(scope):
        open_watch.need(action, resource)
