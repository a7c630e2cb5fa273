"""What happens when, known to all processes: change number j is due at `begin + j * interval`, and is about subject
j modulo the number of subjects. A subject's right is taken, given, taken, …, by turns."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from bench.data import MARK

READ = "can_read"
ACTION = f"{MARK}_{READ}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of one run."""

    changes: int
    interval_seconds: float
    subjects: int = 64
    watched_seconds: float = 0.05
    """How long after a change half of the load asks about its subject."""
    deactivated_every: int = 0
    """Every such subject is deactivated, not only deprived of a right; 0: none. Nobody remembers refused users, so
    each request of one is a load."""
    rest_seconds: float = 0.5
    """How long the load goes on after the last change is due."""

    @property
    def seconds(self) -> float:
        """How long a run takes."""
        return self.changes * self.interval_seconds + self.rest_seconds

    def subject(self, change: int) -> int:
        """Whom a change is about: from 1."""
        return change % self.subjects + 1

    def gives(self, change: int) -> bool:
        """Whether a change gives the right."""
        return change // self.subjects % 2 == 1


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What one worker process is to do."""

    url: str
    plan: Plan
    settings: dict[str, Any] = field(default_factory=dict)
    """What differs from the defaults."""
    uvloop: bool = False
    saturated: bool = False
    """Ask as fast as possible; else at half of the measured capacity."""
    decisions_per_second: float | None = None
    """Ask at this rate."""
    cores: tuple[int, ...] = ()
    """Run on these only; empty: on any."""
    log: str | None = None
    """File for every single decision."""
    late_seconds: float = 0.0
    """Planted bug: one change is applied that much later."""

    def dump(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        """Read what `dump` wrote."""
        values = json.loads(text)
        return cls(**values | {"plan": Plan(**values["plan"]), "cores": tuple(values["cores"])})


@dataclass(frozen=True, slots=True)
class WriterOrder:
    """What the writer process is to do."""

    url: str
    plan: Plan
    ports: tuple[int, ...]
    """Where the workers wait for a datagram after each commit: what one process can tell another at best."""
    own: dict[str, Any] | None = None
    """Write through asyncauth, with these settings; None: plain SQL."""

    def dump(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        """Read what `dump` wrote."""
        values = json.loads(text)
        return cls(**values | {"plan": Plan(**values["plan"]), "ports": tuple(values["ports"])})


@dataclass(frozen=True, slots=True)
class Commit:
    """A change that was made, on the clock that all processes of a machine share."""

    change: int
    sent: float
    returned: float
