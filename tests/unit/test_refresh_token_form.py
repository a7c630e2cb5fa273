"""What a refresh token looks like, and what the database holds in its place."""

import hashlib

import pytest

from asyncauth.errors import RefreshTokenError
from asyncauth.tokens.refresh_tokens import hash_refresh_token, is_refresh_token, make_refresh_token


class Text(str):
    """A str that is not quite one."""


def test_each_is_another_one_of_256_bits() -> None:
    """43 characters of base64url behind `rt_`."""
    one, other = make_refresh_token(), make_refresh_token()
    assert one != other
    assert one.startswith("rt_")
    assert len(one) == 3 + 43
    assert is_refresh_token(one)


def test_the_database_holds_its_sha256() -> None:
    """Of the whole text."""
    token = make_refresh_token()
    assert hash_refresh_token(token) == hashlib.sha256(token.encode()).hexdigest()


GOOD = "rt_" + "a" * 43


@pytest.mark.parametrize(
    "token",
    [None, b"rt_", 5, "", "rt_", GOOD[:-1], GOOD + "a", GOOD + "\n", GOOD.upper(), "rt_" + "\u00e9" * 43, Text(GOOD)],
)
def test_what_is_none(token: object) -> None:
    """Whatever is not exactly of the one form; nor what pretends to be text."""
    with pytest.raises(RefreshTokenError):
        hash_refresh_token(token)


@pytest.mark.parametrize(
    ("token", "like_one"), [(GOOD, True), ("rt_", True), ("ak_", False), (5, False), (Text(GOOD), False)]
)
def test_what_begins_like_one(token: object, like_one: bool) -> None:
    """So that it is judged as one, and not as a JWT."""
    assert is_refresh_token(token) is like_one
