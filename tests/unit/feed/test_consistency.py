"""Consistency tokens: which position covers which write, and that nobody else can make one."""

import base64
import secrets

import pytest

from asyncauth.changes.consistency import MAX_LENGTH, Receipts, covers
from asyncauth.db.feed import Gap, Position
from asyncauth.errors import ConsistencyTokenError
from asyncauth.tokens.keys import Key
from asyncauth.tokens.keyset import KeyRing, KeySet
from asyncauth.tokens.seals import SEAL_BYTES, Seals

EPOCH = "8f1c:a database"
NOW = 1_700_000_000.0


def ring() -> KeyRing:
    """With a key of its own."""
    key = secrets.token_bytes(64)
    return KeyRing(KeySet([Key("HS512", key, key)]))


@pytest.fixture
def keys() -> KeyRing:
    """Ours."""
    return ring()


@pytest.fixture
def receipts(keys: KeyRing) -> Receipts:
    """Made with `keys`."""
    return Receipts(keys, lambda: NOW)


@pytest.mark.parametrize("mark", [0, 1, 10, 2**40])
def test_a_token_is_read_by_all_who_share_the_key(keys: KeyRing, receipts: Receipts, mark: int) -> None:
    """Whatever the epoch and the length of the number: text for a URL, without padding."""
    token = receipts.issue(EPOCH, mark)
    assert isinstance(token, str)
    assert not set(token) & set("=+/")
    assert len(token) <= MAX_LENGTH
    assert Receipts(keys, lambda: NOW).read(token, EPOCH) == mark
    with pytest.raises(ConsistencyTokenError, match="not a consistency token of this server"):
        Receipts(ring(), lambda: NOW).read(token, EPOCH)
    with pytest.raises(ConsistencyTokenError, match="the consistency token speaks of another database"):
        receipts.read(token, EPOCH + "x")


def test_a_seal_made_for_something_else_is_none(keys: KeyRing, receipts: Receipts) -> None:
    """The same key seals other things; and the text in a token is what it says."""
    body = f"{EPOCH}:5".encode()
    for purpose, good in ((b"asyncauth consistency token", True), (b"something else", False)):
        sealed = Seals(keys, lambda: NOW, purpose).make(body) + body
        token = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
        if good:
            assert receipts.read(token, EPOCH) == 5
            assert token == receipts.issue(EPOCH, 5)
        else:
            with pytest.raises(ConsistencyTokenError):
                receipts.read(token, EPOCH)


def test_what_is_not_quite_a_token_is_none(receipts: Receipts) -> None:
    """The alphabet is the one for URLs; a bit more or less is none."""
    tokens = [receipts.issue(EPOCH, mark) for mark in range(60)]
    assert any("-" in token for token in tokens)
    assert any("_" in token for token in tokens)
    for mark, token in enumerate(tokens):
        assert receipts.read(token, EPOCH) == mark
    other = next(token for token in tokens if "-" in token)
    bad: list[object] = [
        *(
            other[:-1],
            other + "A",
            other[:4] + "!!!!" + other[4:],
            other[:SEAL_BYTES],
            "",
            "=",
            "\u00e9" * 8,
            "a b",
            None,
            5,
        ),
        b"bytes",
        other + "=" * MAX_LENGTH,
        "A" * MAX_LENGTH,
    ]
    for one in bad:
        with pytest.raises(ConsistencyTokenError, match="not a consistency token of this server"):
            receipts.read(one, EPOCH)


def test_a_token_of_the_greatest_length(receipts: Receipts) -> None:
    """Is read; one more character is not."""
    epochs = [EPOCH + "x" * more for more in range(120)]
    tokens = {len(token): (token, epoch) for epoch in epochs if (token := receipts.issue(epoch, 1))}
    assert MAX_LENGTH in tokens
    token, epoch = tokens[MAX_LENGTH]
    assert receipts.read(token, epoch) == 1
    token, epoch = min(one for length, one in tokens.items() if length > MAX_LENGTH)
    with pytest.raises(ConsistencyTokenError, match="not a consistency token of this server"):
        receipts.read(token, epoch)


def test_what_a_position_covers() -> None:
    """PostgreSQL: transactions that its snapshot saw. Elsewhere: ids up to the last, but for those in any gap."""
    snapshot = Position("e", last=9, at=1, xmax=100, running=(90, 95), gaps=(Gap(89, 89, 0.0),))
    assert [covers(snapshot, mark, "postgresql") for mark in (89, 90, 94, 95, 99, 100, 101)] == [
        *(True, False, True, False, True, False, False)
    ]
    gaps = (Gap(80, 80, 0.0), Gap(90, 92, 0.0))
    for dialect in ("mysql", "sqlite"):
        ids = Position("e", last=100, at=1, running=(89,), gaps=gaps)
        known = [covers(ids, mark, dialect) for mark in (0, 79, 80, 81, 89, 90, 91, 92, 93, 100, 101)]
        assert known == [True, True, False, True, True, False, False, False, True, True, False]
