"""python -m bench.instructions [--check]: how many instructions it takes to do what every request does.

They are the same on a busy machine, so a change that costs 5 % shows. They depend on the build of the interpreter, and
are compared with those of the same build only. Counted with valgrind, else with perf, whichever runs here.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from bench.counted import BESIDE, WORK
from bench.data import filled
from bench.places import throw_away
from bench.progress import say

ROOT = Path(__file__).parent.parent
FILE = Path(__file__).parent / "instructions.json"
MARK = "getppid"
"""See `bench.counted.mark`."""
ALLOWED = 1.05
"""More than so many times what was recorded fails."""
CALLS = 1000
REQUESTS = 200
"""The same of requests to an app, each of which takes a hundred times as long."""
PERF_TIMES = 100
"""Beside perf the start is not left out but subtracted, so there is more to be counted. It costs no time there."""
USERS = 20
GREW, CANNOT, OTHER = 1, 2, 3
"""Exit codes: something takes more than is allowed; it cannot be counted here; recorded with another build."""
Count = Callable[[str, Sequence[str]], Mapping[str, int]]
"""URL of a filled database, names of `bench.counted.WORK` → instructions of one call, by name."""


class CountError(Exception):
    """It cannot be counted here."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions of one call, by name, and what they depend on."""

    made_with: Mapping[str, str]
    instructions: Mapping[str, int]

    def write(self, path: Path) -> None:
        """As JSON."""
        content = {"made_with": self.made_with, "instructions": self.instructions}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Counts":
        """What `write` wrote. Raises CountError if it is not there, or is something else."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                dict(content["made_with"]), {name: int(count) for name, count in content["instructions"].items()}
            )
        except OSError as error:
            raise CountError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CountError(f"{path} is no file that python -m bench.instructions wrote") from None


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is recorded, instead of recording")
    parser.add_argument("--file", type=Path, default=FILE, help="where it is recorded: bench/instructions.json")
    options = parser.parse_args(arguments)
    try:
        recorded = Counts.read(options.file) if options.check else None
        tool, count = find_counter()
        made_with = describe(tool)
        if recorded is not None and (differs := list(differences(recorded.made_with, made_with))):
            return _refuse(options.file, differs)
        with _database() as url:
            counts = Counts(made_with, added(count(url, list(WORK))))
        if recorded is not None:
            return report(recorded.instructions, counts.instructions)
        counts.write(options.file)
    except (CountError, OSError) as error:
        print(error, file=sys.stderr)
        return CANNOT
    report(counts.instructions, counts.instructions)
    say(f"recorded in {options.file}")
    return 0


def added(counts: Mapping[str, int]) -> Mapping[str, int]:
    """What stays where something empty stands beside it."""
    left = {name: counts[name] - counts[empty] for name, empty in BESIDE.items() if name in counts}
    return {name: left.get(name, count) for name, count in counts.items() if name not in BESIDE.values()}


def report(recorded: Mapping[str, int], now: Mapping[str, int]) -> int:
    """Print all, each beside what was recorded; returns the exit code."""
    code = 0
    for name, count in now.items():
        before = recorded.get(name)
        if before is None:
            print(f"{name}: {count:,} instructions, not recorded: record anew")
            code = GREW
            continue
        grew = count > before * ALLOWED
        code = GREW if grew else code
        verdict = "MORE THAN ALLOWED" if grew else "less: record anew" if count * ALLOWED < before else ""
        print(f"{name}: {count:,} instructions, recorded {before:,} ({count / before - 1:+.2%}) {verdict}".rstrip())
    return code


def differences(recorded: Mapping[str, str], here: Mapping[str, str]) -> Iterator[str]:
    """What makes two records incomparable, in words."""
    for name in dict.fromkeys([*recorded, *here]):
        if recorded.get(name) != here.get(name):
            yield f"{name}: {recorded.get(name, 'none')} there, {here.get(name, 'none')} here"


def describe(tool: str) -> Mapping[str, str]:
    """What instructions depend on beside our own code."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "tool": tool,
        "machine": platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "optimised": "yes" if "--enable-optimizations" in options else "no",
        "libc": " ".join(platform.libc_ver()),
        **{package: version(package) for package in ("pyjwt", "cryptography")},
    }


