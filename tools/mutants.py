"""Try the mutants of what decides, verifies and keeps memory true, and compare those that no test noticed with those
that tests/mutants.toml explains. What was done is remembered in mutants/; the next time goes on from there, and tries
again what survived."""

import json
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Container, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
EXPLAINED = ROOT / "tests" / "mutants.toml"
STATE = ROOT / "mutants"
NOTICED = {"killed", "timeout"}


class Change(NamedTuple):
    """What makes a mutant, as people know it: mutmut's numbers move with every line."""

    of: str
    """Module, class and function."""
    before: str
    after: str


def name_function(mutant: str) -> str:
    """`asyncauth.cache.Cache.put` for `asyncauth.cache.xǁCacheǁput__mutmut_3`."""
    module, _, mangled = mutant.rpartition(".")
    name = mangled.rpartition("__mutmut_")[0]
    parts = name.split("\u01c1")[1:] if "\u01c1" in name else [name.removeprefix("x_")]
    return ".".join([module, *parts])


def read_explained() -> dict[Change, str]:
    """The mutants that need not be noticed, each with the reason."""
    groups = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["equivalent"]
    return {Change(group["of"], group["before"], after): group["why"] for group in groups for after in group["after"]}


class Record:
    """How mutants ended, kept in a file: a mutant counts as tried as long as its function stays as it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}

    def end(self, name: str, digest: str) -> str | None:
        """How a mutant ended; None: it was not tried."""
        known, end = self._ends.get(name, ("", None))
        return end if known == digest else None

    def note(self, name: str, digest: str, end: str) -> None:
        """Remember it, whatever happens next."""
        self._ends[name] = [digest, end]
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._ends, indent=0))
        draft.replace(self._path)


def run(patterns: Sequence[str]) -> dict[str, tuple[Change, str]]:
    """Every mutant that matches, or all: what it changes and how it ended.

    Raises:
        SystemExit: a test fails without any mutant.
    """
    from tools import mutation, trying

    os.chdir(ROOT)
    STATE.mkdir(exist_ok=True)
    mutants = [one for one in mutation.mutate(STATE) if not patterns or any(fnmatch(one.name, of) for of in patterns)]
    record = Record(STATE / "ends.json")
    left = [one for one in mutants if record.end(one.name, one.digest) not in NOTICED]
    left.sort(key=lambda one: record.end(one.name, one.digest) is not None)  # what was never tried goes first
    total = len(left)

    def tell(mutant: mutation.Mutant, end: str) -> None:
        nonlocal total
        total -= 1
        record.note(mutant.name, mutant.digest, end)
        print(f"{total:>5} left  {end:<9} {mutant.name}", file=sys.stderr, flush=True)

    if left:
        trying.try_all(left, STATE, tell)
    return {one.name: (Change(*one.change), record.end(one.name, one.digest) or "untried") for one in mutants}


def print_table(results: dict[str, tuple[Change, str]], explained: Container[Change]) -> None:
    """How many mutants of each module ended in which way."""
    table: dict[str, Counter[str]] = {}
    for name, (change, end) in results.items():
        kind = end if end in NOTICED else "explained" if change in explained else "survived"
        table.setdefault(name.rpartition(".")[0], Counter())[kind] += 1
    table["in all"] = sum(table.values(), Counter())
    kinds = ("killed", "timeout", "explained", "survived")
    print(f"{'module':<36} {'mutants':>9}", *(f"{kind:>9}" for kind in kinds))
    for module, counts in table.items():
        print(f"{module:<36} {counts.total():>9}", *(f"{counts[kind]:>9}" for kind in kinds))


def main(patterns: list[str]) -> int:
    """Run the mutants, print the table and what nobody noticed or explained; return the exit code."""
    results = run(patterns)
    explained = read_explained()
    print_table(results, explained)
    left = {change: end for change, end in results.values() if end not in NOTICED}
    survived = left.keys() - explained.keys()
    for change in sorted(survived):
        print(f"\n{left[change]}: this change of {change.of}:\n-   {change.before}\n+   {change.after}")
    stale = set() if patterns else explained.keys() - left.keys()
    for change in sorted(stale):
        print(f"\n{EXPLAINED.name} explains what does not survive in {change.of}:\n+   {change.after}")
    return 1 if survived or stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
