"""API keys of machines. A key is shown once, when it is made: the database holds a hash of its secret."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from asyncauth.admin.change import Actor, Change, change
from asyncauth.admin.held import check_user
from asyncauth.admin.names import get_user_id, validate
from asyncauth.db.tables import api_keys, cutoffs, users
from asyncauth.errors import ConfigurationError, InvalidValueError, NotFoundError
from asyncauth.manager import AuthManager
from asyncauth.model import Permission, Written
from asyncauth.tokens.api_keys import digest_secret, join_key, make_secret, read_scope, write_scope
from asyncauth.tokens.cutoffs import DELETED

MAX_SCOPES_BYTES = 60_000
"""What TEXT holds on MariaDB and MySQL is 65,535."""
_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made."""

    id: int
    text: str = field(repr=False)
    """What the machine sends in place of a token. It cannot be had again."""


@dataclass(frozen=True, slots=True)
class ApiKeyInfo:
    """What may be told about a key. Times in seconds since the epoch."""

    id: int
    username: str | None
    """The owner; None: gone."""
    name: str
    scopes: tuple[Permission, ...] | None
    """None: all that the owner may; empty: nothing."""
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    """Written now and then: it may lag by `trigger_check_seconds`."""


async def create_api_key(
    auth: AuthManager,
    *,
    username: str,
    name: str,
    scopes: Iterable[tuple[str, str]] | None = None,
    expires_at: int | None = None,
    actor: Actor | None = None,
) -> Written[NewApiKey]:
    """Make a key with which a machine acts as this user.

    Args:
        auth: the manager.
        username: the owner, in any case.
        name: what the key is for, in words.
        scopes: (action, resource) pairs to which the owner's permissions are narrowed; they add none. None: all.
        expires_at: from when on it is refused, in seconds since the epoch; None: it does not expire.
        actor: who asks; None: the system.

    Raises:
        ConfigurationError: `api_key_secret` is not set.
        InvalidValueError: a name cannot be stored, there are too many scopes, or the expiry has passed.
        NotFoundError: the user does not exist.
        EscalationError: the user holds more than the actor.
        UnavailableError: the database did not answer.
    """
    if auth.settings.api_key_secret is None:
        raise ConfigurationError("API keys are off: set api_key_secret (ASYNCAUTH_API_KEY_SECRET)")
    validate("the name of the key", name, 100)
    scope_text = None if scopes is None else _write_scopes(scopes)
    now = int(auth.now())
    if expires_at is not None and not now < expires_at <= _LAST_ID:
        raise InvalidValueError("the expiry of the key has passed, or is not a time")
    secret = make_secret()
    digest = digest_secret(auth.settings.api_key_secret.encode(), secret)

    async def work(step: Change) -> int:
        connection = step.connection
        user_id = await get_user_id(connection, username)
        await check_user(step, user_id, username)
        # After the cut-off of a former user of this id, whose keys are refused.
        of_former = select(func.max(cutoffs.c.at)).where(cutoffs.c.user_id == user_id, cutoffs.c.reason == DELETED)
        deleted_at = await connection.scalar(of_former)
        values = {
            "user_id": user_id,
            "name": name,
            "hash": digest.hex(),
            "scopes": scope_text,
            "created_at": now if deleted_at is None else max(now, deleted_at + 1),
            "expires_at": expires_at,
        }
        result = await connection.execute(insert(api_keys).values(values))
        key_id = cast("tuple[int]", result.inserted_primary_key)[0]
        content = {"owner": username, "scopes": scope_text and json.loads(scope_text), "expires_at": expires_at}
        await step.record("create", "api_key", key_id, name, after=content)
        return key_id

    written = await change(auth, actor, work)
    return Written(NewApiKey(written.value, join_key(written.value, secret)), written.token)


async def list_api_keys(auth: AuthManager, *, username: str | None = None) -> list[ApiKeyInfo]:
    """All keys, or those of one user, the oldest first, revoked and expired ones included.

    Raises:
        NotFoundError: the user does not exist.
        UnavailableError: the database did not answer.
    """
    columns = [column for column in api_keys.columns if column not in (api_keys.c.user_id, api_keys.c.hash)]
    every = select(users.c.username, *columns).join_from(
        api_keys, users, users.c.id == api_keys.c.user_id, isouter=True
    )

    async def work(session: AsyncSession) -> "Sequence[Row[Any]]":
        statement = every.order_by(api_keys.c.id)
        if username is not None:
            user_id = await get_user_id(await session.connection(), username)
            statement = statement.where(api_keys.c.user_id == user_id)
        return (await session.execute(statement)).all()

    return [
        ApiKeyInfo(
            id=row.id,
            username=row.username,
            name=row.name,
            scopes=None if row.scopes is None else _read_scopes(row.scopes),
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )
        for row in await auth.read(work)
    ]


async def revoke_api_key(auth: AuthManager, *, key_id: int, actor: Actor | None = None) -> Written[None]:
    """End a key: here at once, on other workers within the bound. Doing it twice is no error.

    Raises:
        NotFoundError: there is no key of this id.
        EscalationError: the owner holds more than the actor.
        UnavailableError: the database did not answer.
    """
    keys = api_keys.c
    row = select(keys.name, keys.revoked_at, users.c.id, users.c.username)
    row = row.join_from(api_keys, users, users.c.id == keys.user_id, isouter=True).where(keys.id == key_id)

    async def work(step: Change) -> None:
        found = (await step.connection.execute(row)).first() if 0 < key_id <= _LAST_ID else None
        if found is None:
            raise NotFoundError(f"there is no API key of the id {key_id}")
        if found.username is not None:
            await check_user(step, found.id, found.username)
        if found.revoked_at is None:
            living = (api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
            await step.connection.execute(update(api_keys).where(*living).values(revoked_at=step.now))
            await step.record("revoke", "api_key", key_id, found.name)

    return await change(auth, actor, work)


def _write_scopes(scopes: Iterable[tuple[str, str]]) -> str:
    pairs = {
        Permission(validate("the action", action, 100), validate("the resource", resource, 250))
        for action, resource in scopes
    }
    text = write_scope(sorted(pairs))
    if len(text) > MAX_SCOPES_BYTES:
        raise InvalidValueError(f"the scopes take more than {MAX_SCOPES_BYTES} bytes: give the owner fewer roles")
    return text


def _read_scopes(text: str) -> tuple[Permission, ...]:
    try:
        return tuple(sorted(read_scope(text)))
    except (ValueError, RecursionError):  # such a key is refused
        return ()
