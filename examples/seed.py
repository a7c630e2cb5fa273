"""Two users and two roles for the examples: `python -m examples.seed`."""

import asyncio

from asyncauth import AuthManager, admin

PASSWORDS = {"ada": "correct horse battery staple", "grace": "hopper never lost a nanosecond"}
PERMISSIONS = {
    "Viewer": [("can_read", "DAG:etl")],
    "Operator": [("can_read", "DAG:etl"), ("can_read", "DAG:billing"), ("can_edit", "DAG:billing")],
}
ROLES = {"ada": ("Viewer",), "grace": ("Operator",)}


async def seed(auth: AuthManager) -> None:
    """Create them. Raises TakenError if they are there."""
    for role, permissions in PERMISSIONS.items():
        await admin.create_role(auth, role)
        for action, resource in permissions:
            await admin.grant_permission(auth, role=role, action=action, resource=resource)
    for username, password in PASSWORDS.items():
        email = f"{username}@example.com"
        await admin.create_user(auth, username=username, password=password, email=email, roles=ROLES[username])


async def main() -> None:
    """Seed the database that the environment names."""
    async with AuthManager() as auth:
        await seed(auth)
    print(", ".join(f"{name} (password: {password})" for name, password in PASSWORDS.items()))


if __name__ == "__main__":
    asyncio.run(main())
