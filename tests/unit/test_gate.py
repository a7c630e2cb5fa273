"""How deep JSON may be nested before anything parses it."""

import pytest

from asyncauth.errors import MalformedTokenError
from asyncauth.tokens.gate import MAX_NESTING, read_object


def nested(levels: int, inner: str = "1", opening: str = '{"a":', closing: str = "}") -> bytes:
    """An object that many levels deep, with something inside the last one."""
    return ('{"a":' + opening * (levels - 1) + inner + closing * (levels - 1) + "}").encode()


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_nesting_is_counted_in_either_bracket(opening: str, closing: str) -> None:
    """To the level; what was closed before, and what stands in texts, does not count."""
    wide = ",".join(["[]", '{"b":[]}'] * MAX_NESTING)
    for inner in ("1", '"[[[{{{"', f"[{wide}]"):
        levels = MAX_NESTING - 3 * (inner[0] == "[")
        assert read_object(nested(levels, inner, opening, closing), "thing")
    for inner in ("1", "[]"):
        with pytest.raises(MalformedTokenError, match=f"the thing is nested more than {MAX_NESTING} deep"):
            read_object(nested(MAX_NESTING + 1, inner, opening, closing), "thing")


def test_what_was_closed_is_one_level_only() -> None:
    """Two more after one that was closed are one too many."""
    inner = "[[],[[[]]]]"
    assert read_object(nested(MAX_NESTING - 4, inner), "thing")
    with pytest.raises(MalformedTokenError, match="nested"):
        read_object(nested(MAX_NESTING - 3, inner), "thing")
