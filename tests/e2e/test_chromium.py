"""The pages in a real browser, which finds nothing missing, refused or broken."""

import asyncio
import os
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from asyncauth import AuthManager, Settings
from asyncauth.pages import PageOptions, page_routes
from asyncauth.web.cookies import CookiePolicy
from asyncauth.web.fastapi import install
from tests.servers.find import find_program, make_folder
from tests.web.servers import serve

TIMEOUT_SECONDS = 120
COOKIE = CookiePolicy("asyncauth", secure=False)
pytestmark = pytest.mark.parametrize("backend", ["sqlite+aiosqlite"], indirect=True)


@pytest.fixture
def app() -> FastAPI:
    """With the pages at /auth; made here, where files may be read."""
    return FastAPI(routes=[Mount("/auth", routes=page_routes(PageOptions(title="Example")))])


@pytest.fixture
async def address(app: FastAPI, settings: Settings) -> AsyncIterator[str]:
    """Of a server of that app."""
    async with AuthManager(settings) as auth:
        install(app, auth, cookie=COOKIE)
        async with serve(app) as where:
            yield f"http://{where}"


def browse(profile: Path, *arguments: str) -> tuple[str, str]:
    """What Chromium wrote: the page as it stands, and its log, in which messages of the console are."""
    command = [
        find_program("chromium", "chromium-browser", "google-chrome", package="chromium"),
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--log-level=0"),
        f"--user-data-dir={profile}",
        *arguments,
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(profile), "LANG": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
    return done.stdout, done.stderr


async def test_the_login_page(address: str) -> None:
    """Whoever is not logged in gets it, whole and with its style sheet, and it can be drawn."""
    profile = await asyncio.to_thread(make_folder, "chromium")
    page = f"{address}/auth/users/list/"
    dom, log = await asyncio.to_thread(browse, profile, "--dump-dom", page)
    assert "<title>Log in · Example</title>" in dom
    assert '<input type="hidden" name="next" value="/auth/users/list/">' in dom
    assert 'name="password" type="password"' in dom
    assert "CONSOLE" not in log, log
    picture = profile / "login.png"
    await asyncio.to_thread(browse, profile, f"--screenshot={picture}", "--window-size=600,800", page)
    head = (await asyncio.to_thread(picture.read_bytes))[:24]
    assert (head[:8], struct.unpack(">II", head[16:])) == (b"\x89PNG\r\n\x1a\n", (600, 800))
    await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)  # Chromium's processes end after it
