"""Token → user: the first three of the five steps, from memory where that is possible.

`admit` and `find_user` wait for nothing and run no statement.
"""

from collections.abc import Mapping
from typing import Any

from asyncauth.changes.consistency import covers
from asyncauth.errors import ConsistencyTokenError, RevokedTokenError, StaleError, TokenError
from asyncauth.model import Claims, User
from asyncauth.running import Running
from asyncauth.tokens.api_keys import is_api_key
from asyncauth.tokens.claims import parse_user_id
from asyncauth.tokens.verify import Seen

RECALL_SECONDS = 60.0
"""How long a note holds. Then the long way is gone again: it alone notes which tokens are in use. So those that have to
make room are the least recently used to within this time, and one that goes too early is verified again."""


def admit(running: Running, token: object) -> Claims:
    """The claims of a signed token that counts now.

    Raises:
        TokenError: the token is refused (401).
        StaleError: memory is not proven current (503).
    """
    return _admit(running, token).claims


def _admit(running: Running, token: object) -> Seen:
    seen = running.verifier.see(token, running.now())
    claims = seen.claims
    if running.elapsed() >= running.follower.proven_until:
        require_proof(running)
    if claims in running.revoked:
        raise RevokedTokenError("the token was revoked")
    cutoff = running.cutoffs.find(claims.user_id)
    if cutoff is not None and claims.issued_at <= cutoff:
        raise RevokedTokenError("the user's tokens were ended")
    return seen


def require_proof(running: Running) -> None:
    """Refuse to answer from memory that is not proven current. Raises StaleError."""
    if running.elapsed() >= running.follower.proven_until:
        raise StaleError(running.follower.trouble or "memory is not proven current")


def find_user(running: Running, token: object) -> User | None:
    """As `AuthManager.find_user_from_token`, with every part of the answer looked at; what was found is noted for
    `AuthManager.recall_user`."""
    try:
        seen = _admit(running, token)
    except TokenError:  # this way round it costs signed tokens nothing
        if not is_api_key(token):
            raise
    else:
        return _find_of_seen(running, seen)
    require_proof(running)
    return running.api_keys.find_user(token)


def _find_of_seen(running: Running, seen: Seen) -> User | None:
    """The user of a token that has just been admitted, and the note of it."""
    claims, elapsed = seen.claims, running.elapsed()
    user_id = claims.user_id
    user = _find_foreign(running, claims) if user_id is None else running.users.find(user_id, elapsed)
    if user is not None:
        seen.user_id = user.id
        seen.generation = running.generation.number
        seen.until = min(running.users.cache.deadline(user.id), elapsed + RECALL_SECONDS)
    return user


async def get_user(running: Running, token: object, at_least: str | None) -> User:
    """See `AuthManager.get_user_from_token`."""
    key = None
    try:
        claims = admit(running, token)
    except TokenError:
        if not is_api_key(token):
            raise
        key = token
    if key is not None:
        return await _get_user_of_key(running, key, at_least)
    if at_least is not None:
        await _catch_up(running, at_least)
        admit(running, token)  # again: the change may be that this token was revoked
    if claims.user_id is None:
        return await _get_foreign(running, token, claims)
    user = running.users.find(claims.user_id, running.elapsed())
    if user is None:
        user = await running.users.get(claims.user_id)
        admit(running, token)  # again: the load took time
    return user


async def get_user_of_claims(running: Running, claims: Claims | Mapping[str, Any]) -> User:
    """See `AuthManager.deserialize_user`."""
    require_proof(running)
    if not isinstance(claims, Claims):
        return await running.users.get(parse_user_id(claims.get("sub")))
    if claims.user_id is None:
        user = await running.names.get(claims)
    else:
        user = await running.users.get(claims.user_id)
    if claims in running.revoked:
        raise RevokedTokenError("the token was revoked")
    _refuse_ended(running, claims, user.id)
    return user


def find_current(running: Running, user: User) -> User:
    """See `AuthManager.current`."""
    require_proof(running)
    known = running.users.peek(user.id, running.elapsed())
    if known is None:
        raise StaleError("the user has changed or left memory: load it again with load_current")
    return known if user.api_key_id is None else running.api_keys.current(user.api_key_id, known)


def _find_foreign(running: Running, claims: Claims) -> User | None:
    user = running.names.find(claims, running.elapsed())
    if user is not None:
        _refuse_ended(running, claims, user.id)
    return user


async def _get_foreign(running: Running, token: object, claims: Claims) -> User:
    user = _find_foreign(running, claims)
    if user is None:
        user = await running.names.get(claims)
        admit(running, token)
        _refuse_ended(running, claims, user.id)
    return user


async def _get_user_of_key(running: Running, text: str, at_least: str | None) -> User:
    require_proof(running)
    user = await running.api_keys.get_user(text)
    if at_least is not None:  # judged only once its sender is known
        await _catch_up(running, at_least)
        user = await running.api_keys.get_user(text)
    require_proof(running)  # again: the load took time
    return user


async def _catch_up(running: Running, at_least: str) -> None:
    mark = running.receipts.read(at_least, running.users.position.epoch)
    if not covers(running.users.position, mark, running.database.dialect):
        await running.tasks.run(running.follower.catch_up(), "asyncauth catch up")
        if not covers(running.users.position, mark, running.database.dialect):
            raise ConsistencyTokenError("the consistency token is ahead of the database")


def _refuse_ended(running: Running, claims: Claims, user_id: int) -> None:
    cutoff = running.cutoffs.find(user_id)
    if cutoff is not None and claims.issued_at <= cutoff:
        raise RevokedTokenError("the user's tokens were ended")
