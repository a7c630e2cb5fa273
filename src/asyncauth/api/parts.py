"""What handlers share: who asks, which page, what is expected to be there, and what goes back in headers."""

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Query
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from asyncauth.admin import Actor
from asyncauth.errors import InvalidValueError
from asyncauth.manager import AuthManager
from asyncauth.model import User, Written
from asyncauth.web.fastapi import CurrentUser, requires
from asyncauth.web.gate import gate_of
from asyncauth.web.http import CONSISTENCY_HEADER

log = logging.getLogger("asyncauth.api")
T = TypeVar("T")
MAX_LIMIT, DEFAULT_LIMIT, LIMIT_OF_ZERO = 100, 100, 50
"""Airflow's `[api] maximum_page_limit`, FAB's default, and Airflow's `[api] fallback_page_limit`."""
_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
CHANGED = {
    "headers": {
        CONSISTENCY_HEADER.decode().title(): {
            "description": "Send it with later requests: whichever worker answers knows of this change.",
            "schema": {"type": "string"},
        }
    }
}
"""OpenAPI: what an answer to a change brings."""
_ETAG = {"ETag": {"description": "Send it as `If-Match` with a change.", "schema": {"type": "string"}}}
READ_ONE = {"headers": _ETAG}
CHANGED_ONE = {"headers": {**CHANGED["headers"], **_ETAG}}


# ── who asks ──


def _manager(request: Request) -> AuthManager:
    return gate_of(request.scope).manager


async def _find_manager(request: Request) -> AuthManager:
    return _manager(request)


Manager = Annotated[AuthManager, Depends(_find_manager)]
"""Type of a parameter: the manager that answers."""


def address_of(request: Request) -> str | None:
    """Where the request comes from, as the server sees it: headers of proxies count only if the server trusts them."""
    return request.client.host if request.client is not None else None


def _refuse_repeated(request: Request) -> None:
    """No parameter of ours is a list: of two values one would be left unread, and a proxy or a log may have read that.

    Raises:
        RequestValidationError: one stands in the query twice (422).
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if len(names) > len(request.query_params):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise RequestValidationError(
            [{"type": "repeated", "loc": ("query", name), "msg": "Input should be given once"} for name in repeated]
        )


def acting(action: str, resource: str) -> Any:
    """A dependency that lets only users in who may do `action` on `resource`, and gives who asks for the change."""
    allowed = Depends(requires(action, resource))

    async def actor(request: Request, user: Annotated[User, allowed]) -> Actor:
        _refuse_repeated(request)
        return Actor.of(user, address_of(request))

    return Depends(actor)


async def _self(request: Request, user: CurrentUser) -> tuple[User, Actor]:
    _refuse_repeated(request)
    return user, Actor.of(user, address_of(request))


Myself = Annotated[tuple[User, Actor], Depends(_self)]
"""Type of a parameter: the user of this request, without asking for a permission."""
Name = Annotated[str, Path(min_length=1)]


# ── pages ──


async def _limit(limit: Annotated[int, Query(ge=0, description=f"At most {MAX_LIMIT}.")] = DEFAULT_LIMIT) -> int:
    if limit > MAX_LIMIT:
        log.warning("a limit above %d was asked for and cut", MAX_LIMIT)
    return min(limit, MAX_LIMIT) or LIMIT_OF_ZERO


Limit = Annotated[int, Depends(_limit)]
Offset = Annotated[int, Query(ge=0, description="How many to leave out at the beginning.")]
OrderBy = Annotated[str, Query(description="What to order by; `-` in front turns it round.")]


def require_order(order_by: str, allowed: Collection[str]) -> str:
    """What FAB lets a list be ordered by, where use cases know more. Raises InvalidValueError."""
    if order_by.lstrip("-") not in allowed:
        words = f"Ordering with '{order_by}' is disallowed or the attribute does not exist on the model"
        raise InvalidValueError(words)
    return order_by


# ── what is expected ──


IfMatch = Annotated[str | None, Header(description="The ETag of what was read; the change is refused if it differs.")]


async def expected(if_match: str | None, read: Callable[[], Awaitable[str]]) -> str | None:
    """The one ETag that a use case may compare; None: any. Weak ones match nothing (RFC 9110 section 13.1.1).

    Args:
        if_match: the header.
        read: the ETag that is there now; asked only if the header names several.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    strong = [tag for weak, tag in _ENTITY_TAG.findall(if_match) if not weak]
    if len(strong) < 2:
        return strong[0] if strong else ""
    now = await read()
    return now if now in strong else strong[0]


def parse_mask(mask: str) -> set[str]:
    """The names in an `update_mask`."""
    return {name.strip() for name in mask.split(",") if name.strip()}


def quote(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(repr(name) for name in sorted(names))


# ── what goes back ──


def put_etag(response: Response, etag: str) -> None:
    """The header."""
    response.headers["ETag"] = f'"{etag}"'


def take_value(response: Response, written: Written[T]) -> T:
    """The outcome of a change; its consistency token goes into the header."""
    response.headers[CONSISTENCY_HEADER.decode()] = written.token
    return written.value
