"""The router, and an app of its own."""

from typing import Any

from fastapi import APIRouter, FastAPI

from asyncauth.admin import SelfService
from asyncauth.api import audit, groups, people, roles
from asyncauth.api.self_service import self_service_routes
from asyncauth.api.tokens import token_routes
from asyncauth.api.users import user_routes
from asyncauth.manager import AuthManager
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.fastapi import install

FAB_PREFIX, OUR_PREFIX = "/fab/v1", "/v1"


def make_router(
    *,
    prefix: str = "/auth",
    login_url: str = "/",
    default_role: str | None = None,
    throttled: bool = True,
    self_service: SelfService | None = None,
) -> APIRouter:
    """All routes, for an app that `asyncauth.web.fastapi.install` has set up.

    Args:
        prefix: what stands before every path; Airflow mounts FAB's routes at `/auth`.
        login_url: where `GET …/logout` sends a browser.
        default_role: what a new user gets for whom no roles are named, as FAB's `AUTH_USER_REGISTRATION_ROLE`; None:
            nothing.
        throttled: whether the limits of failed logins hold for the two token routes, too.
        self_service: what people may do for themselves: register, replace a forgotten password. None: nothing.
    """
    router = APIRouter(prefix=prefix)
    router.include_router(token_routes(login_url, throttled=throttled), tags=["tokens"])
    router.include_router(user_routes(default_role), prefix=FAB_PREFIX, tags=["users"])
    router.include_router(roles.router, prefix=FAB_PREFIX, tags=["roles"])
    router.include_router(people.router, prefix=OUR_PREFIX, tags=["people"])
    router.include_router(groups.router, prefix=OUR_PREFIX, tags=["groups"])
    router.include_router(audit.router, prefix=OUR_PREFIX, tags=["audit"])
    if self_service is not None:
        router.include_router(self_service_routes(self_service), prefix=OUR_PREFIX, tags=["self-service"])
    return router


def make_app(
    auth: AuthManager | None = None,
    *,
    cookie: CookiePolicy | None = None,
    prefix: str = "/auth",
    login_url: str = "/",
    default_role: str | None = None,
    throttled: bool = True,
    self_service: SelfService | None = None,
    lifespan: Any = None,
) -> FastAPI:
    """An app with all routes and their documentation (`…/docs`, `…/openapi.json`), which anybody may read, as with FAB.

    Args:
        auth: the manager, started by the caller; None: the process-wide one, looked up at each request.
        cookie: takes tokens from a cookie, too.
        prefix, login_url, default_role, throttled, self_service: see `make_router`.
        lifespan: what starts and closes the manager, if the app should.
    """
    app = FastAPI(
        title="asyncauth",
        version="1",
        description="Users, roles and permissions: the API of Airflow's FAB provider, and more.",
        openapi_url=f"{prefix}/openapi.json",
        docs_url=f"{prefix}/docs",
        redoc_url=None,
        lifespan=lifespan,
    )
    install(app, auth, cookie=cookie)
    router = make_router(
        prefix=prefix,
        login_url=login_url,
        default_role=default_role,
        throttled=throttled,
        self_service=self_service,
    )
    app.include_router(router)
    return app
