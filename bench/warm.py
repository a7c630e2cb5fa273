"""A token of a user who is in memory. Floors: PyJWT's decode of the same token, and a hit of a bare `alru_cache`."""

import random
from collections.abc import Sequence
from itertools import cycle, islice

import jwt
from async_lru import alru_cache
from tests.statements import count_statements

from asyncauth import AuthManager
from bench.data import filled
from bench.figures import Figure
from bench.measure import Measure, Sample, interleaved, per_call
from bench.parts import NAME, SECRET, started
from bench.sizes import Sizes


async def measure(url: str, sizes: Sizes) -> list[Figure]:
    """SQL statements of a warm request, and the time from token to user."""
    async with filled(url, lambda filler: filler.crowd(sizes.users)), started(url) as auth:
        tokens = {user_id: auth.issue_token(user_id) for user_id in range(1, sizes.users + 1)}
        for token in tokens.values():
            await auth.get_user_from_token(token)
        one, everyone = [tokens[1]], list(tokens.values())
        found = await interleaved(
            sizes.rounds,
            _tokens("one", auth, one, sizes.calls),
            _tokens("random", auth, everyone, sizes.calls),
            _pyjwt(tokens[1], sizes.calls // 10),
            _alru(list(tokens), sizes.calls),
        )
        statements = await _statements(auth, tokens[1])
    floors = {"PyJWT": found["pyjwt"] * 1e6, "alru_cache hit": found["alru"] * 1e6}
    return [
        Figure("SQL statements of a warm request", "", statements, 0),
        Figure("warm token to user, one token", "µs", found["one"] * 1e6, 2, beside=floors),
        Figure(f"warm token to user, {sizes.users:,} at random", "µs", found["random"] * 1e6, 4, beside=floors),
    ]


async def _statements(auth: AuthManager, token: str) -> int:
    with count_statements() as statements:
        user = await auth.get_user_from_token(token)
        auth.decide(user, "can_read", "DAG:etl")
    return len(statements)


def _tokens(name: str, auth: AuthManager, tokens: Sequence[str], calls: int) -> Measure:
    async def measure() -> Sample:
        # A server makes a new string of every header, so its hash has to be computed on each call: here too.
        lot = cycle([token.encode().decode() for token in random.choices(tokens, k=calls)])

        async def work(count: int) -> None:
            for token in islice(lot, count):
                await auth.get_user_from_token(token)

        return {name: await per_call(calls, work)}

    return measure


def _pyjwt(token: str, calls: int) -> Measure:
    async def work(count: int) -> None:
        for _ in range(count):
            jwt.decode(token, SECRET, algorithms=["HS512"], issuer=NAME, audience=NAME, leeway=10)

    async def measure() -> Sample:
        return {"pyjwt": await per_call(calls, work)}

    return measure


def _alru(user_ids: Sequence[int], calls: int) -> Measure:
    @alru_cache(maxsize=None)
    async def load(user_id: int) -> int:
        return user_id

    lot = cycle(random.choices(user_ids, k=calls))

    async def work(count: int) -> None:
        for user_id in islice(lot, count):
            await load(user_id)

    async def measure() -> Sample:
        for user_id in user_ids:
            await load(user_id)
        return {"alru": await per_call(calls, work)}

    return measure
