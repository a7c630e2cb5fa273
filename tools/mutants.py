"""Run mutmut on what decides and what keeps memory true, and compare the mutants that no test noticed with those that
tests/mutants.toml explains. What it has done it remembers in mutants/, and goes on from there the next time."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Container, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
EXPLAINED = ROOT / "tests" / "mutants.toml"
STATE = ROOT / "mutants"
NOTICED = {"killed", "timeout"}
SURVIVED = {"survived", "no tests"}


class Change(NamedTuple):
    """What makes a mutant, as people know it: mutmut's numbers move with every line."""

    of: str
    """Module, class and function."""
    before: str
    after: str


def run_mutmut(*arguments: str) -> str:
    """What mutmut prints.

    Raises:
        CalledProcessError: the tests fail without any mutant, or mutmut itself does.
    """
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def read_results(patterns: list[str]) -> Iterator[tuple[str, str]]:
    """Each mutant with how it ended."""
    for line in run_mutmut("results", "--all", "true").splitlines():
        name, _, status = line.strip().rpartition(": ")
        if name and (not patterns or any(fnmatch(name, pattern) for pattern in patterns)):
            yield name, status


def name_function(mutant: str) -> str:
    """`asyncauth.cache.Cache.put` for `asyncauth.cache.xǁCacheǁput__mutmut_3`."""
    module, _, mangled = mutant.rpartition(".")
    name = mangled.rpartition("__mutmut_")[0]
    parts = name.split("\u01c1")[1:] if "\u01c1" in name else [name.removeprefix("x_")]
    return ".".join([module, *parts])


def show(mutant: str) -> Change:
    """The lines that differ."""
    lines = run_mutmut("show", mutant).splitlines()
    before, after = (
        " ".join(line[1:].strip() for line in lines if re.match(rf"\{sign}(?!\{sign}{{2}} )", line)) for sign in "-+"
    )
    return Change(name_function(mutant), before, after)


def read_explained() -> dict[Change, str]:
    """The mutants that need not be noticed, each with the reason."""
    groups = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["equivalent"]
    return {Change(group["of"], group["before"], after): group["why"] for group in groups for after in group["after"]}


def run(patterns: list[str]) -> dict[str, str]:
    """Every mutant that matches, or all, with how it ended. What survived before is tried again: tests may be new."""
    before = (
        [name for name, status in read_results([]) if status in SURVIVED] if STATE.exists() and not patterns else []
    )
    for chosen in [patterns, before] if before else [patterns]:  # mutmut tries again what it is given by name
        subprocess.run([sys.executable, "-m", "mutmut", "run", *chosen], cwd=ROOT, check=True, stdout=sys.stderr)
    return dict(read_results(patterns))


def print_table(results: dict[str, str], left: dict[str, Change], explained: Container[Change]) -> None:
    """How many mutants of each module were noticed, explained, or neither."""
    table: dict[str, Counter[str]] = {}
    for name in results:
        kind = "noticed" if name not in left else "explained" if left[name] in explained else "survived"
        table.setdefault(name.rpartition(".")[0], Counter())[kind] += 1
    table["in all"] = sum(table.values(), Counter())
    print(f"{'module':<36} {'mutants':>8} {'noticed':>8} {'explained':>9} {'survived':>8}")
    for module, counts in table.items():
        kinds = f"{counts['noticed']:>8} {counts['explained']:>9} {counts['survived']:>8}"
        print(f"{module:<36} {counts.total():>8} {kinds}")


def main(patterns: list[str]) -> int:
    """Run the mutants, print the table and what nobody noticed or explained; return the exit code."""
    results = run(patterns)
    left = {name: show(name) for name, status in results.items() if status not in NOTICED}
    explained = read_explained()
    print_table(results, left, explained)
    survived = set(left.values()) - explained.keys()
    for change in sorted(survived):
        print(f"\nno test notices this change of {change.of}:\n-   {change.before}\n+   {change.after}")
    stale = set() if patterns else explained.keys() - set(left.values())
    for change in sorted(stale):
        print(f"\n{EXPLAINED.name} explains what does not survive in {change.of}:\n+   {change.after}")
    return 1 if survived or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
