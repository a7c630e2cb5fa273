"""The bench's judge: which answers it takes for wrong. One subject; its right is taken at 10 and given back at 20."""

import asyncio
from pathlib import Path

import pytest
from bench.fresh.crew import Run, Seen
from bench.fresh.history import Verdict, check, latencies
from bench.fresh.plan import Commit, Plan
from bench.fresh.worker import GRANTED, REFUSED, UNKNOWN, Recorder, patiently

from asyncauth.errors import UnavailableError

PLAN = Plan(changes=2, interval_seconds=10, subjects=1)
COMMITS = [Commit(0, 10.0, 10.1), Commit(1, 20.0, 20.1)]
BOUND = 1.0


def judge(folder: Path, *answers: tuple[int, float, float]) -> Verdict:
    """What the judge says of one worker's answers: (answer, start, end), in the order of their ends."""
    recorder = Recorder(everything=True)
    for answer, start, end in answers:
        recorder.note(1, answer, start, end)
    recorder.write(folder / "log")
    return check(PLAN, COMMITS, [folder / "log"], BOUND)


@pytest.mark.parametrize(
    ("answer", "start", "wrong"),
    [
        (GRANTED, 9.0, None),
        (GRANTED, 11.0, None),
        (GRANTED, 11.2, "wrong_grants"),
        (GRANTED, 19.8, "wrong_grants"),
        (GRANTED, 20.05, None),
        (REFUSED, 9.8, "wrong_refusals"),
        (REFUSED, 10.05, None),
        (REFUSED, 21.0, None),
        (REFUSED, 21.2, "wrong_refusals"),
    ],
)
def test_right_is_what_was_true_within_the_bound(tmp_path: Path, answer: int, start: float, wrong: str | None) -> None:
    """The bound is counted from the start of the request; a commit is true from some moment before it has returned."""
    verdict = judge(tmp_path, (answer, start, start + 0.01))
    found = {name for name in ("wrong_grants", "wrong_refusals", "went_back") if getattr(verdict, name)}
    assert found == ({wrong} if wrong else set())


def test_a_worker_does_not_go_back(tmp_path: Path) -> None:
    """Having shown a change, it may not answer as before it, unless the request had begun before."""
    shown = (REFUSED, 10.2, 10.21)
    assert judge(tmp_path, shown, (GRANTED, 10.3, 10.31)).went_back == 1
    assert judge(tmp_path, shown, (GRANTED, 10.15, 10.31)).went_back == 0


def test_it_counts_what_is_near_a_commit_and_what_is_not_known(tmp_path: Path) -> None:
    """From 5 ms before the commit to 50 ms after it."""
    near = [(GRANTED, 10.096, 10.097), (REFUSED, 10.149, 10.1495)]
    verdict = judge(tmp_path, (GRANTED, 10.0, 10.09), *near, (REFUSED, 10.2, 10.3), (UNKNOWN, 10.3, 10.4))
    assert (verdict.decisions, verdict.near, verdict.unknown) == (5, 2, 1)


def test_latency_is_from_the_commit_having_returned_to_the_last_grant() -> None:
    """0 if none came after it; a revoke that was never seen is counted apart."""

    (late,), missed = measured((1, 10.35, 10.4))
    assert (round(late, 6), missed) == (0.25, 0)
    assert measured((1, 10.05, 10.2)) == ([0.0], 0)
    assert measured() == ([], 1)


@pytest.mark.parametrize("start", [9.99, 10.05, 10.2])
def test_a_refusal_counts_whenever_its_request_began(start: float) -> None:
    """One that had to load may begin before the commit and see it all the same: that revoke was seen."""
    recorder = Recorder(everything=False)
    recorder.note(1, GRANTED, 9.9, 9.91)
    recorder.note(1, REFUSED, start, 10.3)
    assert measured(*recorder.ends) == ([0.0], 0)


def measured(*ends: tuple[int, float, float]) -> tuple[list[float], int]:
    """The latencies of one worker that saw these ends, and how many revokes it did not see."""
    seen = Seen(0, 0, 0, (0, 0, 0, 0), {}, {}, list(ends), 0, 0, {}, [], {})
    return latencies(Run(PLAN, 0, COMMITS, [seen]))


async def test_who_tries_again_lets_others_have_their_turn() -> None:
    """A refusal for want of proof waits for nothing: the follower, which brings the proof, would never run."""
    proven = asyncio.Event()
    asyncio.get_running_loop().call_soon(proven.set)
    tries = 0

    async def call() -> None:
        nonlocal tries
        tries += 1
        assert tries < 1000
        if not proven.is_set():
            raise UnavailableError

    await patiently(call)
    assert tries == 2
