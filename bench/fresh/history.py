"""What the workers said, held against what was committed.

A change becomes true at some moment between its statement being sent and its commit having returned.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.fresh.crew import Run
from bench.fresh.plan import Commit, Plan
from bench.fresh.worker import GRANTED, REFUSED

BEFORE_SECONDS, AFTER_SECONDS = 0.005, 0.05


def latencies(run: Run) -> tuple[list[float], int]:
    """Seconds from each revoke's commit having returned to the last grant, for each worker; 0: none came after it.
    And how many revokes a worker had not seen when the right was given again."""
    by_subject = _by_subject(run.plan, run.commits)
    found, missed = [], 0
    for worker in run.workers:
        ends: dict[int, list[tuple[float, float]]] = {subject: [] for subject in by_subject}
        for subject, granted, refused in worker.ends:
            ends[subject].append((granted, refused))
        for subject, commits in by_subject.items():
            for number, commit in enumerate(commits):
                if run.plan.gives(commit.change):
                    continue
                until = commits[number + 1].sent if number + 1 < len(commits) else float("inf")
                seen = [granted for granted, refused in ends[subject] if commit.sent < refused and granted < until]
                if seen:
                    found.append(max(0.0, max(seen) - commit.returned))
                else:
                    missed += 1
    return found, missed


def _by_subject(plan: Plan, commits: Sequence[Commit]) -> dict[int, list[Commit]]:
    found: dict[int, list[Commit]] = {}
    for commit in commits:
        found.setdefault(plan.subject(commit.change), []).append(commit)
    return found


@dataclass(slots=True)
class Verdict:
    """What a check found."""

    decisions: int = 0
    near: int = 0
    """Of these, between 5 ms before and 50 ms after a commit that changes their answer."""
    unknown: int = 0
    """Refused with 503."""
    wrong_grants: int = 0
    wrong_refusals: int = 0
    went_back: int = 0
    """A worker that had shown a change answered as before it."""


class History:
    """The versions of one subject's right: version 0 is granted, each commit makes the next one."""

    def __init__(self, commits: Sequence[Commit]) -> None:
        self._sent = [commit.sent for commit in commits]
        self._returned = [commit.returned for commit in commits]

    def versions(self, since: float, until: float) -> range:
        """Those that may have been true at some moment of that time."""
        return range(bisect_right(self._returned, since), bisect_left(self._sent, until) + 1)

    def is_near(self, start: float, end: float) -> bool:
        """Whether a commit is near."""
        first = bisect_left(self._returned, start - AFTER_SECONDS)
        return first < len(self._returned) and self._returned[first] <= end + BEFORE_SECONDS


def check(plan: Plan, commits: Sequence[Commit], logs: Sequence[Path], bound_seconds: float) -> Verdict:
    """Check every decision of every worker.

    Allowed is what was true at some moment of [start - bound, end], and nothing older than what the same worker had
    shown before the start.
    """
    histories = {subject: History(its) for subject, its in _by_subject(plan, commits).items()}
    verdict = Verdict()
    for log in logs:
        shown: dict[int, list[tuple[float, int]]] = {subject: [] for subject in range(1, plan.subjects + 1)}
        for start, end, subject, answer in _read(log):
            verdict.decisions += 1
            if answer not in {GRANTED, REFUSED}:
                verdict.unknown += 1
            elif subject in histories:
                _check_one(verdict, histories[subject], shown[subject], start, end, answer == GRANTED, bound_seconds)
    return verdict


def _check_one(
    verdict: Verdict,
    history: History,
    shown: list[tuple[float, int]],
    start: float,
    end: float,
    granted: bool,
    bound_seconds: float,
) -> None:
    verdict.near += history.is_near(start, end)
    possible = [v for v in history.versions(start - bound_seconds, end) if (v % 2 == 0) == granted]
    if not possible:
        if granted:
            verdict.wrong_grants += 1
        else:
            verdict.wrong_refusals += 1
        return
    floor = next((version for moment, version in reversed(shown) if moment <= start), 0)
    if possible[-1] < floor:
        verdict.went_back += 1
    elif not shown or possible[0] > shown[-1][1]:
        shown.append((end, possible[0]))


def _read(log: Path) -> Iterator[tuple[float, float, int, int]]:
    """Start, end, subject, answer, in the order of the ends."""
    size = log.stat().st_size // (2 * 8 + 2 * array("i").itemsize)
    times, what = array("d"), array("i")
    with log.open("rb") as file:
        times.fromfile(file, 2 * size)
        what.fromfile(file, 2 * size)
    return zip(times[::2], times[1::2], what[::2], what[1::2], strict=True)
