"""Try mutants, each in a fork of a pytest that knows its tests.

mutmut's own runner starts pytest anew for each mutant, which costs more than the tests do. Here the tests are run once,
to learn which of them call which function and how long they take; then each mutant is tried in a child of that process,
by the tests that call its function, what noticed the last mutant of that function first, then the quickest. Servers are
started once and serve all children.
"""

import contextlib
import gc
import hashlib
import itertools
import json
import os
import select
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from tools.mutants import Change
from tools.mutation import Mutant

MOST_SECONDS = 20.0
"""Of tests for one mutant, by the time that they took without any: who gets through that has survived."""
GRACE_SECONDS = 10.0
NO_MUTANT = Mutant("", "", "", Change("", "", ""))
PATIENCE = 4
"""So many times what its tests took a mutant may take."""


def try_all(mutants: Sequence[Mutant], folder: Path, tell: Callable[[Mutant, str], None]) -> None:
    """Try mutants that `mutate` has put into a folder; `tell` is called with each and how it ended (killed, timeout,
    survived, no tests, crashed).

    Raises:
        SystemExit: a test fails without any mutant, or somebody ended it.
    """
    source = str((folder / "src").resolve())
    sys.path[:0] = [source, str(Path.cwd())]
    os.environ["PYTHONPATH"] = source  # for programs that tests start
    # Not the long traceback, for which pytest would parse the mutated file, thousands of lines, at every failure.
    options = ["-q", "--capture=sys", "--tb=native", "-p", "no:cacheprovider"]
    tests = config().pytest_add_cli_args_test_selection
    if code := pytest.main([*options, *tests], plugins=[Runner(mutants, tell, folder / "tests.json")]):
        raise SystemExit(int(code))


@dataclass
class Child:
    """A process that tries a mutant."""

    mutant: Mutant
    tests: Sequence[pytest.Item]
    pid: int
    pipe: int
    """Where it writes the number of the test that noticed."""
    deadline: float
    """On the monotonic clock."""