def find_counter() -> tuple[str, Count]:
    """What can count here, and its name with its version. Raises CountError if nothing can: found out by trying."""
    if shutil.which("valgrind") and (tried := _run("valgrind", "--version")).returncode == 0:
        return tried.stdout.strip(), count_with_valgrind
    if shutil.which("perf"):
        try:
            _perf_count("true")
        except CountError:
            pass
        else:
            return _run("perf", "--version").stdout.strip(), count_with_perf
    raise CountError("neither valgrind is here nor a perf that may count instructions: install valgrind")


def count_with_valgrind(url: str, names: Sequence[str]) -> Mapping[str, int]:
    """One process, with a dump of callgrind's counter at each mark."""
    orders = [part for name in names for part in (name, str(calls_of(name)))]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        tool = ["valgrind", "--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={out}"]
        done = _run(*tool, sys.executable, "-m", "bench.counted", url, *orders)
        if done.returncode:
            raise CountError(f"the counted process failed:\n{done.stderr}")
        dumps = [Path(f"{out}.{number}") for number in range(1, 2 * len(names) + 1)]
        if not all(dump.exists() for dump in dumps) or Path(f"{out}.{len(dumps) + 2}").exists():
            raise CountError(f"valgrind did not see each call of {MARK} once: is the C library stripped?")
        totals = [_total(dump.read_text()) for dump in dumps]
    return {name: round(total / calls_of(name)) for name, total in zip(names, totals[1::2], strict=True)}


def calls_of(name: str) -> int:
    """How often it is done while it is counted."""
    return REQUESTS if name in BESIDE or name in BESIDE.values() else CALLS


def _total(dump: str) -> int:
    found = re.search(r"^totals: (\d+)$", dump, re.MULTILINE)
    if found is None:
        raise CountError("valgrind wrote no total")
    return int(found[1])


def count_with_perf(url: str, names: Sequence[str]) -> Mapping[str, int]:
    """Two processes for each, with and without the calls."""
    return {name: round(_difference(url, name, calls_of(name) * PERF_TIMES)) for name in names}


def _difference(url: str, name: str, calls: int) -> float:
    without, with_calls = (
        _perf_count(sys.executable, "-m", "bench.counted", url, name, str(count)) for count in (0, calls)
    )
    return (with_calls - without) / calls


def _perf_count(*command: str) -> int:
    """Raises CountError: the processor's counters may not be read here, as in most containers."""
    with tempfile.NamedTemporaryFile("r") as out:
        done = _run("perf", "stat", "-x", ",", "-e", "instructions:u", "-o", out.name, "--", *command)
        found = re.search(r"^(\d+),[^,]*,instructions", out.read(), re.MULTILINE)
    if done.returncode or found is None:
        raise CountError(f"perf cannot count instructions:\n{done.stderr}")
    return int(found[1])


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    # The order of sets, and with it the work, comes from the hashes of strings.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def _database() -> Iterator[str]:
    """Filled, until the block ends."""
    with throw_away(["sqlite"]) as (place,), start_blocking_portal() as portal:
        crowd = filled(place.url, lambda filler: filler.crowd(USERS))
        with portal.wrap_async_context_manager(crowd):
            yield place.url


def _refuse(path: Path, differs: list[str]) -> int:
    lines = [
        f"{path} was recorded with another build, whose instructions cannot be compared:",
        *(f"  {one}" for one in differs),
        "record the code before your change here: python -m bench.instructions --file FILE; then --check --file FILE",
    ]
    print("\n".join(lines), file=sys.stderr)
    return OTHER


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
