"""Made-up users: in the hand, and in a database."""

import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress

from asyncauth import admin
from asyncauth.errors import InvalidValueError, TakenError
from asyncauth.manager import AuthManager
from asyncauth.model import PermissionKey, Role, User, is_storable, permission_key

Pairs = Iterable[tuple[str, str]]
"""Permissions as (action, resource)."""
Roles = Mapping[str, Pairs] | Iterable[str]
"""Roles with their permissions; or the names alone, of roles that hold none."""
_LARGEST_ID = 2**31 - 1


def make_user(
    username: str,
    *,
    permissions: Pairs = (),
    roles: Roles = (),
    user_id: int | None = None,
    email: str | None = None,
    first_name: str = "",
    last_name: str = "",
    active: bool = True,
) -> User:
    """A user that no database knows, for `as_user` and `decide`.

        ada = make_user("ada", permissions=[("can_read", "DAG:etl")])
        grace = make_user("grace", roles={"Operator": [("can_edit", "DAG:etl")], "Public": []})

    Args:
        username: the name.
        permissions: held through a role of the user's own, named `role of ada`.
        roles: see `Roles`.
        user_id: None makes one from the name, always the same.
        email: None: `ada@example.com`.
        first_name: for what your application shows.
        last_name: the same.
        active: a user who is not is refused with 401, as by a manager.

    Raises:
        InvalidValueError: a name in a permission holds a NUL, which no database stores.
    """
    held = _gather(username, permissions, roles)
    return User(
        id=_make_id(username) if user_id is None else user_id,
        username=username,
        roles=tuple(Role(_make_id(name), name, frozenset(_keys(pairs))) for name, pairs in held),
        first_name=first_name,
        last_name=last_name,
        email=f"{username}@example.com" if email is None else email,
        active=active,
    )


async def add_user(
    auth: AuthManager, username: str, *, password: str | None = None, permissions: Pairs = (), roles: Roles = ()
) -> User:
    """The same in the database of a manager: roles that are missing are made, and given what they lack.

        ada = await add_user(auth, "ada", password="correct horse", permissions=[("can_read", "DAG:etl")])

    Args:
        auth: of `memory_auth_manager`, say.
        username: the name.
        password: None: the user cannot log in with one, and nothing takes the time of a hash.
        permissions: as for `make_user`.
        roles: as for `make_user`; a role of which only the name is given keeps what it holds.

    Raises:
        InvalidValueError: a name cannot be stored.
        TakenError: the user exists.
    """
    held = _gather(username, permissions, roles)
    for name, pairs in held:
        with suppress(TakenError):
            await admin.create_role(auth, name)
        if pairs:
            await admin.grant_permissions(auth, role=name, permissions=pairs, new_names=True)
    email = f"{username}@example.com"
    names = [name for name, _ in held]
    made = await admin.create_user(auth, username=username, password=password, email=email, roles=names)
    return await auth.get_user(made.value.id)


async def make_token(auth: AuthManager, username: str, *, lifetime_seconds: int | None = None) -> str:
    """A token of a user in the database, as after a login, without a password.

        client.get("/dags/etl", headers={"Authorization": f"Bearer {await make_token(auth, 'ada')}"})

    Raises:
        UserNotFoundError, UserInactiveError: there is nobody of that name, or it is switched off.
    """
    user = await auth.get_user(username=username)
    return auth.issue_token(user.id, lifetime_seconds=lifetime_seconds)


def _gather(username: str, permissions: Pairs, roles: Roles) -> list[tuple[str, list[tuple[str, str]]]]:
    if isinstance(roles, str):
        raise TypeError(f"roles is a list of names or a mapping, not {roles!r}")
    gathered = {name: list(roles[name]) if isinstance(roles, Mapping) else [] for name in roles}
    if own := list(permissions):
        gathered[f"role of {username}"] = own
    return list(gathered.items())


def _keys(pairs: Pairs) -> Iterable[PermissionKey]:
    for action, resource in pairs:
        if not (is_storable(action) and is_storable(resource)):
            raise InvalidValueError("a permission with a NUL in its name cannot be stored")
        yield permission_key(action, resource)


def _make_id(name: str) -> int:
    return zlib.crc32(name.encode(errors="surrogatepass")) % _LARGEST_ID + 1
