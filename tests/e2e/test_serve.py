"""`asyncauth serve` as an operator runs it: a process on a free port (F24 for the addresses)."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from asyncauth import AuthManager, Settings, admin
from asyncauth.db.migrate import upgrade
from tests.conftest import NAME, PATIENCE_SECONDS, SECRET
from tests.servers.find import HOST, free_port

PASSWORD = "correct horse battery"
START_SECONDS = STOP_SECONDS = 60.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """For a database with one user."""
    url = f"sqlite+aiosqlite:///{tmp_path}/auth.db"
    settings = Settings(database_url=url, jwt_secret=SECRET, jwt_issuer=NAME, jwt_audience=NAME)

    async def make() -> None:
        await upgrade(url)
        async with AuthManager(settings) as auth:
            await admin.create_user(auth, username="ada", password=PASSWORD, email="ada@example.org")

    anyio.run(make)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCAUTH_")}
    return inherited | {
        "ASYNCAUTH_DATABASE_URL": url,
        "ASYNCAUTH_JWT_SECRET": SECRET,
        "ASYNCAUTH_JWT_ISSUER": NAME,
        "ASYNCAUTH_JWT_AUDIENCE": NAME,
        "ASYNCAUTH_LOGIN_FAILURES_PER_ADDRESS": "2",
        "ASYNCAUTH_DATABASE_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        "ASYNCAUTH_PASSWORD_QUEUE_SECONDS": str(PATIENCE_SECONDS),
    }


@contextmanager
def serving(
    environment: dict[str, str], *arguments: str, program: tuple[str, ...] = ("-m", "asyncauth")
) -> Iterator[httpx.Client]:
    """A client of a server."""
    port = free_port()
    command = [sys.executable, *program, "serve", "--host", HOST, "--port", str(port), *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=30, trust_env=False) as client:
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert process.poll() is None, "the server ended"
                try:
                    if client.get("/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def log_in(client: httpx.Client, password: str, **headers: str) -> httpx.Response:
    """Log ada in."""
    return client.post("/login", json={"username": "ada", "password": password}, headers=headers)


def test_it_serves_and_believes_no_forwarded_address(environment: dict[str, str]) -> None:
    with serving(environment) as client:
        assert client.get("/live").status_code == 200
        assert client.get("/.well-known/jwks.json").status_code == 200
        assert client.get("/me").status_code == 401
        for body in (b"", b"[]", b"{", b'{"username": 1, "password": "x"}', b"[" * 10_000):
            assert client.post("/login", content=body).status_code == 400
        assert client.post("/login", content=b" " * 100_000).status_code == 413
        answer = log_in(client, PASSWORD)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        me = client.get("/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
        assert me.json()["username"] == "ada"
        token = client.post("/auth/token", json={"username": "ada", "password": PASSWORD}).json()["access_token"]
        for path, code in (("/auth/fab/v1/users", 403), ("/auth/v1/groups", 403), ("/auth/openapi.json", 200)):
            assert client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == code
        assert client.get("/auth/v1/groups").headers["Content-Type"] == "application/problem+json"
        codes = [log_in(client, "x", **{"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(4)]
        assert codes == [401, 401, 429, 429]
        refused = log_in(client, PASSWORD, **{"X-Forwarded-For": "192.0.2.99"})
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 300


def test_it_serves_pages(environment: dict[str, str]) -> None:
    """Somebody opens the address, logs in, looks at themselves, and leaves."""
    with serving(environment) as client:
        page = client.get("/", follow_redirects=True)
        assert (page.status_code, page.url.path, page.url.params["next"]) == (200, "/auth/login/", "/auth/")
        form_token = page.text.split('name="form_token" value="')[1].split('"')[0]
        cookies = {"Cookie": page.headers["Set-Cookie"].partition(";")[0], "Origin": str(client.base_url).rstrip("/")}
        sent = {"username": "ada", "password": PASSWORD, "form_token": form_token}
        answer = client.post("/auth/login/", data=sent, headers=cookies)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/auth/")
        cookie = next(one for one in answer.headers.get_list("Set-Cookie") if one.startswith("__Host-asyncauth=ey"))
        assert cookie.endswith("; Path=/; HttpOnly; Secure; SameSite=Lax")
        headers = {"Cookie": cookie.partition(";")[0]}
        assert "ada@example.org" in client.get("/auth/", headers=headers).text
        assert client.get("/auth/users/list/", headers=headers).status_code == 403
        assert client.get("/auth/v1/groups", headers=headers).status_code == 403
        assert client.get("/auth/logout", headers=headers).headers["Location"] == "/auth/login/"


def test_a_named_proxy_is_believed(environment: dict[str, str]) -> None:
    """What it added, the last address, not what the client wrote before."""
    with serving(environment, "--proxy", HOST) as client:
        for number in range(3):
            forwarded = f"203.0.113.{number}, 192.0.2.1"
            code = log_in(client, "x", **{"X-Forwarded-For": forwarded}).status_code
            assert code == (401 if number < 2 else 429)
        assert log_in(client, PASSWORD, **{"X-Forwarded-For": "192.0.2.2"}).status_code == 200


def test_what_cannot_start_is_one_sentence(environment: dict[str, str], tmp_path: Path) -> None:
    environment["ASYNCAUTH_DATABASE_URL"] = f"sqlite+aiosqlite:///{tmp_path}/empty.db"
    command = [sys.executable, "-m", "asyncauth", "serve"]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stdout, process.stderr.count("\n")) == (1, "", 1)
    assert "asyncauth db upgrade" in process.stderr
