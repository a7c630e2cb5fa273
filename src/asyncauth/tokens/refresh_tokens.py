"""Refresh tokens: `rt_` and 256 random bits in base64url (RFC 4648 section 5). The database holds a hash.

So much randomness needs neither salt nor a slow hash: nobody can try them out.
"""

import hashlib
import re
import secrets
from typing import TypeGuard

from asyncauth.errors import RefreshTokenError

PREFIX = "rt_"
_FORM = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)


def make_refresh_token() -> str:
    """A new one."""
    return PREFIX + secrets.token_urlsafe(32)


def is_refresh_token(token: object) -> TypeGuard[str]:
    """Whether it begins like one. No JWT does: this is not base64url of a JSON object."""
    return type(token) is str and token.startswith(PREFIX)


def hash_refresh_token(token: object) -> str:
    """What the database holds in its place: SHA-256 in hexadecimal digits.

    Raises:
        RefreshTokenError: it is not of the one form.
    """
    if type(token) is not str or _FORM.fullmatch(token) is None:
        raise RefreshTokenError("not a refresh token: rt_ and 43 characters of base64url")
    return hashlib.sha256(token.encode()).hexdigest()
