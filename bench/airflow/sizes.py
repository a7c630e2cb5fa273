"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of requests and rounds. What the goals speak of are the defaults; some ten minutes."""

    hang_runs: int = 20
    """Of our server with Airflow's default pool, on each database."""
    hang_runs_fab: int = 2
    """A run that hangs takes half a minute, and leaves a server that has to be started anew."""
    hang_requests: int = 200
    hang_seconds: float = 10.0
    """A run hangs if it takes longer; without hanging it takes one."""
    rounds: int = 3
    tail_rounds: int = 10
    """Of `latest_run`, for the 99th percentile."""
    requests: int = 2000
    slow_requests: int = 400
    """Where a request takes FAB long: without its cache, and of `/api/v2/pools`."""
    cold_users: int = 200
    cold_permissions: int = 1000
    dag_permissions: int = 10_000
    lag_calls: int = 200
    login_seconds: float = 5.0
    revokes: int = 1000
    revokes_fab: int = 3


QUICK = Sizes(
    hang_runs=2,
    hang_runs_fab=1,
    hang_seconds=5.0,
    rounds=1,
    tail_rounds=1,
    requests=200,
    slow_requests=100,
    cold_users=10,
    cold_permissions=50,
    dag_permissions=200,
    login_seconds=1.0,
    revokes=20,
    revokes_fab=1,
)
"""For a look at whether everything still runs: the figures mean nothing."""
