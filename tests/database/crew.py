"""Processes that do the same to one database, all at once."""

import subprocess
import sys

WORKER = """
import sys, anyio
{imports}
print("ready", flush=True)
for url in sys.stdin:
    print(anyio.run({function}, url.strip()), flush=True)
"""


class Crew:
    """Processes with `function` of `module`, an async one that takes a URL."""

    def __init__(self, module: str, function: str, processes: int) -> None:
        program = WORKER.format(imports=f"from {module} import {function}", function=function)
        command, pipe = [sys.executable, "-W", "error", "-c", program], subprocess.PIPE
        self.processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(processes)
        ]
        assert self._answers() == ["ready"] * processes

    def call(self, url: str) -> list[str]:
        """What each answers, in order of the texts."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{url}\n")
            process.stdin.flush()
        return sorted(self._answers())

    def _answers(self) -> list[str]:
        """One line from each; its complaint from one that failed."""
        lines = []
        for process in self.processes:
            assert process.stdout is not None
            assert process.stderr is not None
            lines.append(process.stdout.readline().strip() or process.stderr.read())
        return lines

    def close(self) -> str:
        """End all; returns what they complained of."""
        return "".join(process.communicate(timeout=60)[1] for process in self.processes)
