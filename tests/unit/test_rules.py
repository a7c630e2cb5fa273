"""Nobody rises above themselves: the pure part."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncauth.admin.rules import MANAGE_ROLES, lacks, narrow, require_held, require_not_above
from asyncauth.errors import EscalationError
from asyncauth.model import PermissionKey, permission_key

Keys = frozenset[PermissionKey]
KEYS = [permission_key(action, f"DAG:{letter}") for action in ("can_read", "can_edit") for letter in "abc"]
SETS = st.frozensets(st.sampled_from([*KEYS, MANAGE_ROLES]))


@given(actor=SETS, wanted=SETS)
def test_what_is_missing(actor: Keys, wanted: Keys) -> None:
    short = lacks(actor, wanted)
    assert short <= wanted
    if MANAGE_ROLES in actor:
        assert not short
    else:
        assert wanted <= actor | short
        assert not short & actor


@given(actor=SETS, wanted=SETS)
def test_both_rules_refuse_exactly_then(actor: Keys, wanted: Keys) -> None:
    allowed = MANAGE_ROLES in actor or wanted <= actor
    rules: list[Callable[[], None]] = [
        lambda: require_held(actor, wanted),
        lambda: require_not_above(actor, wanted, "eve"),
    ]
    for rule in rules:
        if allowed:
            rule()
        else:
            with pytest.raises(EscalationError) as caught:
                rule()
            assert caught.value.status == 403


@given(held=SETS, scope=SETS, wanted=SETS)
def test_an_api_key_is_never_more_than_its_owner(held: Keys, scope: Keys, wanted: Keys) -> None:
    narrowed = narrow(held, scope)
    assert narrowed <= held
    assert narrow(held, None) == held
    assert lacks(narrowed, wanted) >= lacks(held, wanted)


def test_the_words_name_a_few() -> None:
    with pytest.raises(EscalationError, match=r"`can_edit` on `DAG:a`, .* and 3 more$"):
        require_held(frozenset(), frozenset(KEYS))
