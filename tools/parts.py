"""Run the parts of `make test`, all of them, a few at a time, and say how many minutes each took."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
TESTS = ("apiserver", "database", "admin", "airflow", "faults", "e2e", "web", "unit")
APART = ("tests/database/admin", "tests/database/tokens")
"""The part `admin`: the rest of `tests/database` is the longest part without it."""
PARTS: dict[str, list[list[str]]] = {  # the longest first, so that all jobs end at about the same time
    **{name: [["pytest", "-q", f"tests/{name}"]] for name in TESTS},
    "database": [["pytest", "-q", "tests/database", *(f"--ignore={path}" for path in APART)]],
    "admin": [["pytest", "-q", *APART]],
    "mysql": [["pytest", "-q", "-k", "mysql", "tests/database", "tests/faults"]],
    "web": [["pytest", "-q", "tests/web", "examples"]],  # whose place above it keeps
    "types": [["mypy"]],
    "docs": [["mkdocs", "build", "--strict", "--quiet"]],
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
}
JOBS = min(3, 1 + (os.cpu_count() or 1))
"""One more than there are processors: parts wait for a fifth of their time, for processes to start and time to pass."""
VARIABLES = {"mysql": {"ASYNCAUTH_TEST_SERVER": "mysql"}}
"""What parts find in their environment. `mysql`: MySQL itself in place of MariaDB, where one is found."""
FIND_MYSQL = "from tests.servers.mysql import find_mysqld; print(find_mysqld() or '')"


@dataclass(frozen=True)
class Result:
    """How a part ended."""

    part: str
    minutes: float
    passed: bool


class Runner:
    """Runs parts. `show`: as they run; else their output comes when they have ended, each in one piece."""

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._running: set[subprocess.Popen[str]] = set()

    def run(self, part: str) -> Result:
        """Run every command of a part."""
        start = time.monotonic()
        with tempfile.TemporaryFile("w+") as output:
            variables = VARIABLES.get(part, {})
            codes = [self._call(command, variables, None if self._show else output) for command in PARTS[part]]
            output.seek(0)
            print(f"\n── {part}\n{output.read()}", end="", flush=True)
        return Result(part, (time.monotonic() - start) / 60, not any(codes))

    def terminate(self) -> None:
        """End what runs."""
        for process in tuple(self._running):
            process.terminate()

    def _call(self, command: list[str], variables: dict[str, str], output: IO[str] | None) -> int:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            text=True,
        )
        self._running.add(process)
        try:
            return process.wait()
        finally:
            self._running.discard(process)


def run_all(parts: list[str]) -> list[Result]:
    """Run parts; when we are interrupted or terminated, so are they."""
    runner = Runner(show=len(parts) == 1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(JOBS) as pool:
        try:
            return list(pool.map(runner.run, parts))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            runner.terminate()
            raise


def choose(named: list[str]) -> list[str]:
    """The parts named, or all; `mysql` unnamed only where there is a MySQL server."""
    if named:
        return [part for part in PARTS if part in named]
    command = [sys.executable, "-c", FIND_MYSQL]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    print(f"MySQL itself: {found or 'no server found, so the suite does not run on it'}", flush=True)
    return [part for part in PARTS if part != "mysql" or found]


def main(chosen: list[str]) -> int:
    """Run the parts named, or all; print the table; return the exit code."""
    if unknown := set(chosen) - set(PARTS):
        print(f"unknown part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    start = time.monotonic()
    results = run_all(choose(chosen))
    print(f"\n{'part':<10} {'minutes':>7}")
    for result in results:
        print(f"{result.part:<10} {result.minutes:>7.2f}  {'passed' if result.passed else 'FAILED'}")
    print(f"{'in all':<10} {(time.monotonic() - start) / 60:>7.2f}  {JOBS} at a time")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
