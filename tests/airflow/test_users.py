"""asyncauth reads the users, roles and permissions that the real Airflow stored, and takes their passwords."""

from typing import Any

import pytest

from asyncauth import AuthManager, Settings, User
from asyncauth.errors import LoginError, UserInactiveError
from tests.airflow.conftest import USERS, Adopted
from tests.airflow.process import Airflow

ACTIVE = [user["username"] for user in USERS if user["active"]]
INACTIVE = [user["username"] for user in USERS if not user["active"]]


def as_airflow_says(user: User) -> dict[str, Any]:
    """A user in the words of `provider.read_users`."""
    pairs = {(permission.action, permission.resource) for role in user.roles for permission in role.permissions}
    return {
        "id": user.id,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "active": user.active,
        "roles": sorted(role.name for role in user.roles),
        "permissions": sorted([action, resource] for action, resource in pairs),
    }


async def test_the_same_users_with_the_same_permissions(auth: AuthManager, adopted: Adopted) -> None:
    expected = [user for user in adopted.users if user["active"]]
    loaded = [as_airflow_says(await auth.get_user(username=user["username"])) for user in expected]
    assert [user["username"] for user in loaded] == ACTIVE
    assert loaded == expected
    assert len(loaded[1]["permissions"]) > len(loaded[0]["permissions"]) > 0


async def test_group_roles_count_only_when_asked_for(auth: AuthManager, settings: Settings) -> None:
    async with AuthManager(settings.model_copy(update={"group_roles": True})) as with_groups:
        user = await with_groups.get_user(username="vera")
    assert [role.name for role in (await auth.get_user(username="vera")).roles] == ["Viewer"]
    assert sorted(role.name for role in user.roles) == ["Op", "Viewer"]


@pytest.mark.parametrize("username", ACTIVE)
async def test_passwords_verify(auth: AuthManager, username: str) -> None:
    user = await auth.get_user_from_token(await auth.login(username, f"the password of {username}"))
    assert user.username == username


async def test_a_wrong_password_is_refused(auth: AuthManager) -> None:
    with pytest.raises(LoginError):
        await auth.login("ada", "the password of vera")


@pytest.mark.parametrize("username", INACTIVE)
async def test_inactive_users_are_refused(auth: AuthManager, airflow: Airflow, adopted: Adopted, username: str) -> None:
    user_id = next(user["id"] for user in adopted.users if user["username"] == username)
    with pytest.raises(LoginError):
        await auth.login(username, f"the password of {username}")
    with pytest.raises(UserInactiveError):
        await auth.get_user_from_token(auth.issue_token(user_id))
