"""All of it in a few seconds: `python -m examples.demo`. With `--serve` the server then stays up until Ctrl-C.

A real server (the FastAPI example under uvicorn) on a free port of this machine, a real HTTP client, a new SQLite
database. Server and client share one process, so that the server's SQL statements can be counted. Exits with 1 as soon
as an answer is not the one that is announced.
"""

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import uvicorn

from asyncauth import AuthManager, admin, get_auth_manager
from asyncauth.db.migrate import upgrade
from examples.fastapi_app import app
from examples.measure import COLD_REQUESTS, WARM_DECISIONS, WARM_REQUESTS, measure_cold, measure_warm, print_table
from examples.seed import PASSWORDS, PERMISSIONS, ROLES, seed

OTHER_PROGRAM = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=10)
database.execute("DELETE FROM ab_user_role WHERE user_id = (SELECT id FROM ab_user WHERE username = 'ada')")
database.commit()
print(time.monotonic())
"""
"""Run in a process of its own; prints when its commit had returned."""


class DemoError(Exception):
    """An answer was not the one announced."""


async def demo(directory: Path, *, serve: bool) -> None:
    """Everything, in order."""
    url = f"sqlite+aiosqlite:///{directory / 'auth.db'}"
    configure(url)
    await upgrade(url)
    async with AuthManager() as auth:
        await seed(auth)
    print(f"database  {url}")
    for username, roles in ROLES.items():
        rights = ", ".join(f"{action} {resource}" for role in roles for action, resource in PERMISSIONS[role])
        print(f"user      {username}, role {', '.join(roles)}: {rights}")
    async with running() as address, httpx.AsyncClient(base_url=address, timeout=60) as client:
        print(f"server    {address}, examples.fastapi_app under uvicorn\n")
        await story(client)
        await table(client)
        if serve:
            await invite(client)


def configure(url: str) -> None:
    """Settings of this process and of nothing else: the example reads them from the environment."""
    for name in [name for name in os.environ if name.startswith("ASYNCAUTH_")]:
        del os.environ[name]
    os.environ["ASYNCAUTH_DATABASE_URL"] = url
    os.environ["ASYNCAUTH_DATABASE_TIMEOUT_SECONDS"] = "30"  # no 503 because the machine is busy with something else
    os.environ["ASYNCAUTH_JWT_SECRET"] = secrets.token_hex(64)
    os.environ["ASYNCAUTH_JWT_ISSUER"] = os.environ["ASYNCAUTH_JWT_AUDIENCE"] = "asyncauth-demo"


class Server(uvicorn.Server):
    """Leaves Ctrl-C to `asyncio.run`, which cancels the demo, which stops the server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


@asynccontextmanager
async def running() -> AsyncIterator[str]:
    """The server on a free port of the loopback interface; its address."""
    server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                raise DemoError("the server did not start")
            await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task


async def story(client: httpx.AsyncClient) -> None:
    """What the server answers, and what it answers after each change."""
    token = await login(client, "ada")
    ada = {"Authorization": f"Bearer {token}"}
    show("ada reads a DAG that her role allows", await client.get("/dags/etl", headers=ada), 200)
    reason = "no role of `ada` has permission `can_read` on `DAG:billing` (looked at: `Viewer`)"
    show("and one that it does not", await client.get("/dags/billing", headers=ada), 403, reason)

    await admin.grant_permission(get_auth_manager(), role="Viewer", action="can_read", resource="DAG:billing")
    title = "her role is granted it, by the server's own manager: the same request at once"
    show(title, await client.get("/dags/billing", headers=ada), 200)
    await taken_elsewhere(client, ada)
    await admin.grant_role(get_auth_manager(), username="ada", role="Viewer")
    show("the server gives it back", await client.get("/dags/etl", headers=ada), 200)

    show("ada's token is revoked", await client.delete("/token", headers=ada), 204)
    show("and known no more", await client.get("/dags/etl", headers=ada), 401)
    wrong = {"username": "ada", "password": "wrong"}
    show("a wrong password", await client.post("/token", json=wrong), 401, "wrong user name or password")


async def login(client: httpx.AsyncClient, username: str) -> str:
    """Log in and show it; the token."""
    credentials = {"username": username, "password": PASSWORDS[username]}
    response = await client.post("/token", json=credentials)
    show(f"{username} logs in", response, 200)
    token: str = response.json()["access_token"]
    return token


async def taken_elsewhere(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Another program, which knows nothing of asyncauth, takes ada's role with plain SQL."""
    settings = get_auth_manager().settings
    other = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OTHER_PROGRAM, str(settings.database_url).partition(":///")[2]),
        stdout=asyncio.subprocess.PIPE,
    )
    give_up = time.monotonic() + settings.max_staleness_seconds + 10
    while (response := await client.get("/dags/etl", headers=headers)).status_code == 200:
        if time.monotonic() > give_up:
            break
    refused = time.monotonic()
    committed, _ = await other.communicate()
    late = 1_000 * (refused - float(committed))
    bound = 1_000 * settings.poll_interval_seconds
    show(
        f"SQL of another process takes her role: seen after {late:.0f} ms (promised: {bound:.0f} ms and one query)",
        response,
        403,
    )


def show(title: str, response: httpx.Response, status: int, told: str = "") -> None:
    """Print a request and its answer, and check the answer."""
    text = response.text if len(response.text) <= 110 else f"{response.text[:107]}..."
    print(f"{title}\n    {response.request.method} {response.request.url.path} -> {response.status_code} {text}")
    if response.status_code != status or told not in response.text:
        raise DemoError(f"expected {status} {told}".rstrip())


async def table(client: httpx.AsyncClient) -> None:
    """Count and measure; the warm request must have sent nothing."""
    token = await login(client, "ada")

    async def request() -> None:
        response = await client.get("/dags/etl", headers={"Authorization": f"Bearer {token}"})
        if response.status_code != 200:
            raise DemoError(f"expected 200, got {response.status_code} {response.text}")

    print()
    costs = {"warm request": await measure_warm(request, token), "cold request": await measure_cold(request, token)}
    print_table(costs)
    print(
        f"Counted and measured just now: medians of {WARM_DECISIONS:,} decisions and {WARM_REQUESTS} requests warm, of"
        f" {COLD_REQUESTS} cold\n(the first of a manager that has just started). The HTTP request includes client and"
        " FastAPI. Not counted: the statement\nthat asks what changed, every"
        f" {get_auth_manager().settings.poll_interval_seconds} s, however many requests come."
    )
    if costs["warm request"].statements != {0} or 0 in costs["cold request"].statements:
        raise DemoError("expected no statement when warm, and some when cold")


async def invite(client: httpx.AsyncClient) -> None:
    """Leave the server to the reader, until Ctrl-C."""
    print()
    token = await login(client, "grace")
    address = str(client.base_url).rstrip("/")
    print(f"\naddress  {address} (interactive: {address}/docs)\ntoken    {token}\n")
    print(f"curl -i -H 'Authorization: Bearer {token}' {address}/dags/billing\n\nCtrl-C ends it.", flush=True)
    await asyncio.Event().wait()


def main() -> int:
    """Run it; 0 if every answer was the one announced."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="asyncauth at work")
    parser.add_argument("--serve", action="store_true", help="leave the server running until Ctrl-C")
    serve = parser.parse_args().serve
    try:
        with tempfile.TemporaryDirectory(prefix="asyncauth-demo-") as directory:
            asyncio.run(demo(Path(directory), serve=serve))
    except KeyboardInterrupt:
        print("\nstopped")
        return 0 if serve else 130
    except DemoError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
