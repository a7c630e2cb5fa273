"""Users in a file, as FAB writes and reads it: without passwords, groups and whether they are active."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from asyncauth.admin.change import Actor
from asyncauth.admin.user_changes import update_user
from asyncauth.admin.users import UserInfo, create_user, list_users
from asyncauth.errors import InvalidValueError
from asyncauth.manager import AuthManager


class FiledUser(BaseModel):
    """One user in a file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: int | None = None
    """FAB's export has it, and its import looks at it as little as we do."""
    username: Annotated[str, Field(min_length=1)]
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    firstname: str
    lastname: str
    roles: Annotated[list[str], Field(min_length=1)]


USER_FILE = TypeAdapter(list[FiledUser])


class AnotherNameError(InvalidValueError):
    """The user with an e-mail of the file has another name."""


def file_users(users: Iterable[UserInfo]) -> list[dict[str, Any]]:
    """What is written of them."""
    return [
        {
            "id": user.id,
            "username": user.username,
            "email": user.email,
            "firstname": user.first_name,
            "lastname": user.last_name,
            "roles": list(user.roles),
        }
        for user in users
    ]


async def import_user(auth: AuthManager, user: FiledUser, *, actor: Actor | None = None) -> bool:
    """Create a user without a password, or give the one with that e-mail these names and roles. Whether it is new.

    Raises:
        AnotherNameError: the one with that e-mail is called otherwise.
        InvalidValueError, TakenError, UnknownRoleError, LastAdministratorError, EscalationError, UnavailableError: see
            `create_user` and `update_user`.
    """
    names = {"first_name": user.firstname, "last_name": user.lastname}
    found = (await list_users(auth, email=user.email, limit=1)).items
    if not found:
        await create_user(
            auth, username=user.username, password=None, email=user.email, **names, roles=user.roles, actor=actor
        )
        return True
    if found[0].username != user.username:
        raise AnotherNameError(
            f"the user with the e-mail {user.email} is called {found[0].username}, not {user.username}: "
            "rename or delete that one first"
        )
    await update_user(auth, user.username, **names, roles=user.roles, actor=actor)
    return False
