"""API keys, for machines: `ak_<id>_<secret>`, where the secret is 256 random bits in base64url (RFC 4648 section 5).

So much randomness needs no slow hash: the database holds an HMAC of the secret, under a key that it does not hold.
"""

import hmac
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from asyncauth.errors import ApiKeyError
from asyncauth.model import Permission, PermissionKey, Role, User, is_storable, permission_key

PREFIX = "ak_"
_FORM = re.compile(PREFIX + r"([1-9][0-9]{0,18})_([A-Za-z0-9_-]{43})", re.ASCII)
_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the database knows of a key. Times in seconds since the epoch."""

    id: int
    user_id: int
    """The owner."""
    digest: bytes = field(repr=False)
    scope: frozenset[PermissionKey] | None = field(repr=False)
    """To what the owner's permissions are narrowed; None: to nothing less."""
    created_at: int
    expires_at: int | None
    revoked_at: int | None


def make_secret() -> str:
    """A new secret: 256 random bits, 43 characters."""
    return secrets.token_urlsafe(32)


def join_key(key_id: int, secret: str) -> str:
    """The text that a machine sends."""
    return f"{PREFIX}{key_id}_{secret}"


def is_api_key(token: object) -> TypeGuard[str]:
    """Whether it begins like one. No JWT does: this is not base64url of a JSON object."""
    return type(token) is str and token.startswith(PREFIX)


def split_key(text: str) -> tuple[int, str]:
    """The id and the secret.

    Raises:
        ApiKeyError: it is not of the one form.
    """
    found = _FORM.fullmatch(text)
    if found is None or int(found[1]) > _LAST_ID:
        raise ApiKeyError("not an API key: ak_, an id, _ and 43 characters of base64url")
    return int(found[1]), found[2]


def digest_secret(key: bytes, secret: str) -> bytes:
    """What the database holds, as hexadecimal digits, in place of the secret: HMAC-SHA256 under `api_key_secret`."""
    return hmac.digest(key, secret.encode(), "sha256")


def write_scope(pairs: Iterable[Permission]) -> str:
    """A scope as the database holds it: a JSON array of [action, resource]."""
    return json.dumps([[pair.action, pair.resource] for pair in pairs], separators=(",", ":"))


def read_scope(text: str) -> frozenset[Permission]:
    """A scope that the database holds.

    Raises:
        ValueError: somebody wrote something else there; such a key may nothing.
    """
    pairs = json.loads(text)
    if not isinstance(pairs, list):
        raise ValueError("a scope is a list")  # noqa: TRY004
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(name) is str for name in pair):
            raise ValueError("a scope holds pairs of names")
    return frozenset(Permission(action, resource) for action, resource in pairs)


def scope_keys(scope: Iterable[Permission]) -> frozenset[PermissionKey]:
    """The same as permission keys. A name that cannot be part of a stored one names nothing."""
    return frozenset(
        permission_key(pair.action, pair.resource)
        for pair in scope
        if is_storable(pair.action) and is_storable(pair.resource)
    )


def narrow(owner: User, key: ApiKey) -> User:
    """The owner as the key may act: with the same roles, but for the permissions that the scope leaves out."""
    scope, roles = key.scope, owner.roles
    if scope is not None:
        roles = tuple(Role(role.id, role.name, role.keys & scope) for role in roles)
    return replace(owner, roles=roles, scope=scope, api_key_id=key.id)
