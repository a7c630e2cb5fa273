"""Forms: what a browser sent, and the proof that a page of ours asked for it.

A form carries a token: a nonce and a seal over it, over what the form is for, and over whose form it is: the login of
the cookie, or before a login a cookie of its own. So a page of somebody else's cannot send one, neither can one form's
token be used for another; and with a new nonce each time, its letters tell nothing where pages are compressed.
"""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from asyncauth.errors import ForbiddenError, InvalidValueError
from asyncauth.tokens.seals import SEAL_BYTES, Seals

MAX_BODY_BYTES = 512 * 1024
"""A page of a role's permissions with the longest names in it."""
MAX_FIELDS = 2000
TOKEN_FIELD = "form_token"
PURPOSE = b"asyncauth form"
_FORM_TYPE = "application/x-www-form-urlencoded"
_NONCE_BYTES = 16


class FormTokenError(ForbiddenError):
    """The form's token is missing, or belongs to another form or another login."""

    code = "form_token"
    public_message = "the form is out of date: look it through and send it again"


class TooLargeError(InvalidValueError):
    """The body is longer than any form of ours."""

    code = "too_large"
    status = 413


class FormTypeError(InvalidValueError):
    """The body is not that of a form."""

    code = "form_type"
    status = 415


class Form:
    """What came. A field that came twice counts once, as what it was first."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str) -> str:
        """The field; empty if it did not come."""
        return next((value for key, value in self._pairs if key == name), "")

    def texts(self, name: str) -> list[str]:
        """All values of a field that may be ticked several times, each once."""
        return list(dict.fromkeys(value for key, value in self._pairs if key == name))


async def read_form(request: Request) -> Form:
    """Read the body, as browsers send it without JavaScript.

    Raises:
        FormTypeError, TooLargeError, InvalidValueError: it is no such form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        raise FormTypeError(f"send a form as {_FORM_TYPE}")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(f"the form is longer than {MAX_BODY_BYTES} bytes")
    try:
        text = body.decode("ascii")
        return Form(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        raise InvalidValueError("the form cannot be read") from None


# ── tokens ──


def make_form_token(seals: Seals, owner: bytes, form: str) -> str:
    """A token for one form.

    Args:
        seals: ours, of this purpose.
        owner: whose form it is, see `owner_of`.
        form: what it is for.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.urlsafe_b64encode(nonce + seals.make(_content(nonce, owner, form))).decode().rstrip("=")


def check_form_token(seals: Seals, owner: bytes, form: str, token: str) -> None:
    """Refuse a form that no page of ours asked for.

    Raises:
        FormTokenError: 403.
    """
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    nonce, seal = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    if len(seal) != SEAL_BYTES or not seals.fits(seal, _content(nonce, owner, form)):
        raise FormTokenError


def owner_of(token: str) -> bytes:
    """Whose forms they are that a browser with this verified token gets: the login's, if the token names one. So they
    outlive the token where it is replaced by the login's next."""
    return hashlib.sha256(_login_id(token) or token.encode()).digest()


def _login_id(token: str) -> bytes | None:
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, IndexError, RecursionError):
        return None
    login_id = claims.get("sid") if isinstance(claims, Mapping) else None
    return f"sid {login_id}".encode() if isinstance(login_id, str) and login_id else None


def _content(nonce: bytes, owner: bytes, form: str) -> bytes:
    return nonce + owner + form.encode(errors="surrogatepass")
