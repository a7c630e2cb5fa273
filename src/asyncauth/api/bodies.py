"""How much a request may send: counted as it comes, before anything reads it as JSON."""

from starlette.requests import Request
from starlette.types import Message

from asyncauth.errors import BodyTooLargeError

MAX_BODY_BYTES = 1024 * 1024
"""A role with 10,000 permissions fits."""
MAX_DIGITS = 18


def limited(request: Request, most: int = MAX_BODY_BYTES) -> Request:
    """The same request; whoever reads its body gets a BodyTooLargeError once that is longer than `most` bytes.

    Raises:
        BodyTooLargeError: it says itself that it is.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > MAX_DIGITS or int(announced) > most):
        raise _too_large(most)
    left = most

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_large(most)
        return message

    return Request(request.scope, receive)


def _too_large(most: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body is longer than {most} bytes")
