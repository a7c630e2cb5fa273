"""The README's apps, asked as pasted. All of its code runs in `test_pages.py`, too."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asyncauth import AuthManager, admin
from asyncauth.web.http import ASGIApp
from tests.web.servers import serve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
_, LIFESPAN, *SERVED, ASGI = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(params=[*SERVED, ASGI], ids=["fastapi", "starlette", "litestar", "asgi"])
def app(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ASGIApp:
    """One app of the README; made here, where files may be read."""
    main = ModuleType("main")
    monkeypatch.setitem(sys.modules, "main", main)  # where frameworks look annotations up
    exec(compile(LIFESPAN + request.param, "main.py", "exec"), main.__dict__)  # noqa: S102 - our own README
    made: ASGIApp = make_protected(main) if request.param is ASGI else main.app
    return made


@pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)
async def test_each_app_runs_as_pasted(auth: AuthManager, app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the environment that the README exports it answers 401, 200 and 403."""
    settings = auth.settings
    for name in ("database_url", "jwt_secret", "jwt_issuer", "jwt_audience"):
        monkeypatch.setenv(f"ASYNCAUTH_{name.upper()}", str(getattr(settings, name)))
    await admin.create_role(auth, "Viewer")
    await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:etl")
    await admin.create_user(auth, username="ada", password="correct horse", email="ada@example.com", roles=["Viewer"])
    headers = {"Authorization": f"Bearer {await auth.login('ada', 'correct horse')}"}
    async with serve(app) as address, httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client:
        assert (await client.get("/dags/etl")).status_code == 401
        answer = await client.get("/dags/etl", headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"dag_id": "etl", "read_by": "ada"})
        assert (await client.get("/dags/billing", headers=headers)).status_code == 403


def make_protected(main: ModuleType) -> ASGIApp:
    """Any app, protected as the README does."""

    async def read_dag(request: Request) -> JSONResponse:
        return JSONResponse({"dag_id": request.path_params["dag_id"], "read_by": request.scope["user"].username})

    app: ASGIApp = main.protect(Starlette(routes=[Route("/dags/{dag_id}", read_dag)], lifespan=main.lifespan))
    return app


def test_the_readme_shows_every_framework() -> None:
    """Four short apps, and each has its five minutes."""
    assert len(SERVED) == 3
    for name in ("fastapi", "starlette", "litestar", "asgi", "airflow"):
        assert f"(docs/tutorials/{name}.md)" in README
        assert (ROOT / f"docs/tutorials/{name}.md").is_file()


def test_the_readme_opens_with_the_two_commands() -> None:
    """A visitor sees what to type first."""
    commands = re.findall(r"^make \w+", README.split("```")[1], re.MULTILINE)
    assert commands == ["make demo", "make test"]
    for command in commands:
        subprocess.run(["make", "--dry-run", command.split()[1]], cwd=ROOT, check=True, capture_output=True)
