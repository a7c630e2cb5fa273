"""The step in which usual requests are answered: it never says anything but what all the rules say."""

import random
from typing import Any

import pytest

from asyncauth import AuthManager, Settings, User
from asyncauth.errors import AuthError, RevokedTokenError
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.gate import Gate
from tests.web.conftest import add_user

Pairs = list[tuple[bytes, bytes]]
NAME = "token"
USUAL: dict[str, Pairs] = {
    "a bearer token": [(b"host", b"x"), (b"cache-control", b"no-cache"), (b"authorization", b"Bearer %s")],
    "the header decides alone": [(b"cookie", b"token=garbage"), (b"authorization", b"Bearer %s")],
    "a cookie": [(b"accept", b"*/*"), (b"origin", b"https://x"), (b"cookie", b"token=%s")],
    "the first cookie": [(b"cookie", b"token=%s; theme=dark")],
    "the last cookie": [(b"cookie", b"theme=dark; token=%s")],
    "one of many": [(b"cookie", b"theme=dark; token=%s; seen=1")],
}
UNUSUAL: dict[str, Pairs] = {
    "no spaces between cookies": [(b"cookie", b"theme=dark;token=%s;seen=1")],
    "spaces around": [(b"cookie", b" token = %s ;seen=1")],
    "capitals": [(b"Authorization", b"Bearer %s")],
    "capitals of the cookie": [(b"Cookie", b"token=%s")],
    "another spelling of the scheme": [(b"authorization", b"bearer %s")],
    "two spaces": [(b"authorization", b"Bearer  %s")],
    "another cookie whose name holds it": [(b"cookie", b"xtoken=1; token=%s")],
    "another cookie behind whose name holds it": [(b"cookie", b"token=%s; token2=1")],
    "two headers of cookies": [(b"cookie", b"theme=dark"), (b"cookie", b"token=%s")],
}
REFUSED: dict[str, Pairs] = {
    "nothing": [(b"host", b"x")],
    "no scheme": [(b"authorization", b"%s")],
    "another scheme": [(b"authorization", b"Basic %s")],
    "another scheme of the same length": [(b"authorization", b"Bearex %s")],
    "the header twice": [(b"authorization", b"Bearer %s"), (b"authorization", b"Bearer %s")],
    "twice, in capitals": [(b"authorization", b"Bearer %s"), (b"AUTHORIZATION", b"Bearer %s")],
    "twice, in capitals first": [(b"Authorization", b"Bearer %s"), (b"authorization", b"Bearer %s")],
    "the cookie twice": [(b"cookie", b"token=%s; token=%s")],
    "the cookie twice, the last spelt unusually": [(b"cookie", b"token=%s;token =x")],
    "the cookie twice, in two headers": [(b"cookie", b"token=%s"), (b"Cookie", b"token=%s")],
    "another name": [(b"cookie", b"xtoken=%s")],
    "the token in another cookie": [(b"cookie", b"token=x, token=%s")],
    "a consistency token": [(b"authorization", b"Bearer %s"), (b"X-Consistency-Token", b"garbage")],
}


@pytest.fixture
def gate(auth: AuthManager, token: str) -> Gate:
    """That takes cookies; the token came before."""
    assert auth.find_user_from_token(token)
    return Gate(auth, CookiePolicy(name=NAME, secure=False))


def scope(pairs: Pairs, token: str, **values: Any) -> dict[str, Any]:
    """A GET."""
    headers = [(name, value.replace(b"%s", token.encode())) for name, value in pairs]
    return {"type": "http", "method": "GET", "headers": headers, **values}


@pytest.mark.parametrize("what", USUAL)
async def test_a_usual_request(gate: Gate, ada: User, token: str, what: str) -> None:
    """Nothing more has to be asked."""
    assert gate.recall(scope(USUAL[what], token)) == (ada, token)
    assert gate.get_token(scope(USUAL[what], token)) == token


