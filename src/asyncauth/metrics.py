"""A manager's status as metrics, for Prometheus and OpenTelemetry. Reads memory when it is asked; the warm path pays
nothing. Neither library is imported unless its function is called."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncauth.errors import ClosedError
from asyncauth.manager import AuthManager
from asyncauth.status import Status

__all__ = ["register_opentelemetry", "register_prometheus"]

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from prometheus_client import CollectorRegistry


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a status."""

    name: str
    help: str
    read: Callable[[Status], float | None]
    counts: bool = False
    """Whether it only grows."""


METRICS = (
    Metric("ready", "1: requests can be answered", lambda s: float(s.ready)),
    Metric("degraded", "1: triggers are missing", lambda s: float(s.degraded is not None)),
    Metric("listening", "1: a push connection stands", lambda s: float(s.listening)),
    Metric("proven_for_seconds", "how much longer memory may be trusted", lambda s: s.proven_for_seconds),
    Metric("since_proof_seconds", "age of the last proof of freshness", lambda s: s.seconds_since_proof),
    Metric("since_push_seconds", "age of the last wake-up", lambda s: s.seconds_since_push),
    Metric("change_lag_seconds", "age of the last change when it became known", lambda s: s.change_lag_seconds),
    Metric("users", "users in memory", lambda s: s.users),
    Metric("roles", "roles in memory", lambda s: s.roles),
    Metric("hits", "users answered from memory", lambda s: s.hits, counts=True),
    Metric("loads", "users read from the database", lambda s: s.loads, counts=True),
    Metric("changes", "records of the change log applied", lambda s: s.changes, counts=True),
    Metric(
        "keys_unread",
        "issuers, our own file of keys included, whose keys could not be read",
        lambda s: len(s.key_trouble),
    ),
    Metric("flushes", "times that everything was dropped", lambda s: sum(s.flushes.values()), counts=True),
)


def register_prometheus(auth: AuthManager, registry: "CollectorRegistry") -> None:
    """Add a collector to `registry`. A manager that is not running shows nothing."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    class Collector:
        def collect(self) -> Iterable[Any]:
            for metric, value in _values(auth):
                family = CounterMetricFamily if metric.counts else GaugeMetricFamily
                yield family(f"asyncauth_{metric.name}", metric.help, value=value)

    registry.register(Collector())


def register_opentelemetry(auth: AuthManager, meter: "Meter") -> None:
    """Add observable instruments to `meter`."""
    from opentelemetry.metrics import CallbackOptions, Observation

    def observe(wanted: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(value) for metric, value in _values(auth) if metric is wanted]

    for metric in METRICS:
        create = meter.create_observable_counter if metric.counts else meter.create_observable_gauge
        create(f"asyncauth.{metric.name}", callbacks=[observe(metric)], description=metric.help)


def _values(auth: AuthManager) -> list[tuple[Metric, float]]:
    try:
        status = auth.status()
    except ClosedError:
        return []
    values = ((metric, metric.read(status)) for metric in METRICS)
    return [(metric, float(value)) for metric, value in values if value is not None]
