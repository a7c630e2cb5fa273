"""The command `asyncauth`.

Exit codes: 0 done, and nothing is wrong; 1 it failed, or a check found something; 2 wrong usage. Errors are one
sentence on stderr.
"""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line of this process."""
    if find_spec("typer") is None:
        sys.exit("asyncauth: the command line needs typer: pip install 'asyncauth[cli]'")
    from asyncauth.cli.app import run

    run()