@pytest.mark.parametrize("what", UNUSUAL)
async def test_an_unusual_request(gate: Gate, ada: User, token: str, what: str) -> None:
    """Good, and left to all the rules."""
    assert gate.recall(scope(UNUSUAL[what], token)) is None
    assert await gate.get_user(scope(UNUSUAL[what], token)) is ada


@pytest.mark.parametrize("what", REFUSED)
async def test_a_request_that_is_refused(gate: Gate, token: str, what: str) -> None:
    """Left to the rules, which say why."""
    assert gate.recall(scope(REFUSED[what], token)) is None
    with pytest.raises(AuthError):
        await gate.get_user(scope(REFUSED[what], token))


@pytest.mark.parametrize("values", [{"method": "POST"}, {"method": "get"}, {"type": "websocket", "method": "GET"}])
async def test_a_cookie_of_what_could_change_something(gate: Gate, token: str, values: dict[str, str]) -> None:
    """Whose page it came from is asked there."""
    asked = scope(USUAL["a cookie"], token, scheme="https", **values)
    assert gate.recall(asked) is None
    with pytest.raises(AuthError):
        await gate.get_user(asked)


async def test_a_websocket_is_left_to_who_watches_it(gate: Gate, token: str) -> None:
    """With a bearer token, too."""
    assert gate.recall(scope(USUAL["a bearer token"], token, type="websocket")) is None


async def test_cookies_are_off_without_a_policy(auth: AuthManager, gate: Gate, token: str) -> None:
    """Even if somebody sends one."""
    assert gate.recall(scope(USUAL["a cookie"], token))
    assert Gate(auth).recall(scope(USUAL["a cookie"], token)) is None


async def test_any_mixture(gate: Gate, ada: User, token: str) -> None:
    """Who is recalled is who all the rules find."""
    lot = random.Random(7)  # noqa: S311 - no secret
    parts = [pair for pairs in (*USUAL.values(), *UNUSUAL.values(), *REFUSED.values()) for pair in pairs]
    recalled = 0
    for _ in range(3000):
        asked = scope(lot.sample(parts, lot.randint(1, 4)), token, method=lot.choice(["GET", "POST"]), scheme="https")
        if gate.recall(asked):
            recalled += 1
            assert await gate.get_user(asked) is ada
    assert recalled > 100


class Picky(AuthManager):
    """Wants more of a token."""

    banned = False

    async def get_user_from_token(self, token: object, *, at_least: str | None = None) -> User:
        user = await super().get_user_from_token(token, at_least=at_least)
        if self.banned:
            raise RevokedTokenError("banned")
        return user


class Pickier(Picky):
    """Derived once more."""


@pytest.mark.parametrize("kind", [Picky, Pickier])
async def test_who_wants_more_of_a_token_is_asked_each_time(settings: Settings, kind: type[Picky]) -> None:
    """However well the token is known."""
    async with kind(settings) as picky:
        ada = await add_user(picky, "ada")
        token = picky.issue_token(ada.id)
        gate = Gate(picky)
        asked = scope(USUAL["a bearer token"], token)
        for _ in range(3):
            assert gate.recall(asked) is None
            assert await gate.get_user(asked)
        picky.banned = True
        assert gate.recall(asked) is None
        with pytest.raises(RevokedTokenError):
            await gate.get_user(asked)


async def test_who_finds_in_another_way_is_asked_each_time(settings: Settings) -> None:
    """The shorter way is closed, the longer one is as it was; and who says something of all has what he says."""

    class Finding(AuthManager):
        def find_user_from_token(self, token: object) -> User | None:
            return super().find_user_from_token(token)

    class Recalling(Picky):
        def recall_user(self, token: str) -> User | None:
            return super().recall_user(token)

    assert Finding(settings).recall_user("x") is None
    assert Finding.get_user_from_token is AuthManager.get_user_from_token
    assert Recalling.recall_user is not Picky.recall_user
    assert Recalling.get_user_from_token is Picky.get_user_from_token
