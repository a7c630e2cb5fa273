"""Who may give and take what, and act on whom: nobody rises above themselves.

Whether somebody may use a route at all (`can_edit` on `Users`) is decided before. These rules are about what they do
there, and rest on what is true in the transaction of the change.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from asyncauth.errors import EscalationError
from asyncauth.model import PermissionKey, permission_key

MANAGE_ROLES = permission_key("can_edit", "Roles")
"""Whoever holds it may give themselves every permission, so the rules would stop them from nothing."""


def narrow(held: frozenset[PermissionKey], scope: frozenset[PermissionKey] | None) -> frozenset[PermissionKey]:
    """What is left of permissions when they are used with an API key of that scope."""
    return held if scope is None else held & scope


def lacks(actor: AbstractSet[PermissionKey], wanted: AbstractSet[PermissionKey]) -> frozenset[PermissionKey]:
    """What of the wanted permissions somebody is short of; nothing, if they may manage roles."""
    return frozenset() if MANAGE_ROLES in actor else frozenset(wanted - actor)


def require_held(actor: AbstractSet[PermissionKey], wanted: AbstractSet[PermissionKey]) -> None:
    """To give a permission to somebody, or take it away, one has to hold it. Raises EscalationError."""
    if short := lacks(actor, wanted):
        raise EscalationError(f"you cannot give or take what you do not hold: {_words(short)}")


def require_not_above(actor: AbstractSet[PermissionKey], subject: AbstractSet[PermissionKey], name: str) -> None:
    """To set somebody's password, e-mail or user name, to switch them on or off, to delete them or to make an API key
    for them, one has to hold all that they hold. Raises EscalationError."""
    if short := lacks(actor, subject):
        raise EscalationError(f"user `{name}` holds more than you do: {_words(short)}")


def _words(keys: Iterable[PermissionKey], most: int = 3) -> str:
    names = ["`{}` on `{}`".format(*key.split("\0")) for key in sorted(keys)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
