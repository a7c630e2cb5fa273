"""The app behind `asyncauth serve` where the pages can be shown: the same as without, and the pages at /auth."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from asyncauth.api import server
from asyncauth.pages.options import PageOptions
from asyncauth.pages.routes import page_routes
from asyncauth.settings import Settings
from asyncauth.web.cookies import CookiePolicy

FRONT, LOGIN = "/auth/", "/auth/login/"


def create_app(settings: Settings | None = None) -> Starlette:
    """An ASGI app with a manager of its own. `settings`: None reads the environment.

    The cookie is the strictest: browsers keep it only where they reach the server with https, or on this machine.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    pages = page_routes(PageOptions(title="Users and roles"))
    app = server.create_app(settings, pages=pages, cookie=CookiePolicy(), login_url=LOGIN)
    app.router.routes.append(Route("/", _to_the_front))
    return app


async def _to_the_front(_: Request) -> RedirectResponse:
    return RedirectResponse(FRONT, 303)
