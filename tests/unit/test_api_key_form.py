"""What an API key is made of: its text, its scope, and what it leaves of its owner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncauth.decide import decide
from asyncauth.errors import ApiKeyError
from asyncauth.model import Permission, Role, User, permission_key
from asyncauth.tokens.api_keys import (
    ApiKey,
    digest_secret,
    is_api_key,
    join_key,
    make_secret,
    narrow,
    read_scope,
    scope_keys,
    split_key,
    write_scope,
)

NAMES = st.text(min_size=1, max_size=4)
PAIRS = st.frozensets(st.builds(Permission, NAMES, NAMES), max_size=6)


@given(st.integers(1, 2**63 - 1))
def test_a_key_comes_apart_as_it_was_joined(key_id: int) -> None:
    """For every id and secret; each secret is another one, of 256 bits."""
    secret = make_secret()
    assert split_key(join_key(key_id, secret)) == (key_id, secret)
    assert secret != make_secret()
    assert len(secret) == 43


@given(st.text() | st.from_regex(r"ak_[0-9]+_[A-Za-z0-9_-]{40,46}", fullmatch=True))
def test_one_text_for_one_key(text: str) -> None:
    """Whatever is accepted is exactly what would be joined; the rest is refused, as ours."""
    try:
        key_id, secret = split_key(text)
    except ApiKeyError as error:
        assert len(text) < 40 or text not in str(error)  # noqa: PT017
    else:
        assert join_key(key_id, secret) == text
        assert is_api_key(text)


def test_the_digest_is_keyed() -> None:
    """Another key, another digest: a stolen table alone is of no use to try secrets out."""
    assert digest_secret(b"a" * 32, "secret") != digest_secret(b"b" * 32, "secret")
    assert len(digest_secret(b"a" * 32, "secret")) == 32


@given(PAIRS)
def test_a_scope_is_read_as_it_was_written(pairs: frozenset[Permission]) -> None:
    """Whatever the names hold."""
    assert read_scope(write_scope(pairs)) == pairs


def test_a_scope_is_written_in_one_way() -> None:
    """Other programs read the column: JSON without spaces; and its permission keys are those of its pairs."""
    pairs = [Permission("can_read", "DAG:etl"), Permission("can_edit", "Pools")]
    assert write_scope(pairs) == '[["can_read","DAG:etl"],["can_edit","Pools"]]'
    assert scope_keys(pairs) == {permission_key("can_read", "DAG:etl"), permission_key("can_edit", "Pools")}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "null", "1", '"a"', "[1]", '[["a"]]', '[["a", "b", "c"]]', '[["a", 1]]', '[["a", null]]', "[[[]]]"),
        *('[[1, "a"]]', '[[1, "a"], ["a", "b"]]', '[["a", "b"], [1, "a"]]'),
    ],
)
def test_what_is_no_scope(text: str) -> None:
    """Never read as one that allows something."""
    with pytest.raises(ValueError):
        read_scope(text)


@given(PAIRS, PAIRS, PAIRS)
def test_a_scope_only_narrows(first: frozenset[Permission], second: frozenset[Permission], wanted: object) -> None:
    """What is left is what the owner may and the scope names; without a scope, all. The owner is as before."""
    roles = tuple(Role(number, str(number), scope_keys(held)) for number, held in enumerate((first, second)))
    owner = User(1, "ada", roles)
    for scope in (None, wanted):
        key = ApiKey(5, 1, b"", None if scope is None else scope_keys(scope), 0, None, None)  # type: ignore[arg-type]
        narrowed = narrow(owner, key)
        assert (narrowed.id, narrowed.username, narrowed.api_key_id) == (1, "ada", 5)
        assert [(role.id, role.name) for role in narrowed.roles] == [(0, "0"), (1, "1")]
        assert narrowed.scope == key.scope  # who looks at the user can see that it is narrowed, and to what
        for pair in first | second | wanted:  # type: ignore[operator]
            asked = (pair.action, pair.resource)
            expected = bool(decide(owner, *asked)) and (key.scope is None or permission_key(*asked) in key.scope)
            assert bool(decide(narrowed, *asked)) == expected
    assert owner.scope is None


def test_a_name_with_a_nul_names_nothing() -> None:
    """Or a scope could be written that spells another pair."""
    assert scope_keys([Permission("a\0b", "c"), Permission("a", "b\0c")]) == frozenset()
