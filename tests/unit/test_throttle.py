"""Who guesses passwords is refused, and nobody else is (F24)."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from asyncauth import Settings
from asyncauth.errors import LoginError, TooManyAttemptsError
from asyncauth.login.counts import BoundedMemory
from asyncauth.login.throttle import SLOW_SECONDS, Throttle, network_of
from asyncauth.web.http import refusal
from tests.conftest import NAME, SECRET
from tests.managers import FakeClock

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
WINDOW = 300
WRONG = "x"


def make(clock: FakeClock, **limits: int | None) -> Throttle:
    """A throttle with these limits."""
    values: dict[str, object] = {f"login_failures_{name}": amount for name, amount in limits.items()}
    return Throttle(Settings(jwt_secret=SECRET, jwt_issuer=NAME, jwt_audience=NAME, **values), clock.clock)


@pytest.fixture
def clock() -> FakeClock:
    """Stands still."""
    return FakeClock()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long logins were made to wait; nobody does."""
    done: list[float] = []

    async def sleep(seconds: float) -> None:
        done.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return done


async def outcome(
    throttle: Throttle, name: str, address: str | None = ELSEWHERE, *, right: bool = False, password: str = WRONG
) -> str:
    """How a login ends, and that no password is looked at where it is refused beforehand."""

    async def check() -> str:
        if right:
            return "in"
        raise LoginError

    try:
        return await throttle.guard(name, password, address, check)
    except LoginError:
        return "wrong"
    except TooManyAttemptsError as error:
        return f"wait {error.retry_after_seconds}"


async def outcomes(throttle: Throttle, count: int, name: str, address: str | None = ELSEWHERE) -> list[str]:
    """How so many wrong passwords end."""
    return [await outcome(throttle, name, address) for _ in range(count)]


@pytest.mark.parametrize("limit", ["per_user", "per_address", "in_all"])
async def test_a_limit_holds_until_its_window_ends(clock: FakeClock, limit: str) -> None:
    throttle = make(clock, **{limit: 3})
    assert await outcomes(throttle, 1, "ada") == ["wrong"]
    clock.advance(100)
    assert await outcomes(throttle, 4, "ada") == ["wrong", "wrong", "wait 200", "wait 200"]
    assert await outcome(throttle, "ada", right=True) == "wait 200"
    clock.advance(199.5)
    assert await outcome(throttle, "ada", right=True) == "wait 1"
    clock.advance(1)
    assert await outcome(throttle, "ada", right=True) == "in"
    assert await outcomes(throttle, 4, "ada", HOME) == ["wrong"] * 3 + [f"wait {WINDOW}"]


async def test_only_failures_count(clock: FakeClock) -> None:
    throttle = make(clock, per_user=2, per_address=2, in_all=2)
    assert {await outcome(throttle, "ada", right=True) for _ in range(20)} == {"in"}
    assert await outcomes(throttle, 2, "ada") == ["wrong"] * 2


async def test_a_refused_login_does_not_prolong_it(clock: FakeClock) -> None:
    throttle = make(clock, per_user=2)
    await outcomes(throttle, 2, "ada")
    for _ in range(9):
        clock.advance(30)
        assert (await outcome(throttle, "ada")).startswith("wait")
    clock.advance(30)
    assert await outcome(throttle, "ada", right=True) == "in"


async def test_a_name_in_any_case_is_one_name(clock: FakeClock) -> None:
    throttle = make(clock, per_user=2)
    assert [await outcome(throttle, name) for name in ("ada", "ADA", "aDa")] == ["wrong", "wrong", f"wait {WINDOW}"]
    assert await outcome(throttle, "grace") == "wrong"


async def test_spraying_one_password_over_many_names_is_seen_by_address(clock: FakeClock) -> None:
    throttle = make(clock, per_user=100, per_address=5)
    ended = [await outcome(throttle, f"user{number}") for number in range(7)]
    assert ended == ["wrong"] * 5 + [f"wait {WINDOW}"] * 2
    assert await outcome(throttle, "user9", HOME) == "wrong"


async def test_without_an_address_the_other_two_hold(clock: FakeClock) -> None:
    throttle = make(clock, per_user=3, per_address=1, in_all=5)
    assert await outcomes(throttle, 4, "ada", None) == ["wrong"] * 3 + [f"wait {WINDOW}"]
    assert await outcomes(throttle, 3, "grace", None) == ["wrong"] * 2 + [f"wait {WINDOW}"]


