"""`pip` for the pages: installs nothing, and refuses an extra of asyncauth that there is not."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def main(arguments: list[str]) -> int:
    """The exit code."""
    for text in arguments:
        for wanted in re.findall(r"^asyncauth\[(.*?)\]", text):
            if unknown := set(wanted.split(",")) - PROJECT["optional-dependencies"].keys():
                print(f"asyncauth has no extra {', '.join(sorted(unknown))}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
