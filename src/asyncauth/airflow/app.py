"""The app that core mounts at `/auth`: FAB's REST routes and ours at the same paths, and the pages."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from airflow.api_fastapi.app import AUTH_MANAGER_FASTAPI_APP_PREFIX, get_cookie_path
from airflow.configuration import conf
from fastapi import FastAPI

from asyncauth.airflow.middleware import COOKIE
from asyncauth.airflow.settings import tokens_are_limited
from asyncauth.api.app import make_app
from asyncauth.pages import PageOptions, page_routes
from asyncauth.web.cookies import CookiePolicy

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
REGISTRATION_ROLE = "Public"
"""FAB gives it to users who are made without roles."""


def make_airflow_app(lifespan: Lifespan) -> FastAPI:
    """The app. `lifespan`: what starts and closes the process-wide manager, which all routes use."""
    app = make_app(
        cookie=cookie_policy(),
        prefix="",
        login_url=f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}/login/",
        default_role=REGISTRATION_ROLE,
        throttled=tokens_are_limited(),
        lifespan=lifespan,
    )
    app.routes.extend(page_routes(PageOptions(title="Airflow", home_url=get_cookie_path(), framed=True)))
    return app


def cookie_policy() -> CookiePolicy:
    """Where core looks for the token of a browser, and how it sets that cookie itself."""
    return CookiePolicy(
        name=COOKIE,
        path=get_cookie_path(),
        secure=_base_url().startswith("https:") or bool(conf.get("api", "ssl_cert", fallback="")),
        samesite="Lax",
        origins=_origins(),
    )


def _origins() -> tuple[str, ...]:
    """What browsers see: behind a proxy the server sees another scheme, or another host."""
    parts = urlsplit(_base_url())
    if not parts.scheme or not parts.netloc:
        return ()
    host = parts.netloc.lower().removesuffix({"http": ":80", "https": ":443"}.get(parts.scheme, ""))  # as browsers do
    return (f"{parts.scheme}://{host}",)


def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback="") or "")
