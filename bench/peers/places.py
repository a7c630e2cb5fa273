"""Where the peers are that cannot live in this environment."""

import os
from pathlib import Path

VARIABLE = "ASYNCAUTH_TEST_PEERS"
MADE = Path(__file__).parents[2] / ".cache/peers/bin/python"
MISSING = (
    f"fastapi-users is left out: it wants another SQLAlchemy than the one here, so it needs an environment of its own; "
    f"`make bench` makes it, or set {VARIABLE} to the Python of one with the dependency group peers-apart"
)


def find_python() -> str | None:
    """The Python that has fastapi-users; None: there is none."""
    python = Path(os.environ.get(VARIABLE) or MADE)
    return str(python) if python.is_file() else None
