"""The adapters: what a handler gets, and that a decorator or dependency keeps the types of what it stands on."""

from typing import Any, assert_type

from fastapi import Depends, FastAPI
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from asyncauth import AuthManager, User
from asyncauth.web import fastapi, litestar, starlette
from asyncauth.web.asgi import AuthMiddleware, health_app, jwks_app
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.gate import gate_of
from asyncauth.web.http import ASGIApp, Receive, Scope, Send

app = FastAPI()


@app.get("/dags/{dag_id}", dependencies=[Depends(fastapi.requires("can_read", "DAG:{dag_id}"))])
async def read_dag(dag_id: str, user: fastapi.CurrentUser, token: fastapi.CurrentToken) -> str:
    assert_type(user, User)
    assert_type(token, str)
    return dag_id


@starlette.requires("can_read", "DAG:{dag_id}")
async def answer(request: Request) -> JSONResponse:
    assert_type(starlette.current_user(request), User)
    assert_type(starlette.current_token(request), str)
    return JSONResponse({})


@get("/dags/{dag_id:str}", guards=[litestar.requires("can_read", "DAG:{dag_id}")])
async def read_in_litestar(dag_id: str) -> str:
    return dag_id


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    gate = gate_of(scope)
    assert_type(await gate.get_user(scope), User)
    assert_type(gate.get_token(scope), str)


async def plugged(auth: AuthManager, request: Request) -> None:
    assert_type(await answer(request), JSONResponse)
    assert_type(fastapi.install(app, auth, cookie=CookiePolicy()), None)
    assert_type(starlette.install(Starlette(), auth), None)
    assert_type(starlette.health_routes(auth), list[BaseRoute])
    assert_type(Litestar([read_in_litestar], plugins=[litestar.AuthPlugin(auth)]), Litestar)
    wrapped: ASGIApp = AuthMiddleware(plain, auth, requires=which)
    apps: list[ASGIApp] = [health_app(auth), jwks_app(auth), wrapped]
    assert_type(apps, list[ASGIApp])


def which(scope: Scope) -> tuple[str, str] | None:
    path: Any = scope["path"]
    return None if path == "/" else ("can_read", f"DAG:{path}")
