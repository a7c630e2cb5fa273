"""What HTTP says about authentication, once for all adapters: credentials in, refusals out. Imports no framework."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from asyncauth.errors import (
    AuthError,
    ClosedError,
    CredentialsMissingError,
    MalformedTokenError,
    TokenError,
    TooManyAttemptsError,
    UnauthenticatedError,
    UnavailableError,
    UserInactiveError,
    UserNotFoundError,
)

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send"]

log = logging.getLogger("asyncauth.web")

Scope = MutableMapping[str, Any]
ScopeView = Mapping[str, Any]
"""A scope to read from."""
Headers = Mapping[bytes, list[bytes]]
"""Names in lower case → every value, in order."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

CONSISTENCY_HEADER = b"x-consistency-token"
"""Request header with the token of a change that must be known before the request is answered."""
CLOSED = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer that is data: no cache keeps it, and no browser takes it for a page, a script or a frame."""
CREDENTIAL_HEADERS = frozenset({b"authorization", b"cookie", CONSISTENCY_HEADER})
"""Names of what can say who sends a request, or from when on an answer counts."""
LENGTHS = frozenset(map(len, CREDENTIAL_HEADERS))
"""Of their names."""
PRESENTED = (TokenError, UserNotFoundError, UserInactiveError)
"""Refusals of a token that came; only these are called `invalid_token` (RFC 6750 section 3.1)."""


class Answer(NamedTuple):
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes


def json_answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Answer:
    """A response with `CLOSED`, and `{"detail": …}` as its body."""
    body = json.dumps({"detail": detail}, separators=(",", ":")).encode()
    fixed = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return Answer(status, {**fixed, **CLOSED, **(headers or {})}, body)


def refusal(error: AuthError) -> Answer:
    """Put an error into HTTP. The only place that does.

    Outside, every refused token looks the same; which error it was goes to the log.

    Raises:
        AuthError: `error` itself, where it is no answer to a caller but a mistake on the server (status 500).
    """
    if error.status == 500:
        raise error
    # Whoever forgot to start a manager would else see nothing but 503.
    level = logging.WARNING if isinstance(error, ClosedError) else logging.INFO
    log.log(level, "%d %s: %r", error.status, error.code, str(error))
    if isinstance(error, UnauthenticatedError):
        challenge = 'Bearer error="invalid_token"' if isinstance(error, PRESENTED) else "Bearer"
        return json_answer(error.status, error.public_message, {"WWW-Authenticate": challenge})
    if isinstance(error, UnavailableError | TooManyAttemptsError):
        return json_answer(error.status, error.public_message, {"Retry-After": str(error.retry_after_seconds)})
    # What is left, ForbiddenError and ChangeError, explains itself to a caller who is known.
    return json_answer(error.status, str(error))


async def respond(send: Send, answer: Answer, *, prefix: str = "http.response") -> None:
    """Send a whole response. `prefix="websocket.http.response"`: the ASGI extension for refused handshakes."""
    headers = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in answer.headers.items()]
    await send({"type": f"{prefix}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": answer.body})


def header_values(scope: ScopeView, name: bytes) -> list[bytes]:
    """Every value of a header, in order. `name` in lower case."""
    return [value for key, value in scope["headers"] if key.lower() == name]


def credential_headers(scope: ScopeView) -> Headers:
    """What can say who sends a request, and little else. A request brings a dozen headers: they are gone through once,
    and the length of a name is the cheapest thing to ask."""
    found: dict[bytes, list[bytes]] = {}
    for key, value in scope["headers"]:
        if len(key) in LENGTHS:
            found.setdefault(key.lower(), []).append(value)
    return found


def find_bearer_token(headers: Headers) -> str | None:
    """The token of the Authorization header; None if there is no such header.

    Raises:
        CredentialsMissingError: the header holds another scheme, or no token.
        MalformedTokenError: there are two such headers, or the token is not ASCII.
    """
    values = headers.get(b"authorization")
    if not values:
        return None
    if len(values) > 1:
        raise MalformedTokenError("more than one Authorization header")
    scheme, _, token = values[0].strip().partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token:
        raise CredentialsMissingError("the Authorization header holds no bearer token")
    try:
        return token.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedTokenError("the token is not ASCII") from None


def find_consistency_token(headers: Headers) -> str | None:
    """What the header holds, whatever that is: it is judged only once its sender is known. None if there is none."""
    values = headers.get(CONSISTENCY_HEADER)
    return b",".join(values).decode("latin-1") if values else None


def route_path(scope: ScopeView) -> str:
    """The path below the place where the app is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
