"""One decision, allowed by the last of the user's roles, or refused. Floor: looking one key up in one set."""

from asyncauth import Role, User
from asyncauth.decide import decide
from asyncauth.model import permission_key
from bench.figures import Figure
from bench.measure import Measure, Sample, interleaved, per_call
from bench.sizes import Sizes

LIMITS = {1: 0.3, 5: 0.4, 20: 0.8}
"""Roles of the user → microseconds."""
PERMISSIONS = 300


async def measure(_url: str, sizes: Sizes) -> list[Figure]:
    """Decisions for users with 1, 5 and 20 roles of 300 permissions each."""
    users = {roles: _user(roles) for roles in LIMITS}
    allowed = [_deciding(f"allowed {n}", user, f"resource {n}.7", sizes.calls) for n, user in users.items()]
    refused = [_deciding(f"refused {n}", user, "resource", sizes.calls) for n, user in users.items()]
    found = await interleaved(sizes.rounds, *allowed, *refused, _look_up(users[1].roles[0], sizes.calls))
    floor = {"one set": found["look up"] * 1e6}
    return [
        *(
            Figure(
                f"decision, allowed by the last of {n} roles", "µs", found[f"allowed {n}"] * 1e6, limit, beside=floor
            )
            for n, limit in LIMITS.items()
        ),
        *(
            Figure(f"decision, refused by {n} roles", "µs", found[f"refused {n}"] * 1e6, 2, beside=floor)
            for n in LIMITS
        ),
    ]


def _user(roles: int) -> User:
    return User(1, "ada", tuple(_role(number) for number in range(1, roles + 1)))


def _role(number: int) -> Role:
    keys = frozenset(permission_key("can_read", f"resource {number}.{i}") for i in range(PERMISSIONS))
    return Role(number, f"role {number}", keys)


def _deciding(name: str, user: User, resource: str, calls: int) -> Measure:
    async def work(count: int) -> None:
        for _ in range(count):
            decide(user, "can_read", resource)

    async def measure() -> Sample:
        return {name: await per_call(calls, work)}

    return measure


def _look_up(role: Role, calls: int) -> Measure:
    keys, key = role.keys, permission_key("can_read", "resource 1.7")

    async def work(count: int) -> None:
        for _ in range(count):
            assert key in keys

    async def measure() -> Sample:
        return {"look up": await per_call(calls, work)}

    return measure
