"""Run the parts of `make test` one after the other, all of them, and say how many minutes each took."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ("unit", "database", "faults", "web", "airflow", "e2e")
PARTS: dict[str, list[list[str]]] = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
    "types": [["mypy"]],
    **{name: [["pytest", "-q", f"tests/{name}"]] for name in TESTS},
}


def run(part: str) -> bool:
    """Run every command of a part; True if all succeeded."""
    print(f"\n── {part}", flush=True)
    codes = [subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode for command in PARTS[part]]
    return not any(codes)


def main(chosen: list[str]) -> int:
    """Run the parts named, or all; print the table; return the exit code."""
    if unknown := set(chosen) - set(PARTS):
        print(f"unknown part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    rows, start = [], time.monotonic()
    for part in chosen or PARTS:
        begin = time.monotonic()
        passed = run(part)
        rows.append((part, (time.monotonic() - begin) / 60, passed))
    print(f"\n{'part':<10} {'minutes':>7}")
    for part, minutes, passed in rows:
        print(f"{part:<10} {minutes:>7.2f}  {'passed' if passed else 'FAILED'}")
    print(f"{'total':<10} {(time.monotonic() - start) / 60:>7.2f}")
    return 0 if all(passed for _, _, passed in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
