"""For the examples' own tests, which are written as yours could be: `pytest examples`."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """SQLAlchemy's asyncio extension knows asyncio only."""
    return "asyncio"
