"""Processors that are kept from sleeping while something is measured.

One that sleeps takes its time to wake, in a virtual machine above all: a load that waits for a database five times took
twice as long on an idle machine as on a busy one. Those of a server with work to do are awake.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PROGRAM = """
import os, sys
processor, parent = map(int, sys.argv[1:])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setaffinity(0, {processor})
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def awake() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Until the block ends, a process spins on each processor, of a class that gives way to every other at once. They
    end with their parent, whatever ends it. Does nothing where there is no such class (outside Linux)."""
    processors = os.sched_getaffinity(0) if hasattr(os, "SCHED_IDLE") else set()
    spinning = [
        subprocess.Popen([sys.executable, "-IS", "-c", _PROGRAM, str(processor), str(os.getpid())])
        for processor in sorted(processors)
    ]
    try:
        yield spinning
    finally:
        for process in spinning:
            process.kill()
        for process in spinning:
            process.wait()