@dataclass
class Runner:
    """A plugin of pytest that runs the collected tests as described above.

    Args:
        mutants: those to try.
        tell: called with each mutant and how it ended.
        known: where to remember which test calls what, and how long it takes.
    """

    mutants: Sequence[Mutant]
    tell: Callable[[Mutant, str], None]
    known: Path
    seconds: dict[str, float] = field(default_factory=dict)
    callers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Function → tests."""
    killers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Function → tests that noticed mutants of it, the last one first."""
    children: dict[int, Child] = field(default_factory=dict)
    """By their pipes."""
    sound: dict[str, bool] = field(default_factory=dict)
    """Whether a test that noticed something passes in a child without any mutant."""
    again: list[Mutant] = field(default_factory=list)
    """Those that only an unsound test noticed."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Examples are the same for every mutant, and none is made simpler: that one fails is all that matters."""
        import hypothesis  # pytest wants to be first

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", deadline=None, derandomize=True, database=None, phases=phases)
        hypothesis.settings.load_profile("mutants")
        from tests import waiting

        waiting.GIVE_UP_SECONDS = 3.0  # what comes, comes at once

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn what the tests call, then try the mutants."""
        if session.testsfailed:
            raise session.Failed("errors while collecting")
        self._learn(session.items)
        gc.collect()
        gc.freeze()
        tests = {item.nodeid: item for item in session.items}
        ended: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):  # an exception could get lost in what runs around a fork
            signal.signal(number, lambda number, _: ended.append(number))
        try:
            for mutant in itertools.chain(self.mutants, self._pop_again()):
                if ended:
                    pytest.exit("ended by somebody; the next run goes on from here", 1)
                while len(self.children) >= 2 * (os.cpu_count() or 1):  # many wait for what never comes
                    self._wait()
                if chosen := self._choose(mutant, tests):
                    self._start(mutant, chosen)
                else:
                    self.tell(mutant, "no tests")
        finally:
            for child in self.children.values():
                _end(child, kill=True)
        return True

    def _pop_again(self) -> Iterator[Mutant]:
        """At last those that have to be tried again, until all children are done."""
        while self.children or self.again:
            while self.children:
                self._wait()
            while self.again:
                yield self.again.pop()

    def _learn(self, items: Sequence[pytest.Item]) -> None:
        """Run the tests that are new or changed, and one on each database, whose server then serves the children."""
        digests = _digests(items)
        known = json.loads(self.known.read_text()) if self.known.exists() else {}
        known = {name: one for name, one in known.items() if one["digest"] == digests.get(name)}
        backends = {item.callspec.params.get("backend"): item for item in items if hasattr(item, "callspec")}
        chosen = [item for item in items if item.nodeid not in known or item in backends.values()]
        for number, item in enumerate(chosen):
            state()._stats.clear()
            set_mutant_under_test("stats")
            reports = runtestprotocol(item, log=False, nextitem=_next(chosen, number))
            set_mutant_under_test("")
            for report in reports:
                if report.failed:
                    pytest.exit(f"{item.nodeid} fails without any mutant:\n{report.longreprtext}", 1)
            known[item.nodeid] = {
                "digest": digests[item.nodeid],
                "seconds": sum(report.duration for report in reports),
                "calls": sorted(state()._stats),
            }
            if number % 50 == 0 or number + 1 == len(chosen):
                self.known.write_text(json.dumps(known, indent=1))
        for name, one in known.items():
            self.seconds[name] = one["seconds"]
            for function in one["calls"]:
                self.callers[function].add(name)

    def _choose(self, mutant: Mutant, tests: dict[str, pytest.Item]) -> list[pytest.Item]:
        first = {name: number for number, name in enumerate(self.killers[mutant.function][:5])}
        names = sorted(self.callers[mutant.function], key=lambda name: (first.get(name, 9), self.seconds[name], name))
        chosen: list[pytest.Item] = []
        seconds = 0.0
        for name in (name for name in names if self.sound.get(name, True)):
            seconds += self.seconds[name]
            if seconds > MOST_SECONDS and chosen:
                break
            chosen.append(tests[name])
        return chosen

    def _is_sound(self, item: pytest.Item) -> bool:
        if item.nodeid not in self.sound:
            child = self._fork(NO_MUTANT, [item])
            select.select([child.pipe], [], [], max(0.0, child.deadline - time.monotonic()))
            self.sound[item.nodeid] = _end(child, kill=time.monotonic() > child.deadline) == 0
            if not self.sound[item.nodeid]:
                print(f"left out: {item.nodeid} fails in a child without any mutant", file=sys.stderr, flush=True)
        return self.sound[item.nodeid]

    def _start(self, mutant: Mutant, tests: Sequence[pytest.Item]) -> None:
        child = self._fork(mutant, tests)
        self.children[child.pipe] = child

    def _fork(self, mutant: Mutant, tests: Sequence[pytest.Item]) -> Child:
        pipe, end = os.pipe()
        expected = sum(self.seconds[item.nodeid] for item in tests)
        pid = os.fork()
        if pid == 0:
            code = 3
            try:
                code = _try(mutant, tests, end)
            finally:
                os._exit(code)
        os.close(end)
        deadline = time.monotonic() + GRACE_SECONDS + PATIENCE * expected
        return Child(mutant, tests, pid, pipe, deadline)

    def _wait(self) -> None:
        """For one child at least, or for its deadline."""
        soonest = min(child.deadline for child in self.children.values())
        ended, _, _ = select.select([*self.children], [], [], max(0.0, soonest - time.monotonic()))
        for pipe in ended:
            child = self.children.pop(pipe)
            number, code = os.read(pipe, 16), _end(child)
            if not number:
                self.tell(child.mutant, "crashed" if code else "survived")
            elif self._is_sound(child.tests[int(number)]):
                name = child.tests[int(number)].nodeid
                killers = self.killers[child.mutant.function]
                killers[:] = [name, *(one for one in killers if one != name)]
                self.tell(child.mutant, "killed")
            else:
                self.again.append(child.mutant)
        for child in [child for child in self.children.values() if time.monotonic() > child.deadline]:
            del self.children[child.pipe]
            _end(child, kill=True)
            self.tell(child.mutant, "timeout")


def _end(child: Child, *, kill: bool = False) -> int:
    """Wait for the end of a child that has told its result, or kill it with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        if kill:
            os.killpg(child.pid, signal.SIGKILL)
    os.close(child.pipe)
    _, status = os.waitpid(child.pid, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return status


def _try(mutant: Mutant, tests: Sequence[pytest.Item], pipe: int) -> int:
    """In the child: run tests until one fails; the exit code."""
    os.setpgid(0, 0)
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    set_mutant_under_test(mutant.name)
    with _own_databases():
        tests[0].session._setupstate.teardown_exact(tests[0])
        for number, item in enumerate(tests):
            if any(report.failed for report in runtestprotocol(item, log=False, nextitem=_next(tests, number))):
                os.write(pipe, str(number).encode())
                return 1
    return 0


@contextlib.contextmanager
def _own_databases() -> Iterator[None]:
    """Drop the databases that are made inside the block."""
    from tests.databases import Database, Databases

    made: list[Database] = []
    name = Databases._name

    def remember(self: Databases, backend: str) -> Database:
        made.append(name(self, backend))
        return made[-1]

    Databases._name = remember  # type: ignore[method-assign]
    try:
        yield
    finally:
        set_mutant_under_test("")
        for database in made:
            with contextlib.suppress(Exception):
                database.host.drop_database(database.name)


def _next(tests: Sequence[pytest.Item], number: int) -> pytest.Item:
    """The test after that one, or any other: what the session shares is taken down before no next test."""
    if number + 1 < len(tests):
        return tests[number + 1]
    return next(item for item in tests[0].session.items if item is not tests[number])


def _digests(items: Sequence[pytest.Item]) -> dict[str, str]:
    """Of the files of the tests."""
    texts: dict[Path, str] = {}
    for item in items:
        if item.path not in texts:
            texts[item.path] = hashlib.sha256(item.path.read_bytes()).hexdigest()[:12]
    return {item.nodeid: texts[item.path] for item in items}
