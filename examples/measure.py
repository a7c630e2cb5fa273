"""What one request costs, warm and cold: SQL statements counted, microseconds measured, here and now."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from sqlalchemy import Engine, event

from asyncauth import close_auth_manager, create_auth_manager, get_auth_manager

WARM_REQUESTS, WARM_DECISIONS, COLD_REQUESTS = 300, 5_000, 20
TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")

Request = Callable[[], Awaitable[object]]


@dataclass
class Statements:
    """How many SQL statements were sent by requests: what follows the changes runs whether requests come or not."""

    requests: int = 0


@dataclass
class Cost:
    """Samples of one kind of request."""

    statements: set[int] = field(default_factory=set)
    decision_us: list[float] = field(default_factory=list)
    request_us: list[float] = field(default_factory=list)


@contextmanager
def count_statements() -> Iterator[Statements]:
    """Count what every engine of this process sends, without what begins and ends transactions."""
    counted = Statements()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.upper().startswith(TRANSACTION):
            return
        task = asyncio.current_task()
        if task is None or task.get_name() != "asyncauth background":
            counted.requests += 1

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield counted
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def measure_warm(request: Request, token: str) -> Cost:
    """Requests of a user who is in memory."""
    cost = Cost()
    await request()
    auth = get_auth_manager()
    for _ in range(WARM_DECISIONS):
        start = time.perf_counter_ns()
        user = auth.find_user_from_token(token)
        decision = user and auth.decide(user, "can_read", "DAG:etl")
        cost.decision_us.append((time.perf_counter_ns() - start) / 1_000)
        if not decision:
            raise RuntimeError("a warm user is in memory and may read DAG:etl")
    for _ in range(WARM_REQUESTS):
        with count_statements() as counted:
            cost.request_us.append(await _microseconds(request))
        cost.statements.add(counted.requests)
    return cost


async def measure_cold(request: Request, token: str) -> Cost:
    """Each the first request to a manager that has just started: neither user nor roles are in memory."""
    cost = Cost()
    for _ in range(COLD_REQUESTS):
        await _restart()
        cost.decision_us.append(await _microseconds(partial(_load_and_decide, token)))
        await _restart()
        with count_statements() as counted:
            cost.request_us.append(await _microseconds(request))
        cost.statements.add(counted.requests)
    return cost


async def _load_and_decide(token: str) -> None:
    auth = get_auth_manager()
    auth.decide(await auth.get_user_from_token(token), "can_read", "DAG:etl")


async def _restart() -> None:
    await close_auth_manager()
    await create_auth_manager()


async def _microseconds(work: Request) -> float:
    start = time.perf_counter_ns()
    await work()
    return (time.perf_counter_ns() - start) / 1_000


def print_table(costs: dict[str, Cost]) -> None:
    """Medians, and every number of statements that was seen."""
    print(f"{'':16}{'SQL statements':>16}{'token to decision':>20}{'whole HTTP request':>21}")
    for name, cost in costs.items():
        statements = " or ".join(str(count) for count in sorted(cost.statements))
        decision, request = median(cost.decision_us), median(cost.request_us)
        print(f"{name:16}{statements:>16}{decision:>17,.1f} µs{request:>18,.1f} µs")
