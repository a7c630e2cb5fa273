"""`asyncauth.admin`: what changes something gives its value with a consistency token, what reads gives pages."""

from typing import assert_type

from asyncauth import AuthManager, admin
from asyncauth.model import Written


async def users(auth: AuthManager) -> None:
    made = await admin.create_user(
        auth, username="ada", password="correct horse", email="ada@example.com", roles=["Viewer"]
    )
    assert_type(made, Written[admin.UserInfo])
    assert_type(made.value.username, str)
    assert_type(await admin.list_users(auth), admin.Page[admin.UserInfo])
    assert_type(await admin.get_user(auth, "ada"), admin.UserInfo)


async def roles(auth: AuthManager) -> None:
    assert_type((await admin.create_role(auth, "Viewer")).token, str)
    assert_type(await admin.list_role_names(auth), admin.Page[str])
    assert_type(await admin.get_role(auth, "Viewer"), admin.RoleInfo)
    assert_type(await admin.explain(auth, "ada", "can_read", "DAG:etl"), admin.Explanation)
    assert_type(await admin.list_audit(auth), admin.Page[admin.AuditRecord])


async def keys(auth: AuthManager) -> None:
    made = await admin.create_api_key(auth, username="ada", name="nightly")
    assert_type(made, Written[admin.NewApiKey])
    assert_type(await admin.list_api_keys(auth, username="ada"), list[admin.ApiKeyInfo])
