"""`DAG:{dag_id}`: what a template may be, and that no value makes it mean something else."""

from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncauth.errors import ConfigurationError, ForbiddenError
from asyncauth.web.template import ResourceTemplate


@pytest.mark.parametrize(
    ("text", "values", "resource"),
    [
        ("DAGs", {}, "DAGs"),
        ("", {}, ""),
        ("DAG:{dag_id}", {"dag_id": "etl"}, "DAG:etl"),
        ("DAG:{dag_id}", {"dag_id": "etl", "run_id": "7"}, "DAG:etl"),
        ("DAG:{dag_id}", {"dag_id": "a:b/{c}"}, "DAG:a:b/{c}"),
        ("DAG:{dag_id}", {"dag_id": 7}, "DAG:7"),
        ("DAG:{dag_id}", {"dag_id": UUID(int=7)}, "DAG:00000000-0000-0000-0000-000000000007"),
        ("{team}/{dag_id}!", {"team": "a", "dag_id": "b"}, "a/b!"),
        ("ä:{b_1}", {"b_1": "ö"}, "ä:ö"),
        ("{a}-{a}", {"a": "b"}, "b-b"),
    ],
)
def test_fill(text: str, values: dict[str, object], resource: str) -> None:
    """Named fields, and nothing else."""
    assert ResourceTemplate(text).fill(values) == resource


NO_TEMPLATES = "{ } {} {0} {1a} {a.b} {a.__class__} {a[0]} {a!r} {a:>10} {a:{b}} {a-b} {a}{b} {{a}} {{a {a}} a}b{c"


@pytest.mark.parametrize("text", [*NO_TEMPLATES.split(), "{a b}", "{ a }"])
def test_what_is_no_template(text: str) -> None:
    """Refused when it is written, not when it is used."""
    with pytest.raises(ConfigurationError, match="not a resource template"):
        ResourceTemplate(text)


def test_a_missing_parameter() -> None:
    """Names it."""
    template = ResourceTemplate("{team}:{dag_id}")
    with pytest.raises(ConfigurationError) as raised:
        template.fill({"team": "a"})
    assert str(raised.value) == "the route has no path parameter dag_id, which '{team}:{dag_id}' names"
    with pytest.raises(ConfigurationError, match="route /x has no path parameter dag_id, team"):
        template.check(["other"], "route /x")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{team}:{dag_id}", {"team": "a:b", "dag_id": "c"}),
        ("{team}:{dag_id}", {"team": ":", "dag_id": ""}),
        ("{team}::{dag_id}", {"team": "a:", "dag_id": "c"}),
        ("DAG:{dag_id}/runs", {"dag_id": "etl/runs"}),
    ],
)
def test_a_value_that_reaches_over_its_end(text: str, values: dict[str, object]) -> None:
    """Refused: it could name what another pair of values names."""
    with pytest.raises(ForbiddenError):
        ResourceTemplate(text).fill(values)


@given(st.lists(st.tuples(st.text(":/a", max_size=4), st.text(":/a", max_size=4)), min_size=2, max_size=20))
@pytest.mark.parametrize("text", ["{x}:{y}", "{x}:/{y}", "p{x}::{y}", "{x}/{y}a"])
def test_different_values_make_different_resources(text: str, pairs: list[tuple[str, str]]) -> None:
    """Whatever the values are."""
    template = ResourceTemplate(text)
    made: dict[str, tuple[str, str]] = {}
    for x, y in pairs:
        try:
            resource = template.fill({"x": x, "y": y})
        except ForbiddenError:
            continue
        assert made.setdefault(resource, (x, y)) == (x, y)


def test_the_same_exhaustively() -> None:
    """All pairs of short values, so that the test above has met the interesting ones."""
    template = ResourceTemplate("{x}::{y}")
    texts = ["".join(letters) for size in range(4) for letters in product(":a", repeat=size)]
    made: dict[str, tuple[str, str]] = {}
    filled = 0
    for x, y in product(texts, texts):
        if ":" not in x:
            filled += 1
            assert made.setdefault(template.fill({"x": x, "y": y}), (x, y)) == (x, y)
    assert filled == len(made) == 4 * 15
