"""Decisions, against a naive model: a user's rights are a set of pairs."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncauth.decide import allowed_resources, decide, filter_allowed
from asyncauth.model import Role, User, is_storable, permission_key

Pair = tuple[str, str]
seeded = settings(derandomize=True, database=None, deadline=None, max_examples=200)

# Few letters, so that names are often equal, prefixes of each other, or equal once joined wrongly.
NAMES = st.text(alphabet="aA\0:,é\u0301 \n\ud800", max_size=4)
STORABLE = NAMES.filter(is_storable)
PAIRS = st.sets(st.tuples(STORABLE, STORABLE), max_size=6)
ROLES = st.lists(PAIRS, max_size=4)


def make_user(roles: Iterable[Iterable[Pair]], *, active: bool = True) -> User:
    """A user whose roles hold these pairs."""
    made = (
        Role(number, f"role {number}", frozenset(permission_key(*pair) for pair in pairs))
        for number, pairs in enumerate(roles, start=1)
    )
    return User(1, "ada", tuple(made), active=active)


@seeded
@given(NAMES, NAMES, STORABLE, STORABLE)
@example("a\0b", "c", "a", "b")
@example("a", "b\0c", "a", "b")
def test_a_key_belongs_to_one_storable_pair(action: str, resource: str, other: str, another: str) -> None:
    """No question, whatever it holds, has the key of a storable pair that it does not name."""
    same = (action, resource) == (other, another)
    assert (permission_key(action, resource) == permission_key(other, another)) is same


@seeded
@given(ROLES, NAMES, NAMES)
def test_a_decision_is_membership_of_a_pair(roles: list[set[Pair]], action: str, resource: str) -> None:
    """A question is allowed if and only if some role holds exactly its pair."""
    assert bool(decide(make_user(roles), action, resource)) is any((action, resource) in pairs for pairs in roles)


@seeded
@given(ROLES, NAMES, st.lists(NAMES, max_size=8))
def test_a_filter_is_many_decisions(roles: list[set[Pair]], action: str, resources: list[str]) -> None:
    """A filter keeps what the single decisions allow: in order, duplicates included."""
    user = make_user(roles)
    assert filter_allowed(user, action, resources) == [one for one in resources if decide(user, action, one)]


@seeded
@given(ROLES, NAMES, NAMES)
def test_allowed_resources_are_those_of_the_model(roles: list[set[Pair]], action: str, prefix: str) -> None:
    """The resources of an action are exactly those held with it whose name starts with the prefix."""
    expected = {
        resource for pairs in roles for held, resource in pairs if held == action and resource.startswith(prefix)
    }
    assert allowed_resources(make_user(roles), action, prefix) == expected


def test_every_role_counts() -> None:
    """The first, the last and the only one, in any kind of question; each of the resources as well."""
    pairs = [("can_read", "a"), ("can_read", "b"), ("can_read", "c")]
    for held in (pairs, pairs[:2], pairs[:1]):
        user = make_user([[pair] for pair in held])
        names = [resource for _, resource in held]
        assert [one for one in "abc" if decide(user, "can_read", one)] == names
        assert filter_allowed(user, "can_read", [*"cba", *"abc"]) == [*reversed(names), *names]
        assert allowed_resources(user, "can_read") == set(names)


def test_without_a_prefix_all_resources_are_listed() -> None:
    """Whatever they are called; and nothing that is held for another action."""
    user = make_user([[("can_read", "DAG:etl"), ("can_read", "Pools")], [("can_edit", "Variables")]])
    assert allowed_resources(user, "can_read") == {"DAG:etl", "Pools"}


@seeded
@given(ROLES)
def test_the_permissions_of_a_role_are_its_pairs(roles: list[set[Pair]]) -> None:
    """A role gives back the pairs that it was made of."""
    for role, pairs in zip(make_user(roles).roles, roles, strict=True):
        assert {(one.action, one.resource) for one in role.permissions} == pairs


def test_an_inactive_user_may_do_nothing() -> None:
    """Roles of an inactive user count for nothing, in any kind of question."""
    user = make_user([[("can_read", "DAG:etl")]], active=False)
    assert not decide(user, "can_read", "DAG:etl")
    assert filter_allowed(user, "can_read", ["DAG:etl"]) == []
    assert allowed_resources(user, "can_read") == frozenset()
    assert decide(user, "can_read", "DAG:etl").reason == "the user is inactive"


@pytest.mark.parametrize("resource", ["DAGs", "DAG:", "DAG:etl ", "dag:etl", "DAG:etl2", "DAG:et", ""])
def test_names_are_compared_exactly(resource: str) -> None:
    """A right on one resource is none on a resource with a similar name."""
    assert not decide(make_user([[("can_read", "DAG:etl")]]), "can_read", resource)


def test_a_permission_says_which_role_gave_it() -> None:
    """An allowed decision names the first role that holds the pair."""
    user = make_user([[], [("can_read", "DAG:etl")], [("can_read", "DAG:etl")]])
    decision = decide(user, "can_read", "DAG:etl")
    assert decision.role == "role 2"
    assert decision.reason == "role `role 2` allows it"


def test_a_refusal_says_what_was_missing_and_where_it_was_looked_for() -> None:
    """A refusal names the user, the pair and every role that was looked at."""
    reason = decide(make_user([[], []]), "can_edit", "DAG:etl").reason
    assert reason == ("no role of `ada` has permission `can_edit` on `DAG:etl` (looked at: `role 1`, `role 2`)")


def test_a_refusal_without_roles_says_so() -> None:
    """A user without any role is told that this is the reason."""
    assert "the user has no role" in decide(User(1, "ada"), "can_read", "DAG:etl").reason


def test_a_decision_does_not_change_with_the_user_it_was_made_for() -> None:
    """A decision already made stays as it is when a copy of its user is switched off."""
    user = make_user([[("can_read", "DAG:etl")]])
    decision = decide(user, "can_read", "DAG:etl")
    assert not decide(replace(user, active=False), "can_read", "DAG:etl")
    assert decision
