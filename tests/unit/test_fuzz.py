"""What `make fuzz` tries for longer, without atheris: good inputs changed at random; and that it would notice."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fuzz import targets
from hypothesis import given
from hypothesis import strategies as st

from asyncauth.changes.consistency import Receipts
from asyncauth.model import Claims
from asyncauth.passwords import Scheme
from asyncauth.tokens import gate
from asyncauth.tokens.claims import Rule
from asyncauth.tokens.keys import Key
from tests.forge import claims

EDITS = st.lists(
    st.tuples(st.sampled_from(["replace", "insert", "delete", "double"]), st.integers(0, 2000), st.binary(max_size=4)),
    max_size=4,
)


def edit(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """Change some places, but never the first byte, which chooses the target."""
    for how, where, new in edits:
        at = 1 + where % len(data)
        end = {"replace": data[at + len(new) :], "insert": data[at:], "delete": data[at + 3 :], "double": data[1:]}
        data = data[:at] + new + end[how]
    return data


@given(st.sampled_from(targets.seeds()), EDITS)
def test_changed_inputs(seed: bytes, edits: list[tuple[str, int, bytes]]) -> None:
    """Tokens, API keys, refresh tokens, consistency tokens, key sets, scopes and hashes: as they are, and changed."""
    targets.run(seed)
    targets.run(edit(seed, edits))


@given(st.integers(0, len(targets.TARGETS) - 1), st.binary(max_size=300))
def test_any_inputs(target: int, data: bytes) -> None:
    """Whatever it is."""
    targets.run(bytes([target]) + data)


def _signed(payload: bytes, header: bytes = b"") -> bytes:
    return header + b"\0" + payload


GOOD = json.dumps(claims()).encode()
DOUBLE = GOOD.replace(b"{", b'{"sub":"8",', 1)


@pytest.mark.parametrize(
    ("where", "broken", "target", "data"),
    [
        ((gate, "_unique"), dict, targets.signed, _signed(DOUBLE)),
        ((gate, "_no_constant"), float, targets.signed, _signed(json.dumps(claims(x=float("nan"))).encode())),
        ((gate, "HEADER_MEMBERS"), {"alg", "crit"}, targets.signed, _signed(GOOD, b'{"alg":"HS512","crit":[]}')),
        ((Key, "verify"), lambda *_: True, targets.token, f"{targets.GOOD[0][:-4]}AAAA".encode()),
        ((Rule, "_check_audience"), lambda *_: None, targets.signed, _signed(json.dumps(claims(aud="x")).encode())),
        ((Receipts, "read"), lambda *_: 5, targets.consistency_token, b"x"),
        ((targets, "split_key"), lambda _: (7, "x"), targets.api_key, b"ak_7_y"),
        ((targets, "hash_refresh_token"), lambda _: "0" * 64, targets.refresh_token, b"rt_x"),
        ((targets, "parse_scheme"), lambda _: Scheme("", iterations=2**40), targets.stored, b"x"),
    ],
    ids=["members", "constants", "header", "signature", "audience", "receipt", "api key", "refresh token", "hash"],
)
def test_it_would_notice(
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[Any, str],
    broken: Any,
    target: Callable[[bytes], None],
    data: bytes,
) -> None:
    """Each oracle objects once the rule that it watches is gone."""
    monkeypatch.setattr(*where, broken)
    with pytest.raises(AssertionError):
        target(data)


def test_it_starts_from_what_is_accepted() -> None:
    """Or it would never get beyond the gate."""
    assert all(isinstance(targets.judge(good), Claims) for good in targets.GOOD)
