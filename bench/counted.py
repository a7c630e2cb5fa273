"""The work whose instructions are counted, each between two marks that the counter sees. Started by
`bench.instructions`: the URL of a filled database, then names of `WORK`, each with how often it is to be done.

Imports stand where they are needed: a start takes fifty times as long while it is counted.
"""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from asyncauth import Role, User
from asyncauth.decide import decide
from asyncauth.model import permission_key
from bench.http import ADAPTERS, CARRIERS

Work = Callable[[int], Awaitable[None]]
"""Does it so many times."""
MakeWork = Callable[[str], AbstractAsyncContextManager[Work]]
"""Makes it ready, given the URL of a filled database."""
WARM_UP = 300
"""The interpreter has then specialised what it is going to."""
WARM = 1
NAME, SECRET = "asyncauth-bench", "a secret of the bench, long enough for HS512: 64 bytes, not one less"
NOW = 1_800_000_000
CLAIMS = {"jti": f"{7:032x}", "sub": "1", "nbf": NOW, "iat": NOW, "exp": NOW + 86_400, "iss": NAME, "aud": NAME}
"""As tokens of ours have them, and the same each time: another text costs another number of instructions."""


@asynccontextmanager
async def verify(_url: str) -> AsyncIterator[Work]:
    """A token that is seen for the first time: room for nothing."""
    import jwt

    from asyncauth.tokens.keys import Key
    from asyncauth.tokens.keyset import KeyRing, KeySet
    from asyncauth.tokens.verify import Verifier

    ring = KeyRing(KeySet([Key("HS512", SECRET.encode(), SECRET.encode())]))
    verifier = Verifier(ring, issuers=(NAME,), audiences=(NAME,), leeway_seconds=10, size=1, size_bytes=1)
    token = jwt.encode(CLAIMS, SECRET, algorithm="HS512")

    async def work(count: int) -> None:
        for _ in range(count):
            verifier.verify(token, NOW)

    yield work


@asynccontextmanager
async def warm(url: str) -> AsyncIterator[Work]:
    """A token of a user in memory, in a string of its own each time, as from a request."""
    from bench.parts import started

    async with started(url) as auth:
        token = auth.issue_token(WARM)
        await auth.get_user_from_token(token)

        async def work(count: int) -> None:
            for _ in range(count):
                await auth.get_user_from_token(token.encode().decode())

        yield work


@asynccontextmanager
async def allow(_url: str) -> AsyncIterator[Work]:
    """A decision that the last of five roles allows."""
    yield _deciding("resource 5.7")


@asynccontextmanager
async def refuse(_url: str) -> AsyncIterator[Work]:
    """A decision that none of five roles allows."""
    yield _deciding("resource")


def _deciding(resource: str) -> Work:
    user = User(WARM, "ada", tuple(_role(number) for number in range(1, 6)))

    async def work(count: int) -> None:
        for _ in range(count):
            decide(user, "can_read", resource)

    return work


def _role(number: int) -> Role:
    keys = frozenset(permission_key("can_read", f"resource {number}.{i}") for i in range(300))
    return Role(number, f"role {number}", keys)


def http(family: str, carrier: str, *, empty: bool) -> MakeWork:
    """A request to one of our adapters, or to the empty one beside it."""

    @asynccontextmanager
    async def make(url: str) -> AsyncIterator[Work]:
        from bench.http.inside import requesting

        async with requesting(url, family, carrier, empty=empty) as work:
            yield work

    return make


_REQUESTS = [(family, carrier) for family in ADAPTERS for carrier in CARRIERS]
_EMPTY = "{}, {}, empty"
WORK: dict[str, MakeWork] = {
    "verify HS512, not remembered": verify,
    "warm token to user": warm,
    "decision, allowed by the last of 5 roles": allow,
    "decision, refused by 5 roles": refuse,
    **{f"{family}, {carrier}": http(family, carrier, empty=False) for family, carrier in _REQUESTS},
    **{_EMPTY.format(family, carrier): http(family, carrier, empty=True) for family, carrier in _REQUESTS},
}
BESIDE = {f"{family}, {carrier}": _EMPTY.format(family, carrier) for family, carrier in _REQUESTS}
"""Of whose instructions those of another are subtracted: what stays is what we add."""


def mark() -> None:
    """A function of the C library that nothing here calls otherwise: `bench.instructions` knows it by its name."""
    os.getppid()


async def main(url: str, *orders: str) -> None:
    """Do each once to warm up, then as often as ordered."""
    gc.disable()  # when it runs is no matter of the code that is counted
    for name, count in zip(orders[::2], orders[1::2], strict=True):
        async with WORK[name](url) as work:
            await work(WARM_UP)
            mark()
            await work(int(count))
            mark()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
