"""May this user do this action on this resource? Pure, synchronous, right in any thread: everything is an argument."""

from collections.abc import Iterable

from asyncauth.model import Decision, User, permission_key


def decide(user: User, action: str, resource: str) -> Decision:
    """Answer one question. Denied unless one of the user's roles holds exactly this pair."""
    if user.active:
        key = permission_key(action, resource)
        for role in user.roles:
            if key in role.keys:
                return role.granted
    return Decision(False, None, action, resource, user)


def filter_allowed(user: User, action: str, resources: Iterable[str]) -> list[str]:
    """Keep the resources on which `user` may do `action`, in their order."""
    if not user.active:
        return []
    held = [role.keys for role in user.roles]
    return [resource for resource in resources if any(permission_key(action, resource) in keys for keys in held)]


def allowed_resources(user: User, action: str, prefix: str = "") -> frozenset[str]:
    """All resources whose name starts with `prefix` on which `user` may do `action` (`prefix="DAG:"`: object
    permissions). The names come with their prefix. Takes time in proportion to the user's permissions."""
    if not user.active:
        return frozenset()
    start = permission_key(action, prefix)
    skip = len(action) + 1
    return frozenset(key[skip:] for role in user.roles for key in role.keys if key.startswith(start))
