"""The values are immutable, and say nothing they should not say."""

from dataclasses import FrozenInstanceError, fields

import pytest

from asyncauth.model import Claims, Decision, Permission, Role, User, is_storable, permission_key

ROLE = Role(1, "Viewer", frozenset({permission_key("can_read", "DAG:etl")}))
VALUES = (
    Permission("can_read", "DAG:etl"),
    ROLE,
    User(7, "ada", (ROLE,), "Ada", "Lovelace", "ada@example.org"),
    Claims(user_id=7, jti="ab", issuer=None, issued_at=0, not_before=0, expires_at=1),
    Decision(allowed=False),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_cannot_be_changed(value: object) -> None:
    """No field of a value can be set or added."""
    for name in [field.name for field in fields(value)]:  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
    assert not hasattr(value, "__dict__")


def test_a_user_keeps_personal_data_out_of_logs() -> None:
    """Name and address of a person are not in the text of a user."""
    text = repr(VALUES[2])
    assert "ada" in text
    assert "Lovelace" not in text
    assert "example.org" not in text


def test_a_decision_is_as_true_as_it_allows() -> None:
    """The truth of a decision is its answer."""
    assert bool(Decision(allowed=True)) is True
    assert bool(Decision(allowed=False)) is False


def test_a_role_holds_one_decision_for_all() -> None:
    """The decision that a role leads to is allowed, names the role, and holds no user."""
    assert ROLE.granted == Decision(allowed=True, role="Viewer")
    assert ROLE.granted.user is None


def test_equal_roles_are_equal_whatever_object_they_are() -> None:
    """Roles and users are compared by value."""
    assert Role(1, "Viewer", frozenset(ROLE.keys)) == ROLE
    assert Role(1, "Viewer", frozenset()) != ROLE
    assert User(7, "ada", (Role(1, "Viewer", frozenset(ROLE.keys)),)) == User(7, "ada", (ROLE,))


def test_a_token_is_named_by_issuer_and_id() -> None:
    """What a revocation names is the pair of issuer and id, with an empty text for no issuer."""
    assert VALUES[3].token_id == ("", "ab")
    named = Claims(user_id=7, jti="ab", issuer="here", issued_at=0, not_before=0, expires_at=1)
    assert named.token_id == ("here", "ab")


def test_names_with_nul_cannot_be_part_of_a_key() -> None:
    """Only a NUL keeps a name out of the stored permissions."""
    assert not is_storable("can_read\0")
    assert is_storable("\ud800\n'\"")
