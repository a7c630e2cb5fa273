"""python -m bench.http.server: the process that is measured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.http.apps import FAMILIES, POLICY, PeerMiddleware, bare
from bench.http.serving import App, serve
from bench.parts import started

PEER = "PyJWT and a TTL cache"


@asynccontextmanager
async def apps(given: dict[str, Any]) -> AsyncIterator[dict[str, App]]:
    """Of each family the empty app, ours without and with cookies; one manager for all."""
    async with started(given["url"]) as auth:
        found: dict[str, App] = {PEER: PeerMiddleware(bare)}
        for name, make in FAMILIES.items():
            found[f"{name}, empty"] = make(None, None)
            found[f"{name}, header"] = make(auth, None)
            found[f"{name}, cookie"] = make(auth, POLICY)
        yield found


if __name__ == "__main__":
    serve(apps)
