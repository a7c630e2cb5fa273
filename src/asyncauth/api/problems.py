"""Errors → HTTP: in FAB's form on FAB's routes, as problem details (RFC 9457) on ours."""

import json
from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from asyncauth.api.bodies import limited
from asyncauth.errors import AuthError, BodyTooLargeError, UnauthenticatedError, UnavailableError
from asyncauth.web.http import CLOSED, refusal

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
PROBLEM_TYPE = "application/problem+json"
_NO_METHOD = "Method Not Allowed"
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_MEANINGS = {
    400: "A value or a name in the request cannot be used; the detail says which.",
    401: "The credentials are missing, invalid or expired.",
    403: "The caller is known and may not do this.",
    404: "It does not exist.",
    409: "It contradicts what is stored: a name is taken, or the last administrator would go.",
    412: "It is not any more what `If-Match` says.",
    413: "The body is longer than anybody needs.",
    422: "The request has not the form that is described here.",
    429: "Too many failed logins; `Retry-After` says how many seconds to wait.",
    503: "The answer cannot be known just now; `Retry-After` says how many seconds to wait.",
}


class Detail(BaseModel):
    """What FAB's routes answer when they refuse."""

    detail: str = Field(examples=["role `Auditor` does not exist"])


class Problem(BaseModel):
    """What our routes answer when they refuse (RFC 9457)."""

    type: str = Field(examples=["urn:asyncauth:problem:not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["group `staff` does not exist"])
    errors: list[dict[str, Any]] | None = Field(default=None, description="Of a 422: what is wrong, and where.")


class _Route(APIRoute):
    """One whose answers all have `CLOSED` (of tokens: RFC 6749 section 5.1), and that knows of the other methods of its
    path: `Allow` names them all (RFC 9110 section 15.5.6)."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette's place for a method that a path does not have."""

        async def closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in CLOSED.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] in (self.methods or ()):
            await super().handle(scope, receive, closed)
        else:
            allowed = [method for method in _METHODS if _is_served({**scope, "method": method})]
            await self.refuse_method({"Allow": ", ".join(allowed)})(scope, receive, closed)

    def refuse_method(self, headers: dict[str, str]) -> Response:
        """The answer, as FAB's app gives it; routes of another form give theirs."""
        return JSONResponse({"detail": _NO_METHOD}, 405, headers)


class FabRoute(_Route):
    """A route of FAB's: errors of the form of a request never repeat what was sent."""

    def get_route_handler(self) -> Handler:
        """FastAPI's place to wrap a handler."""
        handle = super().get_route_handler()
        if self.body_field is not None:
            self.responses = {**self.responses, 413: _described(413, "application/json", Detail)}

        async def guarded(request: Request) -> Response:
            try:
                return await handle(limited(request))
            except RequestValidationError as error:
                return Response(json.dumps({"detail": _findings(error)}), 422, media_type="application/json")
            except HTTPException as error:
                raise _meant(error) from None

        return guarded


class OurRoute(_Route):
    """A route of ours: every error is a problem."""

    def get_route_handler(self) -> Handler:
        """FastAPI's place to wrap a handler."""
        handle = super().get_route_handler()
        if self.body_field is not None:
            self.responses = {**self.responses, 413: _described(413, PROBLEM_TYPE, Problem)}

        async def guarded(request: Request) -> Response:
            try:
                return await handle(limited(request))
            except AuthError as error:
                return _of_auth_error(error)
            except RequestValidationError as error:
                return _problem(422, "invalid_request", "the request has not the right form", errors=_findings(error))
            except HTTPException as error:  # FastAPI's own, of a body that is no JSON
                meant = _meant(error)
                if isinstance(meant, AuthError):
                    return _of_auth_error(meant)
                return _problem(error.status_code, "invalid_request", str(error.detail))

        return guarded

    def refuse_method(self, headers: dict[str, str]) -> Response:
        """A problem."""
        return _problem(405, "method_not_allowed", _NO_METHOD, headers)


def fab_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of these refusals on a route of FAB's, beside those of every guarded route."""
    return {status: {"model": Detail, "description": _MEANINGS[status]} for status in sorted({400, 503, *statuses})}


def guarded_fab_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The same where a token is needed."""
    return fab_errors(401, 403, *statuses)


def our_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of these refusals on a guarded route of ours."""
    every = sorted({400, 401, 403, 422, 503, *statuses})
    return {status: _described(status, PROBLEM_TYPE, Problem) for status in every}


def _is_served(scope: Scope) -> bool:
    """Whether the app has a route for this path and method."""
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].router.routes)


def _described(status: int, media_type: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": _MEANINGS[status], "content": {media_type: {"schema": model.model_json_schema()}}}


def _meant(error: HTTPException) -> Exception:
    """FastAPI turns whatever fails while it reads a body into a 400."""
    return error.__cause__ if isinstance(error.__cause__, BodyTooLargeError) else error


def _findings(error: RequestValidationError) -> list[dict[str, Any]]:
    """What is wrong and where, in FastAPI's form; without the values: one of them may be a password."""
    found: Sequence[Any] = error.errors()
    return [{"type": one["type"], "loc": list(one["loc"]), "msg": one["msg"]} for one in found]


def _of_auth_error(error: AuthError) -> Response:
    answer = refusal(error)
    # Outside, every refused token looks the same.
    general = next((kind for kind in (UnauthenticatedError, UnavailableError) if isinstance(error, kind)), type(error))
    headers = {name: text for name, text in answer.headers.items() if name in {"WWW-Authenticate", "Retry-After"}}
    return _problem(answer.status, general.code, json.loads(answer.body)["detail"], headers)


def _problem(
    status: int, code: str, detail: str, headers: dict[str, str] | None = None, *, errors: list[Any] | None = None
) -> Response:
    content = {"type": f"urn:asyncauth:problem:{code}", "title": HTTPStatus(status).phrase, "status": status}
    content |= {"detail": detail} | ({} if errors is None else {"errors": errors})
    return Response(json.dumps(content, separators=(",", ":")), status, headers, media_type=PROBLEM_TYPE)
