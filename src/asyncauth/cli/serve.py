"""`asyncauth serve`: the HTTP API in uvicorn."""

from importlib.util import find_spec
from typing import Annotated

import anyio
import typer

from asyncauth.errors import ConfigurationError
from asyncauth.manager import AuthManager
from asyncauth.settings import Settings

APP = "asyncauth.api.server:create_app"
"""What is served: a function without arguments that makes an ASGI app from the environment."""
APP_WITH_PAGES = "asyncauth.pages.server:create_app"
"""The same where the extra `pages` is installed."""


def serve(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535)] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="A proxy in front (address or network; may be given several times) whose X-Forwarded-For is believed. "
            "Without any, nobody's is: a client could pass for any address.",
        ),
    ] = None,
) -> None:
    """Serve the HTTP API, with the extra `pages` also pages for people, configured by the environment (ASYNCAUTH_…).

    It ends when it is told to.

    Exit codes: 0 ended, 1 it cannot start, 2 wrong usage.
    """
    if find_spec("uvicorn") is None or find_spec("fastapi") is None:
        raise ConfigurationError("serving needs uvicorn and fastapi: pip install 'asyncauth[serve]'")
    import uvicorn

    anyio.run(_try, Settings())
    uvicorn.run(
        APP if find_spec("jinja2") is None else APP_WITH_PAGES,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        proxy_headers=bool(proxy),
        forwarded_allow_ips=proxy or [],
        server_header=False,
        log_level="info",
    )


async def _try(settings: Settings) -> None:
    """Fail now, with one sentence, rather than in a worker."""
    async with AuthManager(settings):
        pass
