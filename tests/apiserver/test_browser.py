"""A browser logs in on our page and is in Airflow's own UI. ASYNCAUTH_TEST_PICTURES names a folder for pictures."""

import os
from pathlib import Path

from tests.apiserver.chromium import Chromium
from tests.apiserver.conftest import Pair
from tests.waiting import poll

SEES_DAGS = "document.body.innerText.includes('example_complex')"


def take_picture(chromium: Chromium, name: str) -> None:
    """Keep what one sees, where somebody wants to look at it."""
    picture = chromium.photograph()
    assert picture.startswith(b"\x89PNG")
    if folder := os.environ.get("ASYNCAUTH_TEST_PICTURES"):
        (Path(folder) / f"{name}.png").write_bytes(picture)


def test_logging_in_and_out(pair: Pair, tmp_path: Path) -> None:
    """From Airflow's first page to the login page, from there back to what was asked for, and out again."""
    wanted = f"{pair.ours.base_url}/dags"
    with Chromium(tmp_path) as chromium:
        chromium.open(wanted)
        chromium.wait_for(
            "location.pathname.startsWith('/auth/login') && !!document.querySelector('input[name=password]')"
        )
        take_picture(chromium, "login")
        chromium.type_into("input[name=username]", "vera")
        chromium.type_into("input[name=password]", "the password of vera")
        chromium.press("Enter")
        chromium.wait_for(SEES_DAGS)
        assert chromium.evaluate("location.href") == wanted
        take_picture(chromium, "dags")
        (cookie,) = [cookie for cookie in chromium.cookies() if cookie["name"] == "_token"]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
        with pair.ours.client(cookie["value"], cookie=True) as client:
            assert client.get("/ui/auth/me").json()["username"] == "vera"
            chromium.open(f"{pair.ours.base_url}/api/v2/auth/logout")
            chromium.wait_for("location.pathname.startsWith('/auth/login')")
            assert [one for one in chromium.cookies() if one["name"] == "_token"] == []
            poll(lambda: client.get("/ui/auth/me").status_code == 403)  # the other worker hears of it
