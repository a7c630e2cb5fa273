"""The example apps do what they show, under a real server."""

import asyncio
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from examples import demo
from examples.seed import PASSWORDS, seed

from asyncauth import AuthManager, Settings
from tests.conftest import NAME, PATIENCE_SECONDS, SECRET
from tests.web.conftest import bearer
from tests.web.servers import serve

ROOT = Path(__file__).parents[2]
EXAMPLES = ("asgi_app", "starlette_app", "fastapi_app", "litestar_app")
BAD_LOGINS = (b"", b"[]", b"{", b'{"username": "ada"}', b'{"username": 1, "password": 2}', b"\xff")
DEMO_SECONDS = 120  # the promise is 30 on an idle machine


@pytest.fixture(params=EXAMPLES)
async def http(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running example on a seeded database, set up by the environment as a reader would."""
    async with AuthManager(settings) as auth:
        await seed(auth)
    assert settings.database_url is not None
    environment = {
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": SECRET,
        "JWT_ISSUER": NAME,
        "JWT_AUDIENCE": NAME,
        "DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"ASYNCAUTH_{name}", value)
    app = importlib.import_module(f"examples.{request.param}").app
    async with (
        serve(app, lifespan="on") as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as client,
    ):
        yield client


async def test_an_example(http: httpx.AsyncClient) -> None:
    """Health, bad and good login, 200, 403, logout, 401."""
    assert (await http.get("/live")).status_code == 200
    assert (await http.get("/ready")).status_code == 200
    assert (await http.get("/dags/etl")).status_code == 401

    for bad in BAD_LOGINS:
        response = await http.post("/token", content=bad, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 422), bad
    response = await http.post("/token", json={"username": "ada", "password": "wrong"})
    assert (response.status_code, response.json()) == (401, {"detail": "wrong user name or password"})
    response = await http.post("/token", json={"username": "ada", "password": PASSWORDS["ada"]})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    headers = bearer(response.json()["access_token"])

    response = await http.get("/dags/etl", headers=headers)
    assert (response.status_code, response.json()) == (200, {"dag_id": "etl", "user": "ada"})
    response = await http.get("/dags/billing", headers=headers)
    assert response.status_code == 403
    assert response.json()["detail"].startswith("no role of `ada` has permission `can_read` on `DAG:billing`")

    assert (await http.delete("/token", headers=headers)).status_code == 204
    assert (await http.get("/dags/etl", headers=headers)).status_code == 401
    assert (await http.delete("/token", headers=headers)).status_code in (204, 401)  # plain ASGI: the route is public
    assert (await http.get("/nowhere")).status_code in (401, 404)


# ── the demo ──


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=DEMO_SECONDS, check=False
    )


def test_the_demo() -> None:
    """Ends by itself, with 0, and shows all it promises."""
    done = _run("-m", "examples.demo")
    assert done.returncode == 0, done.stderr
    shown = [line.strip() for line in done.stdout.splitlines()]
    answers = [line.split(" -> ")[0] + " " + line.split(" -> ")[1][:3] for line in shown if " -> " in line]
    assert answers == [
        "POST /token 200",
        "GET /dags/etl 200",
        "GET /dags/billing 403",
        "GET /dags/billing 200",
        "GET /dags/etl 403",
        "GET /dags/etl 200",
        "DELETE /token 204",
        "GET /dags/etl 401",
        "POST /token 401",
        "POST /token 200",
    ]
    assert "(looked at: `Viewer`)" in done.stdout
    assert "SQL of another process takes her role: seen after " in done.stdout
    warm = next(line for line in shown if line.startswith("warm request"))
    cold = next(line for line in shown if line.startswith("cold request"))
    assert warm.split()[2] == "0"
    assert 1 <= int(cold.split()[2]) <= 4
    assert done.stderr == ""


def test_the_demo_fails_when_an_answer_is_not_the_announced_one() -> None:
    """A demo that only prints would prove nothing."""
    broken = "import sys, examples.demo as d; d.PASSWORDS = {**d.PASSWORDS, 'ada': 'not hers'}; sys.argv[1:] = []"
    done = _run("-c", f"{broken}; sys.exit(d.main())")
    assert done.returncode == 1
    assert "FAILED: expected 200" in done.stderr


def _hear_ctrl_c() -> None:
    """A shell without a terminal has those ignore it that it starts in the background, and what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
async def served() -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m examples.demo --serve`, ended with the test whatever happens."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.demo", "--serve"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hear_ctrl_c,
    )
    yield server
    if server.returncode is None:
        server.kill()
        await server.communicate()


async def test_the_demo_serves_until_ctrl_c(served: asyncio.subprocess.Process) -> None:
    """Prints an address, a token and a line for curl that work; ends cleanly."""
    assert served.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(DEMO_SECONDS):
        while not (lines and lines[-1].startswith("Ctrl-C")):
            lines.append((await served.stdout.readline()).decode())
            assert lines[-1], "the demo ended early"
        command = next(line for line in lines if line.startswith("curl"))
        url, token = command.split()[-1], command.split("Bearer ")[1].split("'")[0]
        async with httpx.AsyncClient(timeout=60) as http:
            assert (await http.get(url, headers=bearer(token))).json() == {"dag_id": "billing", "user": "grace"}
        served.send_signal(signal.SIGINT)
        rest, errors = await served.communicate()
    assert (served.returncode, rest, errors) == (0, b"\nstopped\n", b"")


def test_the_demo_ignores_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has asyncauth configured already sees the same demo."""
    for name in list(os.environ):
        if name.startswith("ASYNCAUTH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ASYNCAUTH_JWT_PRIVATE_KEY_PATH", "/nowhere")
    demo.configure("sqlite+aiosqlite:///x.db")
    try:
        assert Settings().jwt_private_key_path is None
        assert Settings().database_url == "sqlite+aiosqlite:///x.db"
    finally:
        for name in [name for name in os.environ if name.startswith("ASYNCAUTH_")]:
            del os.environ[name]
