"""What keeps the processors awake gives way to everything else, and ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.awake import awake

ENDED_BY_FORCE = """
import os, signal
from bench.awake import awake
with awake() as spinning:
    print(*(process.pid for process in spinning), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
IDLE_CLASS = getattr(os, "SCHED_IDLE", None)
"""Only Linux has it."""


def test_one_for_each_processor_gives_way_and_ends() -> None:
    with awake() as spinning:
        assert len(spinning) == (len(os.sched_getaffinity(0)) if IDLE_CLASS else 0)
        _wait_for(lambda: all(os.sched_getscheduler(process.pid) == IDLE_CLASS for process in spinning))
        assert [process.poll() for process in spinning] == [None] * len(spinning)
    assert {process.returncode for process in spinning} <= {-signal.SIGKILL}


def test_they_end_with_their_parent() -> None:
    """Whatever ends it."""
    done = subprocess.run(
        [sys.executable, "-c", ENDED_BY_FORCE],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    pids = done.stdout.split()
    assert bool(pids) == bool(IDLE_CLASS)
    _wait_for(lambda: not any(_is_running(pid) for pid in pids))


def _wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 120  # they end in their own time, which is what others leave
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def _is_running(pid: str) -> bool:
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[0] != "Z"  # nobody may be there to take leave of it
    except OSError:
        return False