async def test_an_attacker_locks_nobody_out(clock: FakeClock) -> None:
    """Not where the user has logged in before; and not that place's guesses are free."""
    throttle = make(clock, per_user=3)
    assert await outcome(throttle, "ada", HOME, right=True) == "in"
    assert await outcomes(throttle, 4, "ada", ELSEWHERE) == ["wrong"] * 3 + [f"wait {WINDOW}"]
    assert await outcome(throttle, "Ada", HOME, right=True) == "in"
    assert await outcome(throttle, "ada", "192.0.2.2", right=True) == f"wait {WINDOW}"
    assert await outcomes(throttle, 4, "ada", HOME) == ["wrong"] * 3 + [f"wait {WINDOW}"]


async def test_who_has_logged_one_user_in_is_unknown_to_another(clock: FakeClock) -> None:
    throttle = make(clock, per_user=2)
    await outcome(throttle, "mallory", ELSEWHERE, right=True)
    assert await outcomes(throttle, 2, "ada", HOME) == ["wrong"] * 2
    assert await outcome(throttle, "ada", ELSEWHERE, right=True) == f"wait {WINDOW}"


async def test_an_address_is_known_for_a_while_after_the_last_login(clock: FakeClock) -> None:
    throttle = make(clock, per_user=1)
    days = 86_400
    for _ in range(2):
        await outcome(throttle, "ada", HOME, right=True)
        clock.advance(29 * days)
    await outcome(throttle, "ada", ELSEWHERE)
    assert await outcome(throttle, "ada", HOME, right=True) == "in"
    clock.advance(31 * days)
    await outcome(throttle, "ada", ELSEWHERE)
    assert await outcome(throttle, "ada", HOME, right=True) == f"wait {WINDOW}"


async def test_too_many_in_all_slow_known_addresses_and_refuse_others(clock: FakeClock, slept: list[float]) -> None:
    throttle = make(clock, in_all=3)
    await outcome(throttle, "ada", HOME, right=True)
    assert [await outcome(throttle, f"user{n}") for n in range(4)] == ["wrong"] * 3 + [f"wait {WINDOW}"]
    assert slept == []
    assert await outcome(throttle, "ada", HOME, right=True) == "in"
    assert await outcome(throttle, "ada", HOME) == "wrong"
    assert slept == [SLOW_SECONDS] * 2


async def test_many_guesses_at_once_gain_nothing(clock: FakeClock) -> None:
    """All are let in before the first has failed. Behind the limit neither a wrong one nor the right one is told."""
    throttle = make(clock, per_user=3)
    gates = [anyio.Event() for _ in range(6)]
    ended: list[str] = []

    def checking(number: int) -> Callable[[], Awaitable[str]]:
        async def check() -> str:
            await gates[number].wait()
            if number == 4:
                return "in"
            raise LoginError

        return check

    async def guess(number: int) -> None:
        try:
            ended.append(await throttle.guard("ada", "x", ELSEWHERE, checking(number)))
        except LoginError:
            ended.append("wrong")
        except TooManyAttemptsError:
            ended.append("wait")

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(guess, number)
        await anyio.wait_all_tasks_blocked()
        for gate in gates:
            gate.set()
            await anyio.wait_all_tasks_blocked()
    assert ended == ["wrong"] * 3 + ["wait"] * 3


async def test_what_no_password_can_be_is_not_counted(clock: FakeClock) -> None:
    """It costs nothing to try, so it would be a cheap way to use limits up."""
    throttle = make(clock, per_user=1, per_address=1, in_all=1)
    for password in ("", "\0", "x" * 5000):
        assert [await outcome(throttle, "ada", password=password) for _ in range(3)] == ["wrong"] * 3
    assert await outcome(throttle, "ada", right=True) == "in"


@pytest.mark.parametrize("name", ["", "a" * 100_000, "\0", "\ud800", "ада", "ada\n"])
async def test_any_name_can_be_counted(clock: FakeClock, name: str) -> None:
    throttle = make(clock, per_user=1)
    assert await outcomes(throttle, 2, name) == ["wrong", f"wait {WINDOW}"]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a unix socket", "a unix socket"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_memory_is_bounded(clock: FakeClock) -> None:
    memory = BoundedMemory(10, clock.clock)
    for number in range(1000):
        await memory.incr(f"key{number}", 60)
        await memory.incr("hot", 60)
    assert await memory.get("hot") == 1000
    assert await memory.reset() == 10


def test_the_answer_says_when_to_come_again() -> None:
    status, headers, body = refusal(TooManyAttemptsError("ada", retry_after_seconds=7))
    assert (status, headers["Retry-After"]) == (429, "7")
    assert b"ada" not in body
