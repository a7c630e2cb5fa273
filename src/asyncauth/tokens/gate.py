"""The strict gate: what has the form of a token, before any cryptography. Pure, and linear in the length of the text.

RFC 7515 section 3.1: three parts of base64url without padding, joined by dots; section 4 and RFC 7519 section 7.2:
header and payload are JSON objects in UTF-8. Parsers differ in what else they let pass, so nothing else does.
"""

import json
import re
from binascii import a2b_base64
from typing import Any, NamedTuple, NoReturn

from asyncauth.errors import AlgorithmError, HeaderError, MalformedTokenError, TokenTooLongError

MAX_TOKEN_BYTES = 8 * 1024
MAX_NESTING = 32
MAX_KID_LENGTH = 128
HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})
"""RFC 7515 section 4.1. All others either bring a key of their own (RFC 8725 section 3.10), ask for a different reading
(`crit`, `b64`, `zip`) or mean nothing here."""
_PART = re.compile(r"[A-Za-z0-9_-]+")
_STANDARD = str.maketrans("-_", "+/")
# RFC 4648 section 3.5: the last character of a part holds spare bits. Zero, or one signature has several spellings.
_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
# A string, to be skipped; possessive, so that no input makes it go back.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


class Opened(NamedTuple):
    """A token whose form is right, and nothing more: nobody has vouched for any of it."""

    algorithm: str
    kid: str | None
    typ: str | None
    members: dict[str, Any]
    signed: bytes
    signature: bytes


def open_token(token: str) -> Opened:
    """Take a token apart.

    Raises:
        MalformedTokenError, HeaderError, AlgorithmError: the text is no token that could be verified.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenTooLongError(f"longer than {MAX_TOKEN_BYTES} bytes")
    parts = token.split(".")
    if len(parts) != 3:
        raise MalformedTokenError("not three parts")
    head, body, tail = parts
    header = read_object(decode(head), "header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise AlgorithmError("alg is missing or not text")
    kid, typ = _text("kid", header), _text("typ", header)
    if not header.keys() <= HEADER_MEMBERS:
        raise HeaderError("the header holds a member other than alg, kid and typ")
    members = read_object(decode(body), "payload")
    return Opened(algorithm, kid, typ, members, f"{head}.{body}".encode("ascii"), decode(tail))


def decode(part: str) -> bytes:
    """Decode base64url as RFC 7515 section 2 writes it: no padding, nothing after the end, one spelling.

    Raises:
        MalformedTokenError: it is anything else.
    """
    rest = len(part) % 4
    if rest == 1 or _PART.fullmatch(part) is None or (rest and part[-1] not in _LAST[rest]):
        raise MalformedTokenError("a part is not canonical base64url")
    return a2b_base64(part.translate(_STANDARD) + "=" * (-len(part) % 4), strict_mode=True)


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object as RFC 8259 writes it, with every member once, at any depth.

    Raises:
        MalformedTokenError: it is anything else, or nested more than `MAX_NESTING` deep.
    """
    try:
        # As text, because of bytes json guesses the encoding: UTF-16 would pass, and a byte order mark.
        text = data.decode()
        if _is_deep(text):
            raise MalformedTokenError(f"the {what} is nested more than {MAX_NESTING} deep")
        members = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedTokenError(f"the {what} is not a JSON object in UTF-8 with every member once") from None
    if not isinstance(members, dict):
        raise MalformedTokenError(f"the {what} is not a JSON object")
    return members


def _text(name: str, header: dict[str, Any]) -> str | None:
    value = header.get(name)
    if value is None and name not in header:
        return None
    if not isinstance(value, str) or len(value) > MAX_KID_LENGTH:
        raise HeaderError(f"{name} is not text, or too long")
    return value


def _is_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return False
    depth = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            if depth > MAX_NESTING:
                return True
        elif character in "]}":
            depth -= 1
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 section 4: refuse duplicate members. Parsers differ in which one they keep."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constant(_: str) -> NoReturn:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError("not a JSON number")
